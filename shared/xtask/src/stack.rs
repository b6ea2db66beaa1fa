//! `cargo xtask stack`: one stack in the background, for development.
//!
//! A *keeper* process owns the servers. It holds a file lock as long as it lives, so whether the
//! stack is up is the state of that lock and never a guess from a process id. When the keeper
//! dies, by whatever means, the kernel ends the servers with it.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command as Process, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shared_testkit::deadline::Deadline;
use shared_testkit::install;

use crate::say;

mod keeper;
mod state;

use state::State;

/// How long `up` waits for the keeper; the stack's own limit is shorter.
const UP_MAX: Duration = Duration::from_secs(180);
/// How long `down` waits until every server has ended.
const DOWN_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts the servers, unless they run; prints `KEY=value` lines for `export $(…)`.
    Up,
    /// Stops them.
    Down,
    /// Says whether they run, and prints the same lines; exit code 1 if not.
    Status,
    /// Owns the servers until it is told to end.
    #[command(hide = true)]
    Keep,
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    let state = State::of_workspace()?;
    match command {
        Command::Up => up(&state),
        Command::Down => down(&state),
        Command::Status => status(&state),
        Command::Keep => keeper::keep(&state),
    }
}

fn up(state: &State) -> Result<ExitCode> {
    if !state.is_kept()? {
        install::ensure_all(&mut say)?;
        state.forget_addresses()?;
        say("starting etcd, Kubernetes, KWOK and docker");
        start_keeper(state)?;
    }
    let addresses = Deadline::after(UP_MAX).poll(|| {
        if !state.is_kept()? {
            // The keeper takes its lock before `start_keeper` returns, so it has ended.
            bail!("the servers did not start: {}", state.log_tail());
        }
        Ok(state.addresses())
    })?;
    let addresses = addresses.with_context(|| {
        format!("the servers were not ready within {} s: {}", UP_MAX.as_secs(), state.log_tail())
    })?;
    print(&addresses)?;
    Ok(ExitCode::SUCCESS)
}

fn down(state: &State) -> Result<ExitCode> {
    let Some(pid) = state.keeper()? else {
        say("the servers are not running");
        return Ok(ExitCode::SUCCESS);
    };
    kill(Pid::from_raw(pid), Signal::SIGTERM)
        .with_context(|| format!("failed to end the keeper of the servers (pid {pid})"))?;
    let ended = Deadline::after(DOWN_MAX).poll(|| anyhow::Ok((!state.is_kept()?).then_some(())))?;
    ended.with_context(|| {
        format!("the servers still run after {} s (keeper: pid {pid})", DOWN_MAX.as_secs())
    })?;
    say("stopped");
    Ok(ExitCode::SUCCESS)
}

fn status(state: &State) -> Result<ExitCode> {
    let addresses = if state.is_kept()? { state.addresses() } else { None };
    let Some(addresses) = addresses else {
        say("the servers are not running; `cargo xtask stack up` starts them");
        return Ok(ExitCode::FAILURE);
    };
    print(&addresses)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the keeper in a process group of its own and waits until it holds its lock.
fn start_keeper(state: &State) -> Result<()> {
    let log = fs::File::create(state.log())?;
    let mut keeper = Process::new(std::env::current_exe()?)
        .args(["stack", "keep"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("failed to start the keeper of the servers")?;
    let found = Deadline::after(Duration::from_secs(10)).poll(|| {
        let ended = keeper.try_wait()?;
        // Also when another `up` at the same time was quicker: then its keeper is as good.
        if state.is_kept()? {
            return Ok(Some(()));
        }
        match ended {
            Some(status) => {
                bail!("the keeper of the servers ended ({status}): {}", state.log_tail())
            }
            None => Ok(None),
        }
    })?;
    found.with_context(|| format!("the keeper of the servers hangs: {}", state.log_tail()))
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("failed to write to stdout")
}
