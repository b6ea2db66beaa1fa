//! A worker, and the scheduler's end of its queues.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use shared_adapters::memory;
use shared_model::{AttemptId, Capability, Epoch, ExecutionId, StageRef, TaskAnswer, WorkerId};
use shared_plugin::Catalog;
use shared_ports::messages::{
    AttemptReady, AttemptReport, Control, Inputs, MESSAGE_VERSION, Report, TaskInput,
};
use shared_ports::{Clock, Consumer, Holder, LogName, Outgoing, Ports, Queue};
use shared_runtime::Supervisor;
use worker::Config;

use crate::clock::PausedClock;

/// How long a test waits for what must come, in paused time.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);
const SHARD: u16 = 7;

/// Ports in memory, on paused time.
pub(crate) fn ports() -> Ports {
    memory::ports(Arc::new(PausedClock::begin()), 1_000)
}

pub(crate) fn config() -> Config {
    Config::named(WorkerId::new("worker-1"))
}

/// A worker, and the scheduler's end of its queues.
pub(crate) struct World {
    pub(crate) ports: Ports,
    pub(crate) supervisor: Supervisor,
    reports: Box<dyn Consumer>,
}

impl World {
    /// A worker with the default configuration on sound ports.
    pub(crate) async fn with(catalog: Catalog) -> Self {
        Self::of(ports(), config(), catalog).await
    }

    /// A worker whose reports come back through the same ports.
    pub(crate) async fn of(ports: Ports, config: Config, catalog: Catalog) -> Self {
        let supervisor = Supervisor::new();
        let reports = ports.broker.consume(&Queue::Reports(SHARD), 1_000).await.unwrap();
        worker::start(config, ports.clone(), catalog, &supervisor).await.unwrap();
        Self { ports, supervisor, reports }
    }

    pub(crate) async fn send(&self, ready: &AttemptReady) {
        let id = format!("{}@{}", ready.attempt, ready.epoch);
        self.publish(Queue::Ready(ready.capability.clone()), &id, ready).await;
    }

    /// Sends the same under another name, so that no broker can know it for a repetition.
    pub(crate) async fn send_again(&self, ready: &AttemptReady, id: &str) {
        self.publish(Queue::Ready(ready.capability.clone()), id, ready).await;
    }

    pub(crate) async fn abort(&self, attempt: &AttemptId, epoch: u64) {
        self.end(attempt, epoch, false).await;
    }

    /// Tells the worker that another goes on with an attempt.
    pub(crate) async fn take_over(&self, attempt: &AttemptId, epoch: u64) {
        self.end(attempt, epoch, true).await;
    }

    pub(crate) async fn grant(&self, attempt: &AttemptId, epoch: u64) {
        let (v, attempt, epoch) = (MESSAGE_VERSION, attempt.clone(), Epoch(epoch));
        let word = Control::Grant { v, attempt, epoch };
        self.publish(Queue::Control(config().id), &format!("grant {epoch}"), &word).await;
    }

    async fn end(&self, attempt: &AttemptId, epoch: u64, taken_over: bool) {
        let (v, attempt, epoch) = (MESSAGE_VERSION, attempt.clone(), Epoch(epoch));
        let word = Control::Abort { v, attempt, epoch, taken_over };
        self.publish(Queue::Control(config().id), "abort", &word).await;
    }

    pub(crate) async fn publish(&self, queue: Queue, id: &str, body: &impl Serialize) {
        let body = Bytes::from(serde_json::to_vec(body).unwrap());
        let message = Outgoing { queue, id: id.to_owned(), body };
        self.ports.broker.publish(vec![message]).await.unwrap();
    }

    /// The next report.
    pub(crate) async fn report(&mut self) -> AttemptReport {
        let delivery = tokio::time::timeout(LIMIT, self.reports.next()).await.unwrap().unwrap();
        self.reports.ack(delivery.tag).await.unwrap();
        serde_json::from_slice(&delivery.body).unwrap()
    }

    /// The next report, which has to be of the beginning.
    pub(crate) async fn started(&mut self) -> AttemptReport {
        let report = self.report().await;
        assert_eq!(report.report, Report::Started);
        report
    }

    /// The answer in the next report.
    pub(crate) async fn answer(&mut self) -> TaskAnswer {
        match self.report().await.report {
            Report::Finished(answer) => *answer,
            Report::FinishedBlob(blob) => {
                let bytes = self.ports.blobs.get(&blob, None).await.unwrap();
                serde_json::from_slice(&bytes).unwrap()
            }
            other @ (Report::Started | Report::LeaseEnded) => panic!("no answer: {other:?}"),
        }
    }

    /// Checks that nothing is reported for a while.
    pub(crate) async fn silent_for(&mut self, duration: Duration) {
        if let Ok(delivery) = tokio::time::timeout(duration, self.reports.next()).await {
            panic!("reported: {:?}", delivery.unwrap());
        }
    }

    pub(crate) async fn log(&self, stage: &str) -> String {
        let name = LogName { execution: "e".to_owned(), stage: stage.to_owned() };
        let log = self.ports.blobs.read(&name, 0, usize::MAX).await.unwrap();
        String::from_utf8(log.to_vec()).unwrap()
    }

    /// Messages of a stage type that were not acknowledged, once the worker has ended.
    pub(crate) async fn left_of(&self, name: &str) -> u64 {
        assert!(self.supervisor.shut_down(LIMIT).await, "the worker ends");
        self.ports.broker.depth(&Queue::Ready(Capability::new(name))).await.unwrap()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.ports.clock
    }
}

/// Waits until `is_so`.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "waited in vain for {what}");
}

/// Another worker.
pub(crate) fn holder(name: &str) -> Holder {
    Holder::new(WorkerId::new(name), "its process")
}

pub(crate) fn attempt(stage: &str) -> AttemptId {
    AttemptId {
        execution: ExecutionId::new("e"),
        stage: StageRef::new(stage),
        run: 1,
        task: 0,
        number: 1,
    }
}

/// A message that asks for a run of the stage type `name`, as a stage of the reference `stage`.
pub(crate) fn ready(name: &str, stage: &str, epoch: u64) -> AttemptReady {
    let input = TaskInput {
        stage_type: name.to_owned(),
        task: "work".to_owned(),
        context: json!({"from": "the message"}).as_object().unwrap().clone(),
        ..TaskInput::default()
    };
    AttemptReady {
        v: MESSAGE_VERSION,
        attempt: attempt(stage),
        epoch: Epoch(epoch),
        effect_key: attempt(stage).effect(0),
        capability: Capability::new(name),
        tenant: "shop".to_owned(),
        priority: 0,
        deadline: None,
        shard: SHARD,
        joins: false,
        traceparent: None,
        needs_grant: false,
        to_end: false,
        sent_at: None,
        inputs: Inputs::Inline(Box::new(input)),
    }
}

/// The same of work that cannot be recognised.
pub(crate) fn needs_grant(stage: &str) -> AttemptReady {
    AttemptReady { needs_grant: true, ..ready("probe", stage, 1) }
}

/// What this thread logs from now on.
#[derive(Clone, Default)]
pub(crate) struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// Listens as long as the guard is held.
    pub(crate) fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let said = Self::default();
        let writer = said.clone();
        let logs = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (said, tracing::subscriber::set_default(logs))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
