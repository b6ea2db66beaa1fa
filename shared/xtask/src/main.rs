#![doc = include_str!("../README.md")]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod check;
mod corpus;
mod interrupt;
mod previous;
mod sim;
mod stack;
mod steps;
mod test;
mod workspace;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the real servers of the tests in the background.
    #[command(subcommand)]
    Stack(stack::Command),
    /// Installs what is missing, starts the real servers, runs every test, stops the servers.
    Test(test::Arguments),
    /// Builds the program of the commit before this one, and prints where it lies.
    Previous,
    /// Looks at formatting, lints, documentation and the rules of the repository.
    Check,
    /// All that a change must pass: `check`, then `test`.
    Ci,
    /// Runs files of the conformance corpus.
    Corpus(corpus::Arguments),
    /// Lives through seeds of the simulated world on every core.
    Sim(sim::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Stack(command) => stack::run(&command),
        Command::Test(arguments) => test::run(&arguments),
        Command::Previous => previous::run(),
        Command::Check => check::run(),
        Command::Ci => check::run_and_test(),
        Command::Corpus(arguments) => corpus::run(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
    }
}

/// Tells a person what is going on; stdout is for results.
fn say(line: &str) {
    eprintln!("xtask: {line}");
}
