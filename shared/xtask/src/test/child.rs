//! A `cargo` child whose output is shown and read at once.

use std::io::{BufRead, BufReader, PipeReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use shared_testkit::deadline::Deadline;

use super::report::Report;
use crate::interrupt::Interrupt;
use crate::say;

const SLICE: Duration = Duration::from_millis(100);
/// How long the child's group may take to end after a polite signal, and its output to close.
const GRACE: Duration = Duration::from_secs(10);

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Success,
    Failure,
    Interrupted,
}

/// Who looks at a child: when to end it, and what becomes of its output.
pub(super) struct Watch<'a> {
    deadline: Deadline,
    interrupt: &'a Interrupt,
    shown: &'a mut dyn Write,
    report: &'a mut Report,
}

impl<'a> Watch<'a> {
    /// Ends the child after `limit` or when interrupted; shows each line on `shown` and gives it to
    /// `report`.
    pub(super) fn new(
        limit: Duration,
        interrupt: &'a Interrupt,
        shown: &'a mut dyn Write,
        report: &'a mut Report,
    ) -> Self {
        Self { deadline: Deadline::after(limit), interrupt, shown, report }
    }

    /// Runs a child to its end. Both its outputs go through one pipe, so that their order is kept.
    pub(super) fn run(&mut self, command: &mut Command) -> Result<Ended> {
        let (reader, writer) = std::io::pipe()?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            // Its own group: a signal reaches the test programs too, and only when we send it.
            .process_group(0)
            .spawn()
            .context("failed to start `cargo`")?;
        // The command holds our copies of the pipe's writing end; without them its end is seen.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let ended = self.follow(&mut child, &read_lines(reader));
        if ended.is_err() {
            end_group(&mut child)?;
        }
        ended
    }

    fn follow(&mut self, child: &mut Child, lines: &Receiver<Vec<u8>>) -> Result<Ended> {
        loop {
            let open = self.take_line(lines)?;
            if self.interrupt.has_come() {
                say("interrupted: stopping");
                end_group(child)?;
                return Ok(Ended::Interrupted);
            }
            if self.deadline.has_passed() {
                bail!("not done within {} s", self.deadline.limit().as_secs());
            }
            if let Some(status) = child.try_wait()? {
                self.drain(lines)?;
                return Ok(of_status(status));
            }
            if !open {
                // Both outputs are closed; what is left is the exit itself.
                std::thread::sleep(SLICE);
            }
        }
    }

    /// Shows and reads one line if one comes soon; `false` once there will be no more.
    fn take_line(&mut self, lines: &Receiver<Vec<u8>>) -> Result<bool> {
        match lines.recv_timeout(SLICE) {
            Ok(line) => {
                self.shown.write_all(&line).context("failed to show the output of `cargo`")?;
                self.report.read(&String::from_utf8_lossy(&line));
                Ok(true)
            }
            Err(RecvTimeoutError::Timeout) => Ok(true),
            Err(RecvTimeoutError::Disconnected) => Ok(false),
        }
    }

    /// What the ended child wrote last. A grandchild left over may hold the pipe open: hence the
    /// limit.
    fn drain(&mut self, lines: &Receiver<Vec<u8>>) -> Result<()> {
        let deadline = Deadline::after(GRACE);
        while !deadline.has_passed() {
            if !self.take_line(lines)? {
                return Ok(());
            }
        }
        say("a process that a test started still holds its output");
        Ok(())
    }
}

fn read_lines(reader: PipeReader) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    receiver
}

fn of_status(status: ExitStatus) -> Ended {
    if status.success() { Ended::Success } else { Ended::Failure }
}

fn end_group(child: &mut Child) -> Result<()> {
    if child.try_wait()?.is_some() {
        return Ok(());
    }
    // Not reaped yet, so the group's id is still this child's.
    let group = Pid::from_raw(i32::try_from(child.id())?);
    killpg(group, Signal::SIGTERM)?;
    if Deadline::after(GRACE).poll(|| child.try_wait())?.is_none() {
        killpg(group, Signal::SIGKILL)?;
        child.wait()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> (Result<Ended>, Report) {
        let interrupt = Interrupt::listen().unwrap();
        let mut report = Report::default();
        let mut command = Command::new("sh");
        let mut shown = std::io::sink();
        let mut watch = Watch::new(limit, &interrupt, &mut shown, &mut report);
        let ended = watch.run(command.args(["-c", script]));
        (ended, report)
    }

    #[test]
    fn both_outputs_are_read_in_order() {
        let script = "echo '     Running tests/a.rs (target/debug/deps/a-1)' >&2; \
                      echo 'test result: ok. 2 passed; 1 failed; 0 ignored; 0 measured'; exit 1";
        let (ended, report) = sh(script, Duration::from_secs(30));
        assert_eq!(ended.unwrap(), Ended::Failure);
        assert_eq!((report.passed(), report.failed()), (2, 1));
    }

    #[test]
    fn a_child_that_hangs_is_ended() {
        let (ended, _) = sh("sleep 600", Duration::from_millis(200));
        assert!(format!("{:#}", ended.unwrap_err()).contains("not done within"));
    }
}
