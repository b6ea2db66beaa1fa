//! One scheduler or worker.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::serve::http::Connection;
use crate::serve::now;

const READY_LIMIT: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Killed when it is dropped.
pub struct Process {
    child: Child,
    address: String,
}

impl Process {
    /// Starts one and waits until it says on its `/readyz` that it is ready. One without an address
    /// is not asked.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        folder: &Path,
        address: Option<String>,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let child = command.spawn().with_context(|| format!("failed to start {command:?}"))?;
        let asked = address.is_some();
        let mut process = Self { child, address: address.unwrap_or_default() };
        let began = now();
        while asked && !process.is_ready() {
            if let Some(status) = process.child.try_wait()? {
                bail!("{name} ended ({status}): {}", std::fs::read_to_string(&log)?);
            }
            ensure!(began.elapsed() < READY_LIMIT, "{name} is not ready; see {}", log.display());
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(process)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.signal("-TERM")?;
        let (pid, began) = (self.pid(), now());
        while self.child.try_wait()?.is_none() {
            ensure!(began.elapsed() < STOP_LIMIT, "process {pid} did not end in {STOP_LIMIT:?}");
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Sends it a signal, as `kill` calls it.
    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        let pid = self.pid().to_string();
        ensure!(Command::new("kill").args([signal, &pid]).status()?.success(), "no `kill`");
        Ok(())
    }

    /// Whether it has ended, by itself or since it was told to.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Whether it says so.
    pub(crate) fn is_ready(&self) -> bool {
        let asked =
            Connection::open(&self.address).and_then(|mut at| at.send("GET", "/readyz", ""));
        asked.is_ok_and(|(status, _)| status == 200)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
