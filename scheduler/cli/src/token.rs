//! `capstan token`.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use shared_client::NewToken;

use crate::output::{Rows, text};
use crate::say::say;
use crate::server::{EXIT_CODES, ServerArgs, Session, with_server};

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Makes a token and prints it, this once.
    Create {
        /// What it is for.
        name: String,
        /// How far it reaches.
        #[arg(long, value_enum, default_value = "operate")]
        scope: Scope,
        /// How long it lives, e.g. `90d`, `12h`.
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = seconds)]
        expires: u32,
        /// As whom its requests act; its name unless said.
        #[arg(long = "as", value_name = "NAME")]
        acts_as: Option<String>,
        /// Lets its requests act as whomever they name (for a CI system that starts for others).
        #[arg(long)]
        speaks_for_others: bool,
        /// A role that its user has: judgments that want certain roles are refused without them. May be
        /// repeated; without it nobody knows, and nothing is refused for it.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
    },
    /// Lists the tokens, without their texts.
    List,
    /// Takes one back, at once.
    Revoke {
        /// Its id, as `list` shows it.
        id: String,
    },
}

/// How far a token reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scope {
    /// Looks.
    Read,
    /// Saves, starts, cancels, judges.
    Operate,
    /// Gives and takes tokens, too.
    Admin,
}

/// `capstan token`.
///
/// # Errors
/// What is in the way on this side.
pub(crate) fn run(arguments: &TokenArgs) -> Result<u8> {
    with_server(&arguments.server, async |session| match &arguments.command {
        TokenCommand::Create { name, scope, expires, acts_as, speaks_for_others, roles } => {
            let scope = scope.to_possible_value();
            let asked = NewToken {
                name,
                scope: scope.as_ref().map_or("", |scope| scope.get_name()),
                expires_in_seconds: *expires,
                user: acts_as.as_deref(),
                speaks_for_others: *speaks_for_others,
                roles,
            };
            create(session, &asked).await
        }
        TokenCommand::List => list(session).await,
        TokenCommand::Revoke { id } => revoke(session, id).await,
    })
}

async fn create(session: &Session, asked: &NewToken<'_>) -> Result<u8> {
    let made = session.client.create_token(asked).await?;
    say("keep it: it is not shown again, and nobody can find it out");
    let rows = || Rows { titles: &["TOKEN"], rows: vec![vec![text(&made, "token")]] };
    session.format.print(&made, rows)?;
    Ok(0)
}

async fn list(session: &Session) -> Result<u8> {
    let found = session.client.tokens().await?;
    session.format.print(&Value::Array(found.clone()), || rows(&found))?;
    Ok(0)
}

async fn revoke(session: &Session, id: &str) -> Result<u8> {
    session.client.revoke_token(id).await?;
    say(&format!("token {id} is taken back"));
    session.format.print_change(&json!({ "id": id, "revoked": true }))?;
    Ok(0)
}

fn rows(tokens: &[Value]) -> Rows {
    let keys = ["id", "name", "scope", "user", "expiresAt", "createdBy"];
    let cell = |token: &Value, key: &str| match key {
        "expiresAt" => second(&text(token, key)),
        _ => text(token, key),
    };
    let row = |token: &Value| keys.map(|key| cell(token, key)).to_vec();
    let titles = &["ID", "NAME", "SCOPE", "ACTS AS", "EXPIRES", "CREATED BY"];
    Rows { titles, rows: tokens.iter().map(row).collect() }
}

/// A time to the second, which is enough for people.
fn second(at: &str) -> String {
    at.parse::<jiff::Timestamp>().map_or_else(|_| at.to_owned(), |at| format!("{at:.0}"))
}

fn seconds(written: &str) -> Result<u32, String> {
    let why = "write a time such as `90d` or `12h`, of at most 100 years";
    let span: jiff::Span = written.parse().map_err(|_| why)?;
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| why)?;
    u32::try_from(length.as_secs()).ok().filter(|seconds| *seconds > 0).ok_or(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_token_is_shown_to_the_second() {
        let token = json!({ "id": "1", "expiresAt": "2027-02-23T23:33:22.016816349Z" });
        assert_eq!(rows(&[token]).rows[0][4], "2027-02-23T23:33:22Z");
        assert_eq!((second("never"), second("")), ("never".into(), String::new()));
    }

    #[test]
    fn times_are_read_and_nonsense_is_not() {
        assert_eq!(seconds("90d"), Ok(90 * 86_400));
        assert_eq!(seconds("12h"), Ok(43_200));
        for bad in ["", "soon", "0s", "-1d", "9999y"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
