//! kill -9 of a worker in the middle of a bake: nothing is left, and the next one bakes once.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "packer/docker.rs"]
#[expect(dead_code, reason = "the other tests of Packer use the rest of it")]
mod docker;
#[path = "packer/templates.rs"]
mod templates;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use docker::{containers, docker, processes, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use shared_testkit::env;
use tempfile::TempDir;
use templates::{hcl, recipes};

struct Scene {
    folder: TempDir,
    recipes: PathBuf,
    repository: String,
}

impl Scene {
    /// A bake that takes long as long as the file `slow` is beside the template.
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = format!("example.test/{name}-{}", std::process::id());
        let template = hcl("echo half-way; busybox sleep ${var.seconds}", &repository, "1")
            + "variable \"seconds\" {\n type = number\n default = 300\n}\n";
        let recipes = recipes(folder.path(), &[("t.pkr.hcl", &template)]);
        Self { folder, recipes, repository }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What `capstan` does when it takes the stage, or takes it over with the next epoch.
    fn worker(&self, epoch: u32, seconds: u32) -> Child {
        let test = std::env::current_exe().unwrap();
        let binary = test.ancestors().nth(2).unwrap().join("examples/bake-guard");
        assert!(binary.is_file(), "{} is not built: run all of `cargo test`", binary.display());
        let context =
            json!({"templateFileName": "t.pkr.hcl", "extendedAttributes": {"seconds": seconds}});
        Command::new(binary)
            .arg("bake")
            .arg(self.folder.path())
            .arg(&self.recipes)
            .args([env::docker_host(), epoch.to_string(), context.to_string()])
            .stdin(Stdio::null())
            .stderr(File::create(self.folder.path().join("log")).unwrap())
            .spawn()
            .unwrap()
    }

    /// A worker in the middle of a bake, with its container.
    fn half_way(&self) -> Child {
        let worker = self.worker(1, 300);
        wait_for("the middle of the bake", || self.log().contains("half-way").then_some(()));
        assert_eq!(containers(self.folder.path()).len(), 1);
        worker
    }

    fn take_over(&self) {
        let mut worker = self.worker(2, 0);
        assert!(worker.wait().unwrap().success(), "{}", self.log());
        let images = docker(&["images", "--quiet", "--no-trunc", &self.repository]);
        assert_eq!(images.lines().count(), 1, "exactly one image: {images}");
        assert!(containers(self.folder.path()).is_empty());
        docker(&["rmi", &format!("{}:1", self.repository)]);
    }

    fn wait_for_no_process(&self) {
        wait_for("the end of its processes", || {
            processes(self.folder.path()).is_empty().then_some(())
        });
    }
}

fn kill_now(pid: i32) {
    let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

#[test]
fn a_killed_worker_leaves_nothing_and_another_bakes() {
    let scene = Scene::new("killed-worker");
    let mut worker = scene.half_way();
    worker.kill().unwrap();
    worker.wait().unwrap();
    wait_for("the end of its container", || {
        containers(scene.folder.path()).is_empty().then_some(())
    });
    scene.wait_for_no_process();
    scene.take_over();
}

/// The guard gone as well, nobody asks Packer to end: what it left is found by the next run.
#[test]
fn a_killed_worker_and_guard_leave_what_the_next_run_removes() {
    let scene = Scene::new("killed-all");
    let mut worker = scene.half_way();
    let guards = children_of(worker.id());
    assert_eq!(guards.len(), 1, "{guards:?}");
    worker.kill().unwrap();
    guards.into_iter().for_each(kill_now);
    worker.wait().unwrap();
    // What Packer started holds on for as long as Packer would.
    for (pid, _) in processes(scene.folder.path()) {
        kill_now(pid);
    }
    scene.wait_for_no_process();
    assert_eq!(containers(scene.folder.path()).len(), 1, "nobody was there to remove it");
    scene.take_over();
    assert!(scene.log().contains("removed 1 container(s)"), "{}", scene.log());
}

fn children_of(parent: u32) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: i32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 1..].split_whitespace().nth(1)?.parse().ok()
}
