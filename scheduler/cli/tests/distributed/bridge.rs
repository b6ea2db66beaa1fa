//! The kubelet of the worker Deployment: one real worker process per pod, told to end when its pod is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use shared_testkit::env;
use shared_testkit::stack::Api;

use crate::role::{self, Role};

/// How often pods are looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// What happened so far.
#[derive(Default)]
pub(crate) struct Seen {
    /// Workers that run and were not told to end.
    pub(crate) running: usize,
    pub(crate) running_max: usize,
    /// How many were told to end.
    pub(crate) told: usize,
    /// Exit codes of those of them that have ended; `None` of one that a signal ended.
    pub(crate) ended: Vec<Option<i32>>,
}

/// Watches pods until it is dropped.
pub(crate) struct Bridge {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

impl Bridge {
    /// Starts workers for the pods of a namespace, with the settings in a folder.
    pub(crate) fn start(namespace: &str, data: PathBuf) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let api = Api::from_kubeconfig(&env::kubeconfig()).unwrap();
        let namespace = namespace.to_owned();
        let mut loop_ =
            Loop { api, namespace, data, seen: Arc::clone(&seen), workers: BTreeMap::new() };
        let end = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                loop_.turn();
                std::thread::sleep(PAUSE);
            }
        });
        Self { stop, seen, thread: Some(thread) }
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

struct Loop {
    api: Api,
    namespace: String,
    data: PathBuf,
    seen: Arc<Mutex<Seen>>,
    workers: BTreeMap<String, Role>,
}

impl Loop {
    fn turn(&mut self) {
        let pods = format!("/api/v1/namespaces/{}/pods", self.namespace);
        let Ok(list) = self.api.get(&pods) else { return };
        let pods = list["items"].as_array().unwrap();
        let is_wanted = |pod: &&Value| {
            pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
        };
        let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
        let wanted: Vec<String> = pods.iter().filter(is_wanted).map(name).collect();
        for name in &wanted {
            if !self.workers.contains_key(name) {
                self.workers.insert(name.clone(), self.worker(name));
            }
        }
        let gone = self.workers.extract_if(.., |name, _| !wanted.contains(name));
        let gone: Vec<Role> = gone.map(|(_, worker)| worker).collect();
        for worker in gone {
            worker.signal("-TERM");
            let seen = Arc::clone(&self.seen);
            seen.lock().unwrap().told += 1;
            std::thread::spawn(move || {
                let code = worker.ended();
                seen.lock().unwrap().ended.push(code);
            });
        }
        let mut seen = self.seen.lock().unwrap();
        seen.running = self.workers.len();
        seen.running_max = seen.running_max.max(seen.running);
    }

    fn worker(&self, name: &str) -> Role {
        let mut command = role::command("worker", &self.data.join("settings.yaml"));
        command.arg("--data-dir").arg(self.data.join(format!("worker-{name}")));
        command.args(["--name", name]);
        // As the downward API of Kubernetes gives it to a pod.
        command.env("CAPSTAN__WORKER__POD__NAME", name);
        command.env("CAPSTAN__WORKER__POD__NAMESPACE", &self.namespace);
        command.env("CAPSTAN__WORKER__POD__KUBECONFIG", env::kubeconfig());
        Role::start(command, &self.data.join(format!("said-worker-{name}")))
    }
}
