//! The server as a process of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::http::Connection;
use super::now;

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often it is asked whether it is ready.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// A server that is ready; killed when it is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) address: String,
    pub(super) ready_after: Duration,
}

impl Server {
    pub(super) fn start(program: &Path, folder: &Path) -> Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(program);
        command.args(["dev", "--port", &free.port().to_string(), "--data-dir"]).arg(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = now();
        let child = command.spawn();
        let child = child.with_context(|| format!("`{}` cannot be started", program.display()))?;
        let mut server = Self { child, address: free.to_string(), ready_after: Duration::ZERO };
        while !server.is_ready() {
            ensure!(server.child.try_wait()?.is_none(), "the server ended by itself");
            ensure!(began.elapsed() < START_LIMIT, "not ready within {START_LIMIT:?}");
            std::thread::sleep(LOOK_INTERVAL);
        }
        server.ready_after = began.elapsed();
        Ok(server)
    }

    fn is_ready(&self) -> bool {
        let asked =
            Connection::open(&self.address).and_then(|mut at| at.send("GET", "/readyz", ""));
        asked.is_ok_and(|(status, _)| status == 200)
    }

    /// What the kernel says of its memory.
    pub(super) fn memory(&self) -> Result<Value> {
        let of = |file: &str| {
            let path = format!("/proc/{}/{file}", self.child.id());
            std::fs::read_to_string(&path).with_context(|| format!("`{path}` cannot be read"))
        };
        let (rollup, status) = (of("smaps_rollup")?, of("status")?);
        let mib = |name: &str| (number(&rollup, name) as f64 / 102.4).round() / 10.0;
        Ok(json!({
            "RSS, MiB": mib("Rss:"), "PSS, MiB": mib("Pss:"), "PSS anonymous, MiB": mib("Pss_Anon:"),
            "PSS of files, MiB": mib("Pss_File:"), "threads": number(&status, "Threads:"),
        }))
    }

    /// Asks it to end, and waits for that.
    pub(super) fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "no `kill`");
        let ended = self.child.wait()?;
        ensure!(ended.success(), "the server ended with {ended}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The number behind a name that begins a line.
fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
