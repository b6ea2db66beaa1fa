//! A `capstan dev` that is started, asked, signalled and killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::ended::ended;
use crate::http;
use crate::process::{capstan, kill, wait_for};

/// A server in a folder, killed when it is dropped.
pub(crate) struct Dev {
    child: Option<Child>,
    pub(crate) address: String,
    said: PathBuf,
}

impl Dev {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, |_| {})
    }

    /// The same, with more arguments and variables.
    pub(crate) fn start_with(folder: &Path, more: impl FnOnce(&mut Command)) -> Self {
        Self::start_in(folder, &folder.join("data"), more)
    }

    /// The same, on a data folder that lies elsewhere.
    pub(crate) fn start_in(folder: &Path, data: &Path, more: impl FnOnce(&mut Command)) -> Self {
        let said = folder.join("said");
        let err = File::create(&said).unwrap();
        let mut command = capstan();
        command.args(["dev", "--port", "0", "--data-dir"]).arg(data);
        more(&mut command);
        let child = command.stdout(Stdio::null()).stderr(err).spawn().unwrap();
        let address = wait_for("the address", || {
            let text = std::fs::read_to_string(&said).ok()?;
            // In whatever format it is said, and only once it is said whole.
            let (_, rest) = text.split_once("listening on http://")?;
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')?;
            Some(rest[..end].to_owned())
        });
        Self { child: Some(child), address, said }
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        http::send(&self.address, method, path, &body.to_string())
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.send("GET", path, &Value::Null).unwrap().1
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Kills it after a while, from another thread.
    pub(crate) fn kill_after(&self, after: Duration) -> std::thread::JoinHandle<()> {
        let pid = self.child.as_ref().unwrap().id();
        std::thread::spawn(move || {
            std::thread::sleep(after);
            kill(pid);
        })
    }

    /// Ends it with a signal, and waits for its end.
    pub(crate) fn end(mut self, signal: &str) -> Option<i32> {
        let child = self.child.take().unwrap();
        let pid = child.id().to_string();
        assert!(
            std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success()
        );
        ended(child).code
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            kill(child.id());
            let _gone = child.wait();
        }
    }
}
