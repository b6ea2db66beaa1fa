//! Schedulers and workers that the journeys take for one server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::ended::{Ended, run};
use crate::file::file;
use crate::process::{capstan, program, wait_for};
use crate::role::Role;
use crate::scene::Scene;
use crate::tools::helm_and_chart;

/// Schedulers of one scene.
const SCHEDULERS: usize = 2;
/// Workers of one scene.
const WORKERS: usize = 3;

/// They end with the test.
pub(crate) struct Server {
    // Ended before what they use.
    pub(crate) schedulers: Vec<Role>,
    pub(crate) workers: Vec<Role>,
    /// Of the first scheduler.
    pub(crate) url: String,
    urls: Vec<String>,
    /// Counts commands: each goes to another scheduler than the one before.
    turn: AtomicUsize,
    /// What the roles that start from now on run.
    pub(crate) program: PathBuf,
    /// Of the environment of every role that starts from now on.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) folder: TempDir,
    pub(crate) scene: Scene,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// The same, with other settings.
    pub(crate) fn start_with(change: impl FnOnce(&mut Value)) -> Self {
        Self::start_within(Vec::new(), change)
    }

    /// The same, with variables of the environment.
    pub(crate) fn start_within(
        variables: Vec<(String, String)>,
        change: impl FnOnce(&mut Value),
    ) -> Self {
        Self::without_workers(variables, |settings, _| change(settings)).with_workers()
    }

    /// The same, of another version's program.
    pub(crate) fn start_from(program: &Path, change: impl FnOnce(&mut Value)) -> Self {
        Self::of_program(program, Vec::new(), |settings, _| change(settings)).with_workers()
    }

    /// The same with workers.
    pub(crate) fn with_workers(mut self) -> Self {
        self.workers = (0..WORKERS).map(|number| self.start_worker(number)).collect();
        self.workers.iter().for_each(|worker| drop(worker.address()));
        self
    }

    /// The same for whoever starts workers by itself; `change` gets the folder of everything, too.
    pub(crate) fn without_workers(
        variables: Vec<(String, String)>,
        change: impl FnOnce(&mut Value, &Path),
    ) -> Self {
        Self::of_program(Path::new(env!("CARGO_BIN_EXE_capstan")), variables, change)
    }

    fn of_program(
        program: &Path,
        variables: Vec<(String, String)>,
        change: impl FnOnce(&mut Value, &Path),
    ) -> Self {
        let (scene, folder) = (Scene::take(), tempfile::tempdir().unwrap());
        let helm = helm_and_chart(folder.path());
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let mut settings = scene.settings(&data);
        settings["worker"]["helm"] = helm.to_str().unwrap().into();
        settings["worker"]["artifacts_root"] = folder.path().to_str().unwrap().into();
        // Each is a queue of its own in RabbitMQ, for every scene.
        settings["fleet"]["shards"] = 8.into();
        if program == Path::new(env!("CARGO_BIN_EXE_capstan")) {
            // Another version may not know of it.
            settings["fleet"]["references_after"] = "0s".into();
        }
        change(&mut settings, folder.path());
        file(&data, "settings.yaml", &settings.to_string());
        let mut server = Self {
            schedulers: Vec::new(),
            workers: Vec::new(),
            url: String::new(),
            urls: vec!["127.0.0.1:0".to_owned(); SCHEDULERS],
            turn: AtomicUsize::new(0),
            program: program.to_owned(),
            variables,
            folder,
            scene,
        };
        server.start_schedulers();
        server
    }

    fn start_schedulers(&mut self) {
        self.schedulers = (0..SCHEDULERS).map(|number| self.start_scheduler(number)).collect();
        let urls = self.schedulers.iter().map(|one| format!("http://{}", one.address()));
        self.urls = urls.collect();
        self.url = self.urls[0].clone();
    }

    /// Starts the scheduler of a number, at the address that it had before.
    pub(crate) fn start_scheduler(&self, number: usize) -> Role {
        let address = self.urls[number].trim_start_matches("http://");
        self.start_role("scheduler", number, &["--listen", address])
    }

    /// Starts the worker of a number, named by it.
    pub(crate) fn start_worker(&self, number: usize) -> Role {
        self.start_worker_with(number, &[])
    }

    /// The same, with flags.
    pub(crate) fn start_worker_with(&self, number: usize, flags: &[&str]) -> Role {
        let name = format!("worker-{number}");
        self.start_role("worker", number, &[&["--name", name.as_str()], flags].concat())
    }

    fn start_role(&self, role: &str, number: usize, more: &[&str]) -> Role {
        let data = self.folder.path().join("data");
        let own = data.join(format!("{role}-{number}"));
        let mut command = program(&self.program);
        command.arg(role).arg("--config").arg(data.join("settings.yaml"));
        command.arg("--data-dir").arg(&own).args(more);
        command.envs(self.variables.iter().cloned());
        Role::start(command, &data.join(format!("said-{role}-{number}")))
    }

    /// The number of the worker that runs a tool.
    pub(crate) fn who_bakes(&self) -> usize {
        wait_for("a worker that runs a tool", || {
            self.workers.iter().position(|worker| {
                let pid = worker.pid();
                let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
                tasks.flatten().any(|task| {
                    let children = std::fs::read_to_string(task.path().join("children"));
                    !children.unwrap_or_default().trim().is_empty()
                })
            })
        })
    }

    /// Ends the schedulers at once, and starts them again at the same addresses.
    pub(crate) fn kill_and_start(&mut self) {
        self.kill();
        self.start_schedulers();
    }

    /// Ends the schedulers at once.
    pub(crate) fn kill(&mut self) {
        self.schedulers.iter_mut().for_each(Role::kill);
    }

    /// A command against one of the schedulers, each in its turn.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.urls.len();
        let mut command = capstan();
        command.env("CAPSTAN_SERVER", &self.urls[turn]).env("CAPSTAN_USER", "ann").args(words);
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        run(&mut self.command(words))
    }

    /// Runs a command that has to succeed; what it printed.
    #[track_caller]
    pub(crate) fn out(&self, words: &[&str]) -> String {
        let ended = self.run(words);
        ended.expect(0, &[]);
        ended.out
    }

    /// The same, as JSON.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.out(&[words, &["-o", "json"]].concat())).unwrap()
    }

    /// Whether an entry of the data folder is one of theirs.
    pub(crate) fn is_its_own(name: &str) -> bool {
        let known = ["scheduler-", "worker-", "said-"];
        ["shared", "settings.yaml"].contains(&name)
            || known.into_iter().any(|begin| name.starts_with(begin))
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        file(self.folder.path(), name, text)
    }

    /// Saves a document.
    #[track_caller]
    pub(crate) fn save(&self, document: &Value) {
        let path = self.file("saved.json", &document.to_string());
        self.out(&["pipeline", "save", path.to_str().unwrap()]);
    }
}
