//! Databases of a test's own, and what is stored in them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use shared_adapters::{
    Config, Distributed, Embedded, Guard, OpenError, Postgres, SystemClock, open,
};
use shared_model::{ExecutionId, Status};
use shared_ports::journal::{
    Append, Appended, Head, HistoryEntry, Kind, RunningMax, StageBody, StageRow,
};
use shared_ports::{Clock, PortError, Ports};
use shared_testkit::{env, stack};
use tempfile::TempDir;

/// How long anything may take that is waited for.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

/// A database of the stack's server; dropped when this is.
pub(crate) struct Database {
    server: String,
    name: String,
}

/// An open store, with a data folder of its own.
pub(crate) struct Store {
    pub(crate) ports: Ports,
    pub(crate) guard: Guard,
    pub(crate) folder: TempDir,
}

impl Database {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{count}", std::process::id());
        let server = env::postgres_url();
        stack::sql(&server, &format!("CREATE DATABASE {name}")).unwrap();
        Self { server, name }
    }

    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn sql(&self, statement: &str) -> String {
        stack::sql(&self.url(), statement).unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        if let Err(error) = stack::sql(&self.server, &dropped) {
            eprintln!("warning: {error:#}");
        }
    }
}

impl Store {
    pub(crate) async fn open(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::open_in(folder, url).await
    }

    pub(crate) async fn open_in(folder: TempDir, url: &str) -> Self {
        let (ports, guard) = open(&config(&folder, url)).await.unwrap();
        Self { ports, guard, folder }
    }

    /// Closes it; the folder is left.
    pub(crate) async fn close(self) -> TempDir {
        self.guard.close().await.unwrap();
        self.folder
    }
}

pub(crate) fn config(folder: &TempDir, url: &str) -> Config {
    let local = Embedded::new(folder.path().join("data"));
    let store = Postgres::new(url);
    Config::Distributed(Distributed { store, amqp: None, redis: None, blobs: None, local })
}

/// Why a store cannot be opened.
pub(crate) async fn refusal(url: &str) -> OpenError {
    let folder = tempfile::tempdir().unwrap();
    match open(&config(&folder, url)).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

pub(crate) fn id(text: &str) -> ExecutionId {
    ExecutionId::new(text)
}

/// What an engine writes of one event: the first creates an execution of two stages, the others
/// change one and its body, with a line of history that says who wrote it.
pub(crate) fn step(execution: &str, expected: u64, by: &str) -> Append {
    let mut body = StageBody::default();
    body.outputs.insert("version".to_owned(), json!(expected + 1));
    let state = Bytes::from(format!("{by} {}", expected + 1));
    let row = |index| StageRow { index, state: state.clone(), body: Some(body.clone()) };
    Append {
        execution: id(execution),
        expected,
        head: Head {
            kind: Kind::Pipeline,
            application: "shop".to_owned(),
            name: "release".to_owned(),
            pipeline_config_id: Some("pipeline-1".to_owned()),
            status: Status::Running,
            build_time: Timestamp::UNIX_EPOCH,
            start_time: None,
            end_time: None,
            state: state.clone(),
        },
        document: (expected == 0).then(|| json!({"name": "release"})),
        stages: if expected == 0 { vec![row(0), row(1)] } else { vec![row(1)] },
        with: None,
        running_max: None,
        running_max_beyond: RunningMax::default(),
        history: vec![HistoryEntry {
            at: Timestamp::UNIX_EPOCH,
            stage: None,
            kind: "test".to_owned(),
            text: by.to_owned(),
        }],
    }
}

/// Appends one; whether it was stored, or why that is not known.
pub(crate) async fn append(ports: &Ports, one: Append) -> Result<bool, PortError> {
    let version = one.expected + 1;
    match ports.journal.append(vec![one]).await?.as_slice() {
        [Appended::Stored(stored)] => {
            assert_eq!(*stored, version);
            Ok(true)
        }
        [Appended::Conflict { .. }] => Ok(false),
        other => panic!("one append was answered by {other:?}"),
    }
}

/// Checks that what is stored of an execution is whole and of one version, and gives that.
pub(crate) async fn whole(ports: &Ports, execution: &str) -> u64 {
    let Some(stored) = ports.journal.load(&id(execution)).await.unwrap() else { return 0 };
    let bodies = ports.journal.bodies(&id(execution), &[]).await.unwrap();
    let history = ports.journal.history(&id(execution), 0, u32::MAX).await.unwrap();
    assert_eq!(history.len() as u64, stored.version, "one line each");
    let (_, last) = history.last().unwrap();
    let state = format!("{} {}", last.text, stored.version);
    assert_eq!(stored.head.state, state.as_bytes());
    assert_eq!(stored.stages[1], state.as_bytes());
    assert_eq!(bodies[1].outputs["version"], json!(stored.version));
    stored.version
}

/// Waits until `done` says so.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let clock = SystemClock::default();
    while !done().await {
        assert!(clock.elapsed() < WAIT_MAX, "{what} did not happen within {WAIT_MAX:?}");
        clock.sleep(Duration::from_millis(20)).await;
    }
}
