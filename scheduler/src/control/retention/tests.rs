use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use shared_adapters::memory;
use shared_model::Status;
use shared_ports::conformance::SimClock;
use shared_ports::journal::{Append, Head, RunningMax};
use shared_ports::{BlobRef, Blobs, LogName};

use super::*;

const DAY: SignedDuration = SignedDuration::from_hours(24);

struct Scene {
    keeper: Keeper,
    ports: Ports,
    now: Timestamp,
}

impl Scene {
    fn new(retention: Retention) -> Self {
        Self::with(retention, |ports| ports)
    }

    fn with(retention: Retention, change: impl FnOnce(Ports) -> Ports) -> Self {
        let ports = change(memory::ports(Arc::new(SimClock::default()), 100));
        let (now, found) = (ports.clock.now(), Found::default());
        let keeper = Keeper { retention, ports: ports.clone(), found, removed: 0 };
        Self { keeper, ports, now }
    }

    /// Stores an execution that was submitted, and ended, so many days ago, with a log.
    async fn store(&self, id: &str, days: i32, status: Status, trigger: serde_json::Value) {
        let at = self.now - DAY * days;
        let head = Head {
            kind: Kind::Pipeline,
            application: "Shop".into(),
            name: "release".into(),
            pipeline_config_id: Some("p".into()),
            status,
            build_time: at,
            start_time: Some(at),
            end_time: status.is_complete().then_some(at),
            state: Bytes::from_static(b"state"),
        };
        let append = Append {
            execution: ExecutionId::new(id),
            expected: 0,
            head,
            document: Some(json!({ "trigger": trigger })),
            stages: Vec::new(),
            history: Vec::new(),
            with: None,
            running_max: None,
            running_max_beyond: RunningMax::default(),
        };
        self.ports.journal.append(vec![append]).await.unwrap();
        self.ports.blobs.append(&log(id), Bytes::from_static(b"a line")).await.unwrap();
    }

    async fn ended(&self, id: &str, days: i32) {
        self.store(id, days, Status::Succeeded, json!({})).await;
    }

    async fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for id in ["a", "b", "c", "d", "e", "f"] {
            if self.ports.journal.load(&ExecutionId::new(id)).await.unwrap().is_some() {
                left.push(id.to_owned());
            }
        }
        left
    }

    async fn log(&self, id: &str) -> Bytes {
        self.ports.blobs.read(&log(id), 0, 100).await.unwrap()
    }
}

fn log(id: &str) -> LogName {
    LogName { execution: id.into(), stage: "1".into() }
}

fn few() -> Retention {
    Retention { executions_per_pipeline_min: 1, ..Retention::default() }
}

#[tokio::test]
async fn what_is_old_goes_with_its_logs_but_the_newest_stay() {
    let mut scene = Scene::new(few());
    for (id, days) in [("a", 50), ("b", 40), ("c", 29), ("d", 31)] {
        scene.ended(id, days).await;
    }
    scene.keeper.pass().await.unwrap();
    assert_eq!(scene.left().await, ["c"]);
    assert_eq!((scene.log("a").await, scene.log("c").await), ("".into(), "a line".into()));
    let size = scene.keeper.found.lock().unwrap().unwrap();
    assert_eq!((size.executions, size.log_bytes, size.removed), (1, 6, 3));

    // The last one stays, however old it gets.
    let mut scene = Scene::new(few());
    scene.ended("a", 400).await;
    scene.keeper.pass().await.unwrap();
    assert_eq!(scene.left().await, ["a"]);
}

#[tokio::test]
async fn what_is_too_much_goes_once_it_is_a_day_old() {
    let most = Retention { executions_per_pipeline_max: 2, ..few() };
    let mut scene = Scene::new(most);
    for (id, days) in [("a", 5), ("b", 4), ("c", 3), ("d", 2)] {
        scene.ended(id, days).await;
    }
    scene.keeper.pass().await.unwrap();
    assert_eq!(scene.left().await, ["c", "d"]);
    for id in ["e", "f"] {
        scene.ended(id, 0).await;
    }
    scene.keeper.pass().await.unwrap();
    assert_eq!(scene.left().await, ["e", "f"]);
    scene.ended("a", 0).await;
    scene.keeper.pass().await.unwrap();
    assert_eq!(scene.left().await, ["a", "e", "f"], "too young");
}

#[tokio::test]
async fn what_goes_on_stays_and_so_does_what_it_waits_for() {
    let mut scene =
        Scene::new(Retention { executions_per_pipeline_min: 0, ..Retention::default() });
    let of = |parent: &str| json!({ "parentExecution": { "id": parent } });
    scene.store("a", 90, Status::Running, json!({})).await;
    scene.store("b", 80, Status::Succeeded, of("a")).await;
    scene.store("c", 70, Status::Paused, json!({})).await;
    scene.store("d", 60, Status::Succeeded, of("nobody")).await;
    scene.keeper.pass().await.unwrap();
    assert_eq!(scene.left().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn nothing_goes_by_itself_where_that_is_off() {
    let mut scene = Scene::new(Retention { enabled: false, ..few() });
    scene.ended("a", 500).await;
    scene.ended("b", 400).await;
    scene.keeper.pass().await.unwrap();
    assert_eq!(scene.left().await, ["a", "b"]);
    assert_eq!(scene.keeper.found.lock().unwrap().unwrap().executions, 2);
}

#[tokio::test]
async fn blobs_stay_as_long_as_a_message_may_need_them() {
    let scene = Scene::new(few());
    let unused = scene.keeper.unused_since(scene.now).await.unwrap();
    assert_eq!(unused, scene.now - DAY * 14);
    scene.store("a", 20, Status::Paused, json!({})).await;
    let unused = scene.keeper.unused_since(scene.now).await.unwrap();
    assert_eq!(unused, scene.now - DAY * 20 - PUT_NOTED_EVERY);
}

/// Blobs whose logs cannot be removed for now: as if the process ended in between.
struct Stuck {
    blobs: Arc<dyn Blobs>,
    is_stuck: AtomicBool,
}

#[async_trait]
impl Blobs for Stuck {
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, PortError> {
        self.blobs.put(bytes).await
    }

    async fn get(&self, blob: &BlobRef, range: Option<(u64, u64)>) -> Result<Bytes, PortError> {
        self.blobs.get(blob, range).await
    }

    async fn append(&self, log: &LogName, chunk: Bytes) -> Result<(), PortError> {
        self.blobs.append(log, chunk).await
    }

    async fn read(&self, log: &LogName, offset: u64, bytes_max: usize) -> Result<Bytes, PortError> {
        self.blobs.read(log, offset, bytes_max).await
    }

    async fn remove(&self, blobs: &[BlobRef], execution: Option<&str>) -> Result<(), PortError> {
        if self.is_stuck.load(Ordering::SeqCst) {
            return Err(PortError::Full { doing: "removing".into() });
        }
        self.blobs.remove(blobs, execution).await
    }

    async fn sweep(&self, unused_since: Timestamp) -> Result<Kept, PortError> {
        self.blobs.sweep(unused_since).await
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.blobs.ready().await
    }
}

#[tokio::test]
async fn what_was_left_in_between_is_found_later() {
    let blobs: Arc<dyn Blobs> = memory::ports(Arc::new(SimClock::default()), 100).blobs;
    let stuck = Arc::new(Stuck { blobs, is_stuck: AtomicBool::new(true) });
    let given = Arc::clone(&stuck);
    let mut scene = Scene::with(few(), move |ports| Ports { blobs: given, ..ports });
    scene.ended("a", 50).await;
    scene.ended("b", 1).await;
    scene.keeper.pass().await.unwrap();
    assert_eq!(scene.left().await, ["b"]);
    assert_eq!(scene.log("a").await, "a line", "its rows are gone, its log is not");
    stuck.is_stuck.store(false, Ordering::SeqCst);
    // Within the hour a lost worker may still write.
    scene.keeper.pass().await.unwrap();
    assert_eq!(scene.log("a").await, "a line");
    removal::clear(&scene.ports, scene.now + DAY).await.unwrap();
    assert_eq!(scene.log("a").await, "");
    assert_eq!(scene.log("b").await, "a line");
    assert_eq!(scene.ports.journal.removed(scene.now + DAY, 10).await.unwrap(), []);
}

#[tokio::test]
async fn the_logs_of_who_took_an_id_again_stay() {
    let scene = Scene::new(few());
    scene.ended("a", 50).await;
    let all = [(ExecutionId::new("a"), 1)];
    assert_eq!(removal::remove(&scene.ports, &all).await.unwrap().len(), 1);
    scene.ended("a", 0).await;
    removal::clear(&scene.ports, scene.now + DAY).await.unwrap();
    assert_eq!((scene.left().await, scene.log("a").await), (vec!["a".into()], "a line".into()));
}

#[tokio::test]
async fn old_tasks_on_documents_go() {
    let mut scene = Scene::new(few());
    for (id, days) in [("old", 40), ("new", 1)] {
        let change = shared_ports::documents::Change {
            kind: "task".into(),
            id: id.into(),
            expected: 0,
            body: Some(json!({ "id": id })),
            by: "somebody".into(),
            at: scene.now - DAY * days,
        };
        scene.ports.documents.change(change).await.unwrap();
    }
    scene.keeper.pass().await.unwrap();
    let documents = &scene.ports.documents;
    assert!(documents.get("task", "old").await.unwrap().is_none());
    assert_eq!(documents.history("task", "old", 10).await.unwrap(), []);
    assert!(documents.get("task", "new").await.unwrap().is_some());
}

#[test]
fn settings_are_read_and_shown_with_their_units() {
    let read: Retention = serde_json::from_value(json!({ "age_max": "720h" })).unwrap();
    assert_eq!(read.age_max, DAY * 30);
    assert_eq!(serde_json::to_value(&read).unwrap()["interval"], "10m");
}
