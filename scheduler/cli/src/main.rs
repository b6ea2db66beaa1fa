#![doc = include_str!("../README.md")]

mod application;
mod args;
mod completion;
mod config;
mod credentials;
mod dev;
mod document;
mod engine;
mod execution;
mod fleet;
mod limits;
mod listen;
mod logs;
mod output;
mod pipeline;
mod progress;
mod resume;
mod role;
mod run;
mod sample;
mod say;
mod server;
mod stages;
mod store;
mod summary;
mod token;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

/// The run failed.
pub(crate) const EXIT_FAILED: u8 = 1;
/// Bad usage, bad document, or nothing could be started.
pub(crate) const EXIT_USAGE: u8 = 2;
/// A user interrupted it.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    // Whoever speaks TLS in this process speaks it through one library.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match Cli::parse().command {
        Command::Guard { args } => shared_runtime::guard::main(args),
        Command::LocalBalancer { args } => worker::catalog::balancer_main(args),
        Command::SampleService => worker::catalog::sample::main(),
        Command::Validate(arguments) => finish(document::validate(&arguments)),
        Command::Dev(arguments) => finish(dev::run(&arguments)),
        Command::Scheduler(arguments) => finish(role::scheduler::run(&arguments)),
        Command::Worker(arguments) => finish(role::worker::run(&arguments)),
        Command::Run(arguments) => finish(run::run(*arguments)),
        Command::Pipeline(arguments) => finish(pipeline::run(&arguments)),
        Command::Execution(arguments) => finish(execution::run(&arguments)),
        Command::Fleet(arguments) => finish(fleet::run(&arguments)),
        Command::Token(arguments) => finish(token::run(&arguments)),
        Command::Application(arguments) => finish(application::run(&arguments)),
        Command::Store(arguments) => finish(store::run(&arguments)),
        Command::Config(arguments) => finish(config::run(&arguments)),
        Command::Completion(arguments) => finish(completion::run(&arguments)),
        Command::Openapi => finish(describe_api()),
    }
}

fn describe_api() -> anyhow::Result<u8> {
    output::write(scheduler::api::openapi::text().as_bytes())?;
    Ok(0)
}

fn finish(done: anyhow::Result<u8>) -> ExitCode {
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say::say(&format!("error: {error:#}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}
