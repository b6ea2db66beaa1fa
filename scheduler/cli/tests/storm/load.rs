//! Pipelines that are submitted as long as there is room, and what the world saw of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared_testkit::http_server::{Asked, HttpServer, Reply};
use shared_testkit::{audit, env};

use crate::http::send;
use crate::process::wait_for;
use crate::server::Server;

/// Executions at once.
const AT_ONCE: usize = 250;
/// Every so many bake a chart, deploy it and call a target that recognises nothing.
const FULL_EVERY: usize = 8;
/// How long all of them may take to end once no accident happens any more.
const END_LIMIT: Duration = Duration::from_secs(300);

/// Counts the loads of this process.
static LOADS: AtomicUsize = AtomicUsize::new(0);

/// The load and its target.
pub(crate) struct Load {
    shared: Arc<Shared>,
    submitter: Option<JoinHandle<()>>,
}

struct Shared {
    addresses: Vec<String>,
    name: String,
    target: HttpServer,
    /// What was promised: executions whose submission was acknowledged, and their releases.
    promised: Mutex<BTreeMap<String, String>>,
    effects: Arc<AtomicUsize>,
    finished: Arc<Mutex<BTreeSet<String>>>,
    is_over: AtomicBool,
}

impl Load {
    pub(crate) fn start(server: &Server) -> Self {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/charts/shop");
        let copied = Command::new("cp").arg("-r").arg(chart).arg(server.folder.path()).status();
        assert!(copied.unwrap().success());
        let (effects, finished) = (Arc::<AtomicUsize>::default(), Arc::default());
        let target = HttpServer::start(answer(Arc::clone(&effects), Arc::clone(&finished)));
        let shared = Arc::new(Shared {
            addresses: server.schedulers.iter().map(crate::role::Role::address).collect(),
            // Each has a namespace of its own: they may run side by side.
            name: format!("storm-{}-{}", std::process::id(), LOADS.fetch_add(1, Ordering::SeqCst)),
            target: target.unwrap(),
            promised: Mutex::default(),
            effects,
            finished,
            is_over: AtomicBool::new(false),
        });
        shared.save();
        let of_thread = Arc::clone(&shared);
        let submitter = Some(std::thread::spawn(move || of_thread.submit()));
        Self { shared, submitter }
    }

    pub(crate) fn wait_until_it_runs(&self) {
        wait_for("a few hundred running pipelines", || {
            let finished = self.shared.finished.lock().unwrap().len();
            (self.running() >= AT_ONCE * 4 / 5 && finished > 0).then_some(())
        });
    }

    pub(crate) fn running(&self) -> usize {
        self.shared.running()
    }

    fn effects(&self) -> usize {
        self.shared.effects.load(Ordering::SeqCst)
    }

    /// How long until the next effect.
    pub(crate) fn next_progress(&self) -> Duration {
        let (began, before) = (Instant::now(), self.effects());
        wait_for("the next effect", || (self.effects() > before).then_some(()));
        began.elapsed()
    }

    /// The longest time without an effect while something happens.
    pub(crate) fn longest_silence(&self, happens: impl FnOnce()) -> Duration {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let listening = scope.spawn(|| {
                let (mut longest, mut last, mut known) =
                    (Duration::ZERO, Instant::now(), self.effects());
                while !is_over.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                    longest = longest.max(last.elapsed());
                    if self.effects() > known {
                        (last, known) = (Instant::now(), self.effects());
                    }
                }
                longest
            });
            happens();
            is_over.store(true, Ordering::SeqCst);
            listening.join().unwrap()
        })
    }

    /// Submits no more, waits until all have ended, and looks at what they did.
    pub(crate) fn end(mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.submitter.take().unwrap().join().unwrap();
        let promised = self.shared.promised.lock().unwrap().clone();
        let (began, mut told) = (Instant::now(), 0);
        while let Some(running) = self.shared.unfinished() {
            assert!(began.elapsed() < END_LIMIT, "not ended after {END_LIMIT:?}: {running:#?}");
            told += running.iter().map(|execution| self.shared.tell(execution)).sum::<usize>();
            std::thread::sleep(Duration::from_millis(200));
        }
        println!(
            "{} executions; the last ended {:?} after the last accident; {told} asked what became of them",
            promised.len(),
            began.elapsed()
        );
        for id in promised.keys() {
            let execution = self.shared.get(&format!("/pipelines/{id}"));
            assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
        }
        self.shared.check_requests(&promised);
        self.shared.check_changes(&promised);
    }
}

/// Counts, and takes its time with what it cannot recognise.
fn answer(
    effects: Arc<AtomicUsize>,
    finished: Arc<Mutex<BTreeSet<String>>>,
) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| {
        if asked.path.starts_with("/once/") {
            std::thread::sleep(Duration::from_millis(200));
        }
        if let Some(id) = asked.path.strip_prefix("/last/") {
            finished.lock().unwrap().insert(id.to_owned());
        }
        effects.fetch_add(1, Ordering::SeqCst);
        Reply::json(200, &json!({ "taken": true }))
    }
}

impl Shared {
    fn running(&self) -> usize {
        let finished = self.finished.lock().unwrap().len();
        self.promised.lock().unwrap().len().saturating_sub(finished)
    }

    /// Asks one scheduler after the other until one answers.
    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        wait_for(path, || {
            let mut answers =
                self.addresses.iter().map(|one| send(one, method, path, &body.to_string()));
            answers.find_map(|answer| answer.filter(|(status, _)| *status < 500))
        })
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null).1
    }

    fn save(&self) {
        let space =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}});
        let deploy = json!({"application": "storm", "name": "space", "id": "space", "stages": [
            {"refId": "0", "type": "deployManifest", "name": "Namespace",
             "account": "capstan-test", "manifests": [space]}]});
        for document in [deploy, self.light(), self.full()] {
            let (status, answer) = self.ask("POST", "/pipelines", &document);
            assert_eq!(status, 200, "{answer}");
        }
        let (_, answer) = self.ask("POST", "/pipelines/storm/space", &json!({}));
        let path = answer["ref"].as_str().unwrap().to_owned();
        wait_for("the namespace", || (self.get(&path)["status"] == "SUCCEEDED").then_some(()));
    }

    fn call(&self, reference: &str, after: &[&str], path: &str) -> Value {
        json!({"refId": reference, "type": "webhook", "name": reference, "method": "PUT",
               "requisiteStageRefIds": after, "url": self.target.url(path)})
    }

    fn light(&self) -> Value {
        json!({"application": "storm", "name": "light", "id": "light", "stages": [
            {"refId": "w", "type": "wait", "name": "wait", "waitTime": 12},
            self.call("middle", &["w"], "/middle/${execution.id}"),
            {"refId": "v", "type": "wait", "name": "wait", "waitTime": 12,
             "requisiteStageRefIds": ["middle"]},
            self.call("last", &["v"], "/last/${execution.id}"),
        ]})
    }

    fn full(&self) -> Value {
        let chart = json!({"type": "local/file", "name": "chart", "reference": "shop"});
        let baked = json!({"type": "embedded/base64", "name": "${parameters.release}"});
        json!({"application": "storm", "name": "full", "id": "full", "stages": [
            {"refId": "bake", "type": "bakeManifest", "name": "Bake", "templateRenderer": "HELM3",
             "outputName": "${parameters.release}", "namespace": self.name,
             "overrides": {"image": "nginx:1.27"}, "inputArtifacts": [{"artifact": chart}],
             "expectedArtifacts": [{"id": "m", "matchArtifact": baked}]},
            {"refId": "deploy", "type": "deployManifest", "name": "Deploy",
             "account": "capstan-test", "source": "artifact", "manifestArtifactId": "m",
             "requisiteStageRefIds": ["bake"]},
            {"refId": "once", "type": "webhook", "name": "Once", "method": "POST",
             "url": self.target.url("/once/${execution.id}")},
            self.call("last", &["deploy", "once"], "/last/${execution.id}"),
        ]})
    }

    /// Submits one after the other while there is room.
    fn submit(&self) {
        for number in 0_usize.. {
            while self.running() >= AT_ONCE && !self.is_over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let is_full = number.is_multiple_of(FULL_EVERY);
            let release = if is_full { format!("shop-{number}") } else { String::new() };
            let path = if is_full { "/pipelines/storm/full" } else { "/pipelines/storm/light" };
            let body = json!({ "parameters": { "release": release } }).to_string();
            let address = &self.addresses[number % self.addresses.len()];
            // Without an answer nothing was promised.
            if let Some((202, answer)) = send(address, "POST", path, &body) {
                let id = answer["ref"].as_str().unwrap().trim_start_matches("/pipelines/");
                self.promised.lock().unwrap().insert(id.to_owned(), release);
            } else {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Those that have not ended; `None` if all have.
    fn unfinished(&self) -> Option<Vec<Value>> {
        let path = "/applications/storm/pipelines?expand=true&limit=1000\
                    &statuses=RUNNING,NOT_STARTED,PAUSED,SUSPENDED,BUFFERED";
        let running = self.get(path);
        let running = running.as_array().unwrap_or_else(|| panic!("{running:#}"));
        (!running.is_empty()).then(|| running.clone())
    }

    /// Says what became of a webhook of which nobody knows; how many there were.
    fn tell(&self, execution: &Value) -> usize {
        let id = execution["id"].as_str().unwrap();
        let waits = execution["waitingFor"].as_array().into_iter().flatten();
        let asks: Vec<_> = waits.filter(|wait| wait["kind"] == "outcome").collect();
        for wait in &asks {
            let stage = wait["stage"].as_str().unwrap();
            let path = format!("/once/{id}");
            let was_done = self.target.asked().iter().any(|asked| asked.path == path);
            let body = json!({ "outcome": if was_done { "done" } else { "repeat" } });
            let _late = self.ask("PATCH", &format!("/pipelines/{id}/stages/{stage}"), &body);
        }
        asks.len()
    }

    /// Each call was made, under one key; what nobody would recognise was made once.
    fn check_requests(&self, promised: &BTreeMap<String, String>) {
        let mut keys: BTreeMap<String, BTreeSet<Option<String>>> = BTreeMap::new();
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for asked in self.target.asked() {
            let key = asked.header("idempotency-key").map(str::to_owned);
            keys.entry(asked.path.clone()).or_default().insert(key);
            *times.entry(asked.path).or_default() += 1;
        }
        for (id, release) in promised {
            let other = if release.is_empty() { "middle" } else { "once" };
            for path in [format!("/last/{id}"), format!("/{other}/{id}")] {
                assert_eq!(keys.get(&path).map(BTreeSet::len), Some(1), "{path}");
            }
        }
        let doubled: Vec<_> = times
            .iter()
            .filter(|(path, times)| path.starts_with("/once/") && **times > 1)
            .collect();
        assert!(doubled.is_empty(), "done twice: {doubled:?}");
    }

    /// Each object of each release was changed once.
    fn check_changes(&self, promised: &BTreeMap<String, String>) {
        let (mut changes, mut versions) = (BTreeMap::<String, usize>::new(), BTreeMap::new());
        let mut releases = BTreeSet::new();
        for write in audit::writes(&env::audit_log()).unwrap() {
            let is_ours =
                write.namespace == self.name && write.request_uri.contains("fieldManager=capstan");
            if !is_ours || write.status >= 300 {
                continue;
            }
            releases.insert(write.name.clone());
            let key = format!("{} {}", write.resource, write.name);
            let version = write.resource_version.clone();
            if versions.insert(key.clone(), version.clone()) != Some(version) {
                *changes.entry(key).or_default() += 1;
            }
        }
        let doubled: Vec<_> = changes.iter().filter(|(_, times)| **times > 1).collect();
        assert!(doubled.is_empty(), "changed twice: {doubled:?}");
        let wanted: BTreeSet<_> =
            promised.values().filter(|release| !release.is_empty()).cloned().collect();
        let missing: Vec<_> = wanted.difference(&releases).collect();
        assert!(missing.is_empty() && !wanted.is_empty(), "not deployed: {missing:?}");
        println!("{} releases deployed, {} objects", wanted.len(), changes.len());
    }
}
