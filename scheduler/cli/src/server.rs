//! Whom a command asks, and what it says when that fails.

use std::error::Error as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use secrecy::SecretString;
use shared_client::{Client, Config, Error};

use crate::args::DEFAULT_PORT;
use crate::output::Format;
use crate::say::say;
use crate::{EXIT_FAILED, EXIT_USAGE, credentials, document};

/// What every command against a server says about exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    it is done, and what was watched succeeded
  1    the execution failed, or the server refused
  2    bad usage, a bad document, or no server was reached
  130  interrupted";

/// Where `capstan dev` is unless told otherwise.
fn default_server() -> String {
    format!("http://127.0.0.1:{DEFAULT_PORT}")
}

/// The server, and how its answers are shown.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "CAPSTAN_SERVER",
        default_value_t = default_server()
    )]
    server: String,
    /// The token that the server wants; rather give it by the environment, which others cannot see.
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "CAPSTAN_TOKEN",
        hide_env_values = true
    )]
    token: Option<SecretString>,
    /// A file with the token in it, which nobody else should be able to read.
    #[arg(long, global = true, value_name = "FILE", env = "CAPSTAN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// As whom to act, where the server believes it; without a token, whoever is logged in.
    #[arg(long, global = true, value_name = "NAME", env = "CAPSTAN_USER")]
    user: Option<String>,
    /// How the result is shown on stdout.
    #[arg(long, short = 'o', global = true, value_enum, default_value = "table")]
    output: Format,
}

/// A server that can be asked.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) format: Format,
}

impl Session {
    /// A command to go on with, as it has to be typed.
    pub(crate) fn command(&self, words: &str) -> String {
        let server = self.client.server();
        let is_known = server == default_server()
            || std::env::var_os("CAPSTAN_SERVER").is_some_and(|known| known == server.as_str());
        let more = if is_known { String::new() } else { format!(" --server {server}") };
        format!("capstan {words}{more}")
    }
}

/// What a server knows does not allow what was asked for: the request was not sent.
#[derive(Debug)]
pub(crate) struct Impossible(pub(crate) String);

impl std::fmt::Display for Impossible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Impossible {}

/// Does something with a server; an error of the server is said, and becomes an exit code.
///
/// # Errors
/// Everything else that is in the way.
pub(crate) fn with_server(
    arguments: &ServerArgs,
    work: impl AsyncFnOnce(&Session) -> Result<u8>,
) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("no threads can be started")?;
    let done = runtime.block_on(async {
        let session = Session { client: client(arguments)?, format: arguments.output };
        work(&session).await
    });
    let error = match done {
        Ok(code) => return Ok(code),
        Err(error) => error,
    };
    if let Some(of_server) = error.downcast_ref::<Error>() {
        return Ok(show(of_server, "the server"));
    }
    let Impossible(why) = error.downcast()?;
    say(&format!("error: {why}"));
    Ok(EXIT_FAILED)
}

fn client(arguments: &ServerArgs) -> Result<Client> {
    let token = credentials::token(arguments.token.as_ref(), arguments.token_file.as_deref())?;
    let user = arguments.user.clone().filter(|name| !name.is_empty());
    let user = user.or_else(|| {
        let logged_in = token.is_none().then(|| std::env::var_os("USER"));
        logged_in.flatten()?.into_string().ok().filter(|name| !name.is_empty())
    });
    Ok(Client::new(Config { token, user, ..Config::of(&arguments.server) })?)
}

/// Says what a server, or the way to it, made of a request; the exit code for it.
pub(crate) fn show(error: &Error, about: &str) -> u8 {
    if let Error::Refused(refusal) = error
        && document::show(about, &refusal.problems)
    {
        return EXIT_USAGE;
    }
    match cause(error) {
        Some(cause) => say(&format!("error: {error}: {cause}")),
        None => say(&format!("error: {error}")),
    }
    let hint = error.hint();
    if !hint.is_empty() {
        say(&format!("  help: {hint}"));
    }
    if matches!(error, Error::Refused(_)) { EXIT_FAILED } else { EXIT_USAGE }
}

/// The innermost cause: those between repeat each other.
fn cause(error: &Error) -> Option<String> {
    let mut innermost = error.source()?;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    Some(innermost.to_string())
}
