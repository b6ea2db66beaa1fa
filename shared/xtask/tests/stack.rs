//! The background stack as a person uses it: up, up again, killed, up, down.

#![expect(clippy::unwrap_used, reason = "what a test can't set up is its failure")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shared_testkit::deadline::Deadline;

/// A stack whose state lies in a target folder of its own. Taken down at the end.
struct Stack {
    target: tempfile::TempDir,
}

impl Stack {
    fn new() -> Self {
        Self { target: tempfile::tempdir().unwrap() }
    }

    fn run(&self, command: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["stack", command])
            .env("CARGO_TARGET_DIR", self.target.path())
            .output()
            .unwrap()
    }

    fn up(&self) -> Vec<String> {
        let output = self.run("up");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.target.path().join("stack").join(file)).unwrap()
    }

    fn keeper(&self) -> Pid {
        Pid::from_raw(self.read("pid").parse().unwrap())
    }

    /// The process ids of the servers, from lines like `xtask: etcd: pid 17`.
    fn servers(&self) -> Vec<String> {
        let log = self.read("log");
        log.lines().filter_map(|line| Some(line.split_once(": pid ")?.1.to_owned())).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.run("down");
    }
}

#[test]
fn the_stack_comes_up_once_dies_whole_and_goes_down() {
    let stack = Stack::new();
    assert_eq!(stack.run("status").status.code(), Some(1));
    let addresses = stack.up();
    assert_eq!(stack.up(), addresses);
    assert_eq!(stack.run("status").status.code(), Some(0));
    let servers = stack.servers();
    assert!(stack.read("log").contains("kube-apiserver: pid "), "{servers:?}");
    assert!(servers.iter().all(|pid| is_alive(pid)));

    kill(stack.keeper(), Signal::SIGKILL).unwrap();
    wait_until("every server has died", || !servers.iter().any(|pid| is_alive(pid)));
    assert_eq!(stack.run("status").status.code(), Some(1));

    let left = data_folder(&addresses);
    assert!(left.exists());
    let addresses = stack.up();
    assert!(!left.exists(), "{} was left behind", left.display());

    let servers = stack.servers();
    assert!(stack.run("down").status.success());
    assert!(!servers.iter().any(|pid| is_alive(pid)));
    assert!(!data_folder(&addresses).exists());
}

fn data_folder(addresses: &[String]) -> PathBuf {
    let kubeconfig = addresses.iter().find_map(|line| line.strip_prefix("KUBECONFIG=")).unwrap();
    Path::new(kubeconfig).parent().unwrap().to_owned()
}

/// A process that has ended but was not reaped by its new parent is not alive.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let found =
        Deadline::after(Duration::from_secs(30)).poll(|| Ok::<_, ()>(is_so().then_some(())));
    assert_eq!(found, Ok(Some(())), "not so: {what}");
}
