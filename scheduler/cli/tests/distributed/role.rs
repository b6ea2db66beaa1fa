//! One process of a role.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::ended::{Ended, ended, run};
use crate::process::{capstan, kill, wait_for};

/// A scheduler or a worker that runs; killed when it is dropped.
pub(crate) struct Role {
    child: Option<Child>,
    /// Where it says what it says.
    said: PathBuf,
}

/// A command that starts a role with a file of settings.
pub(crate) fn command(role: &str, config: &Path) -> Command {
    let mut command = capstan();
    command.arg(role).arg("--config").arg(config);
    command
}

/// Runs a role that cannot start, to its end.
pub(crate) fn refused(role: &str, config: &Path) -> Ended {
    run(&mut command(role, config))
}

impl Role {
    /// Starts one; what it says goes to a file.
    pub(crate) fn start(mut command: Command, said: &Path) -> Self {
        let file = File::create(said).unwrap();
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child: Some(child), said: said.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Where it listens, once it does.
    pub(crate) fn address(&self) -> String {
        wait_for("the address", || {
            let said = self.said();
            let line = said.lines().find_map(|line| line.strip_prefix("listening on http://"));
            // A line that is not whole yet has no next one.
            line.filter(|_| said.ends_with('\n')).map(str::to_owned)
        })
    }

    pub(crate) fn wait_until_it_says(&self, part: &str) {
        wait_for(part, || self.said().contains(part).then_some(()));
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for its end; its exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        ended(self.child.take().unwrap()).code
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill(child.id());
            let _gone = child.wait();
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.kill();
    }
}
