//! The processes of one run: the group that the tool leads, and what left the group.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;

/// The process group that the tool leads.
#[derive(Clone, Copy)]
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw))
    }

    /// A group that is gone hears nothing, which is as well.
    pub(super) fn signal(self, signal: Signal) {
        if let Some(group) = self.0 {
            let _gone = killpg(group, signal);
        }
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::{adopt_orphans, end_orphans};

/// Without a subreaper, what leaves the group is out of reach.
#[cfg(not(target_os = "linux"))]
pub(super) fn adopt_orphans() {}

#[cfg(not(target_os = "linux"))]
pub(super) async fn end_orphans() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, waitpid};
    use nix::unistd::Pid;

    /// How often and how long the end of killed processes is waited for: a second in all.
    const ROUNDS_MAX: usize = 100;
    const ROUND: Duration = Duration::from_millis(10);

    /// Makes orphans among our descendants our children.
    pub(in crate::guard) fn adopt_orphans() {
        let _unsupported = nix::sys::prctl::set_child_subreaper(true);
    }

    /// Ends every process below us: a killed one's children become ours, and are next.
    pub(in crate::guard) async fn end_orphans() {
        for _ in 0..ROUNDS_MAX {
            let children = children();
            if children.is_empty() {
                return;
            }
            for child in children {
                let _gone = kill(child, Signal::SIGKILL);
                let _running = waitpid(child, Some(WaitPidFlag::WNOHANG));
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    /// Our children, zombies included.
    fn children() -> Vec<Pid> {
        let us = std::process::id().to_string();
        let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        pids.filter(|pid| parent_of(pid).is_some_and(|parent| parent == us))
            .filter_map(|pid| pid.parse().ok().map(Pid::from_raw))
            .collect()
    }

    /// The fourth field of `stat`; the second, the name, may hold blanks and parentheses.
    fn parent_of(pid: &str) -> Option<String> {
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let after_name = &stat[stat.rfind(')')? + 1..];
        after_name.split_whitespace().nth(1).map(str::to_owned)
    }
}
