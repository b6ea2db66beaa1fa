//! The process that owns the servers of the background stack.

use std::fs::File;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use shared_testkit::deadline::Deadline;
use shared_testkit::{Stack, install};

use super::state::State;
use crate::interrupt::Interrupt;
use crate::say;

/// Runs the servers until a signal comes or one of them ends by itself.
pub(super) fn keep(state: &State) -> Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let _lock = take(state)?;
    state.write_keeper(std::process::id())?;
    state.clear()?;
    let mut stack = Stack::start(&install::ensure_all(&mut say)?)?;
    state.write_data_folder(stack.data_folder())?;
    for (name, pid) in stack.processes() {
        say(&format!("{name}: pid {pid}"));
    }
    state.write_addresses(&stack.addresses().to_string())?;
    let kept = wait(&interrupt, &mut stack);
    stack.stop()?;
    state.clear()?;
    kept?;
    Ok(ExitCode::SUCCESS)
}

/// Whoever only looks whether the servers run holds the lock for a moment, hence the patience.
fn take(state: &State) -> Result<File> {
    let taken = Deadline::after(Duration::from_secs(2)).poll(|| state.take())?;
    taken.context("another keeper has the servers")
}

fn wait(interrupt: &Interrupt, stack: &mut Stack) -> Result<()> {
    // The whole life of the stack, looked at in slices.
    let slice = Duration::from_secs(3600);
    loop {
        let ended = Deadline::after(slice).poll(|| {
            stack.check()?;
            anyhow::Ok(interrupt.has_come().then_some(()))
        })?;
        if ended.is_some() {
            return Ok(());
        }
    }
}
