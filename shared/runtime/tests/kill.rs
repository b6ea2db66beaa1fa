//! The promise that everything else stands on: kill -9 at any moment, start again, and a tool that
//! finished was not run twice, its result is whole, and nothing is left running.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]
#![expect(clippy::disallowed_methods, reason = "real processes need real time")]

#[path = "guard/scene.rs"]
#[expect(dead_code, reason = "the other tests of tools use the rest of it")]
mod scene;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use scene::{binary, is_alive, line_of, wait_for};

const SEEDS: u64 = 30;

/// Each seed kills a parent once or twice, at moments that cover a run's whole life, then lets one
/// live to its end.
#[test]
fn a_killed_parent_leaves_no_process_and_no_finished_run_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let mut killed_while_running = 0;
    for seed in 0..SEEDS {
        let scene = Scene::new(folder.path(), seed);
        for round in 0..=seed % 2 {
            let mut parent = scene.parent();
            std::thread::sleep(Duration::from_millis((seed * 37 + round * 101) % 400));
            killed_while_running += u32::from(parent.try_wait().unwrap().is_none());
            parent.kill().unwrap();
            parent.wait().unwrap();
        }
        assert_eq!(scene.parent().wait().unwrap().code(), Some(7), "seed {seed}");
        let finished = std::fs::read_to_string(scene.file("finished")).unwrap();
        assert_eq!(finished, "finished\n", "seed {seed}: a finished run was repeated");
        let stdout = std::fs::read_to_string(scene.stdout()).unwrap();
        assert_eq!(stdout, "first\nlast\n", "seed {seed}: the result is not whole");
        for pid in std::fs::read_to_string(scene.file("started")).unwrap().lines() {
            assert!(!is_alive(pid), "seed {seed}: {pid} is left running");
        }
    }
    assert!(killed_while_running >= 15, "only {killed_while_running} were killed while they ran");
}

/// Ctrl-C at a terminal, or a container that stops, ends a whole group at once.
#[test]
fn a_killed_group_leaves_the_guard_to_finish() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path(), 0);
    let mut parent = scene.parent();
    line_of(&scene.file("started"));
    killpg(pid_of(&parent), Signal::SIGKILL).unwrap();
    parent.wait().unwrap();
    wait_for(|| scene.file("finished").exists());
    assert_eq!(scene.parent().wait().unwrap().code(), Some(7));
    assert_eq!(std::fs::read_to_string(scene.file("finished")).unwrap(), "finished\n");
}

#[test]
fn a_tool_that_never_ends_goes_when_its_parent_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!("sleep 300 & echo $$ $! > {}; wait", file.display());
    let mut parent = start_parent(folder.path(), "k", &script);
    let pids = line_of(&file);
    parent.kill().unwrap();
    parent.wait().unwrap();
    for pid in pids.split(' ') {
        wait_for(|| !is_alive(pid));
    }
}

/// Nobody kills a guard but the kernel; then it is the kernel that ends the tool.
#[test]
fn a_killed_guard_takes_its_tool_along_and_the_next_run_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let slow = format!("sleep 300 & echo $PPID $$ $! > {}; wait", file.display());
    let mut parent = start_parent(folder.path(), "k", &slow);
    let pids = line_of(&file);
    let (guard, of_tool) = pids.split_once(' ').unwrap();
    kill(Pid::from_raw(guard.parse().unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(parent.wait().unwrap().code(), Some(98));
    for pid in of_tool.split(' ') {
        wait_for(|| !is_alive(pid));
    }
    assert_eq!(start_parent(folder.path(), "k", "exit 5").wait().unwrap().code(), Some(5));
}

/// Both at once: what is left of the tool still holds the lock, by which the next run finds it.
#[test]
fn what_a_killed_guard_and_parent_left_behind_ends_with_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let slow = format!("sleep 300 & echo $PPID $! > {}; wait", file.display());
    let mut parent = start_parent(folder.path(), "k", &slow);
    let pids = line_of(&file);
    let (guard, left) = pids.split_once(' ').unwrap();
    parent.kill().unwrap();
    kill(Pid::from_raw(guard.parse().unwrap()), Signal::SIGKILL).unwrap();
    parent.wait().unwrap();
    assert_eq!(start_parent(folder.path(), "k", "exit 5").wait().unwrap().code(), Some(5));
    wait_for(|| !is_alive(left));
}

/// A shutdown of the machine asks every process to end: a tool that fails for it did not fail.
#[test]
fn a_tool_that_is_told_to_end_with_its_guard_did_not_end_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!(
        "trap 'exit 1' TERM; echo $$ $PPID > {}; while :; do sleep 0.02; done",
        file.display()
    );
    let mut parent = start_parent(folder.path(), "k", &script);
    let pids = line_of(&file);
    for pid in pids.split(' ').rev() {
        // The tool may be gone by then: its guard has asked it as well.
        let _gone = kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGTERM);
    }
    assert_eq!(parent.wait().unwrap().code(), Some(98));
    assert_eq!(start_parent(folder.path(), "k", "exit 5").wait().unwrap().code(), Some(5));
}

/// A tool that notes when it starts and when it finishes, under one key.
struct Scene<'a> {
    folder: &'a Path,
    seed: u64,
}

impl<'a> Scene<'a> {
    fn new(folder: &'a Path, seed: u64) -> Self {
        Self { folder, seed }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.join(format!("{name}-{}", self.seed))
    }

    fn key(&self) -> String {
        format!("key-{}", self.seed)
    }

    fn parent(&self) -> Child {
        let script = format!(
            "echo $$ >> {}; echo first; sleep 0.3; echo last; echo finished >> {}; exit 7",
            self.file("started").display(),
            self.file("finished").display()
        );
        start_parent(self.folder, &self.key(), &script)
    }

    fn stdout(&self) -> std::path::PathBuf {
        scene::tools(self.folder).run_folder(&self.key()).join("stdout")
    }
}

fn start_parent(runs: &Path, key: &str, script: &str) -> Child {
    use std::os::unix::process::CommandExt;
    Command::new(binary())
        .args(["parent", &runs.to_string_lossy(), key, script])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}
