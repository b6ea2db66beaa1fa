//! Processes that outlive us: how they are told from others that got their number later.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process: its number means nothing without its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In clock ticks since boot.
    started: u64,
    /// Which boot of the machine.
    boot: String,
}

/// What `/proc/<pid>/stat` says.
struct Stat {
    state: char,
    group: i32,
    started: u64,
}

impl Process {
    /// The process that has this number now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, started: stat(pid)?.started, boot: boot() })
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.how_it_ended().is_none()
    }

    /// How it ended; `None` while it runs. A child of ours that ended is cleared away by this.
    pub(crate) fn how_it_ended(&self) -> Option<String> {
        let same = |stat: &Stat| stat.started == self.started && self.boot == boot();
        // Asked first: a number that is cleared away may be another's a moment later.
        if stat(self.pid).filter(same).is_none() {
            return Some("ended".into());
        }
        let ended = reap(self.pid);
        let is_gone = || stat(self.pid).is_none_or(|stat| matches!(stat.state, 'Z' | 'X'));
        ended.or_else(|| is_gone().then(|| "ended".into()))
    }

    /// Sends a signal to it and what it started, if it still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.is_alive() {
            let _gone = killpg(Pid::from_raw(self.pid), signal);
        }
    }
}

fn reap(pid: i32) -> Option<String> {
    match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Some(format!("exited with code {code}")),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(format!("was ended by {signal}")),
        // Not ours, or not ended.
        Ok(_) | Err(Errno::ECHILD) | Err(_) => None,
    }
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, parentheses and spaces too.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(16)?.parse().ok()?;
    Some(Stat { state, group, started })
}

fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// The process that was started with `variable` in its environment. What it started has the variable
/// too, but does not lead the group.
pub(crate) fn find_by_variable(variable: &str) -> Option<Process> {
    let entries = fs::read_dir("/proc").ok()?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| has_variable(*pid, variable))
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.group == *pid))
        .find_map(Process::of)
}

fn has_variable(pid: i32, variable: &str) -> bool {
    let environ = fs::read(Path::new("/proc").join(pid.to_string()).join("environ"));
    let environ = environ.unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_told_from_another_of_its_number() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let this = Process::of(pid).unwrap();
        assert!(this.is_alive());
        assert!(!Process { started: this.started + 1, ..this.clone() }.is_alive());
        assert!(!Process { boot: "another".into(), ..this }.is_alive());
    }

    #[test]
    fn a_process_is_found_by_its_variable_and_ends() {
        let effect = format!("test-{}", std::process::id());
        let mut sleep = Command::new("sleep");
        #[expect(clippy::zombie_processes, reason = "`is_alive` clears it away")]
        let child =
            sleep.arg("60").env("CAPSTAN_EFFECT", &effect).process_group(0).spawn().unwrap();
        let variable = format!("CAPSTAN_EFFECT={effect}");
        // The kernel shows a process a moment before it shows what its variables are.
        let found = (0..10_000).find_map(|_| find_by_variable(&variable));
        let found = found.unwrap();
        assert_eq!(found.pid, i32::try_from(child.id()).unwrap());
        found.signal(Signal::SIGKILL);
        while found.is_alive() {
            std::thread::yield_now();
        }
        assert!(find_by_variable(&variable).is_none());
    }
}
