//! One server process.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::deadline::Deadline;

/// How long a server may take to end after a polite signal.
const STOP_MAX: Duration = Duration::from_secs(5);

/// A server that we started. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Whether it is the parent of the first process of a process namespace of its own.
    is_walled: bool,
    /// What asks it to end.
    polite: Signal,
}

impl Server {
    /// Starts `program` with its output in `<logs>/<name>.log`.
    ///
    /// `setpriv` makes the kernel end it together with us. A process group of its own keeps the
    /// terminal's Ctrl-C away from it, so that it is there for what still runs until we end it.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        logs: &Path,
    ) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let output =
            File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args.into_iter().map(Into::into))
            .current_dir(logs)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start `{name}` ({})", program.display()))?;
        Ok(Self { name, child, log, is_walled: false, polite: Signal::SIGTERM })
    }

    /// Starts `program` as [`Server::start`] does, in a process and a mount namespace of its own:
    /// whatever it starts and mounts is gone once it is, by whatever means it ends.
    pub(super) fn start_walled(
        name: &'static str,
        program: &str,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        logs: &Path,
    ) -> Result<Self> {
        let wall = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];
        // The first process of a namespace has to reap the orphans of the others.
        let wall = wall.into_iter().chain(["docker-init", "--", program]).map(OsString::from);
        let args = wall.chain(args.into_iter().map(Into::into));
        let mut server = Self::start(name, Path::new("unshare"), args, logs)?;
        server.is_walled = true;
        Ok(server)
    }

    /// The same server, asked to end by another signal.
    pub(super) fn ended_by(self, polite: Signal) -> Self {
        // Moved whole: it ends the process when it is dropped.
        let mut server = self;
        server.polite = polite;
        server
    }

    /// Ends the server and what it started at once, as a crash of its machine would.
    pub(super) fn kill(mut self) -> Result<()> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        self.child.kill()?;
        for child in children.split_whitespace() {
            // Gone by itself, it may be.
            let _ = kill(Pid::from_raw(child.parse()?), Signal::SIGKILL);
        }
        self.child.wait()?;
        Ok(())
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails if the server has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("`{}` ended by itself ({status}); its log ends:\n{}", self.name, self.log_tail());
        }
        Ok(())
    }

    /// The last lines of the log.
    pub(super) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        crate::last_lines(&String::from_utf8_lossy(&text), 20)
    }

    /// Ends the server: politely, then by force.
    pub(super) fn stop(mut self) -> Result<()> {
        self.end().with_context(|| format!("failed to stop `{}` (pid {})", self.name, self.pid()))
    }

    /// The first process of the server's namespace. The kernel lets its parent know of its end
    /// once every other process of the namespace has ended.
    fn inmost(&self) -> Result<Option<Pid>> {
        if !self.is_walled {
            return Ok(None);
        }
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let first = children.split_whitespace().next();
        Ok(first.and_then(|first| first.parse().ok()).map(Pid::from_raw))
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        // The child is not reaped yet, so the id is still its own.
        match self.inmost()? {
            Some(first) => kill(first, Signal::SIGKILL)?,
            None => kill(Pid::from_raw(i32::try_from(self.child.id())?), self.polite)?,
        }
        if Deadline::after(STOP_MAX).poll(|| self.child.try_wait())?.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("warning: failed to stop `{}` (pid {}): {error:#}", self.name, self.pid());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, logs: &Path) -> Server {
        Server::start("shell", Path::new("/bin/sh"), ["-c", script], logs).unwrap()
    }

    #[test]
    fn a_server_that_ends_is_told_with_its_log() {
        let logs = tempfile::tempdir().unwrap();
        let mut server = shell("echo no room left; exit 3", logs.path());
        let deadline = Deadline::after(Duration::from_secs(10));
        let found = deadline.poll(|| Ok::<_, ()>(server.check().err())).unwrap().unwrap();
        let text = format!("{found:#}");
        assert!(text.contains("exit status: 3") && text.ends_with("no room left"), "{text}");
    }

    #[test]
    fn a_server_that_ignores_the_polite_signal_is_ended() {
        let logs = tempfile::tempdir().unwrap();
        let server = shell("trap '' TERM; echo ready; while :; do sleep 0.1; done", logs.path());
        let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
        let deadline = Deadline::after(Duration::from_secs(10));
        let ready = deadline.poll(|| Ok::<_, ()>((server.log_tail() == "ready").then_some(())));
        assert_eq!(ready, Ok(Some(())));
        server.stop().unwrap();
        assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH));
    }
}
