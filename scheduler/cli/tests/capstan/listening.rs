//! A `capstan dev` that is asked, and looked at from outside.

use std::path::Path;
use std::process::{Child, Stdio};

use crate::process::{capstan, kill, wait_for};

/// A server in a folder, killed when it is dropped.
pub(crate) struct Listening {
    child: Child,
    pub(crate) address: String,
}

impl Listening {
    pub(crate) fn start(folder: &Path) -> Self {
        let said = folder.join("said");
        let mut command = capstan();
        command.args(["dev", "--port", "0", "--data-dir"]).arg(folder.join("data"));
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&said).unwrap());
        let child = command.spawn().unwrap();
        let address = wait_for("the address", || {
            let text = std::fs::read_to_string(&said).ok()?;
            let line = text.lines().find(|line| line.starts_with("listening on http://"))?;
            Some(line.rsplit('/').next()?.to_owned())
        });
        Self { child, address }
    }

    /// Its resident memory.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        kill(self.child.id());
        let _gone = self.child.wait();
    }
}
