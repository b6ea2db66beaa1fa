#![doc = include_str!("../README.md")]

mod args;
mod document;
mod engine;
mod follow;
mod judgment;
mod problems;
mod run;
mod settings;
mod signals;
mod summary;
mod terminal;
mod validate;
mod yaml;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::args::{Cli, Command, Given};
use crate::terminal::Terminal;

/// The run failed, or its result could not be shown.
pub(crate) const EXIT_FAILED: u8 = 1;
/// Bad usage, bad document, or nothing could be started.
pub(crate) const EXIT_USAGE: u8 = 2;
/// It did not end within `--timeout`.
pub(crate) const EXIT_TIMEOUT: u8 = 5;

fn main() -> ExitCode {
    // Whoever speaks TLS in this process speaks it through one library.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let terminal = Terminal::new(cli.color());
    let done = match cli.command {
        Command::Guard { args } => return shared_runtime::guard::main(args),
        Command::Validate(arguments) => validate::validate(&arguments, &terminal),
        Command::Run(arguments) => run::run(*arguments, Given::of_run(&matches), &terminal),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            terminal.error(&format!("{error:#}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}
