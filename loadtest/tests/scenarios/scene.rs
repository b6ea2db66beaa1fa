//! A scheduler on simulated time.

use std::sync::Arc;
use std::time::Duration;

use loadtest::sim::SimClock;
use scheduler::{Config, Scheduler, Start};
use serde_json::{Value, json};
use shared_model::{ExecutionId, Object};
use shared_ports::Clock;
use shared_runtime::Supervisor;

const QUEUE_LEN_MAX: usize = 1_000;
const TIME_MAX: Duration = Duration::from_secs(86_400);

pub(crate) struct Scene {
    pub(crate) scheduler: Scheduler,
    pub(crate) clock: Arc<SimClock>,
    _supervisor: Supervisor,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(SimClock::begin());
        let shared: Arc<dyn Clock> = Arc::<SimClock>::clone(&clock);
        let ports = shared_adapters::memory::ports(shared, QUEUE_LEN_MAX);
        let supervisor = Supervisor::new();
        let config = Config { window_zone: "UTC".parse().unwrap(), ..Config::default() };
        let scheduler = Scheduler::start(config, ports, Vec::new(), &supervisor).await.unwrap();
        Self { scheduler, clock, _supervisor: supervisor }
    }

    pub(crate) async fn start(&self, mut document: Value) -> ExecutionId {
        document["application"] = "app".into();
        let start = Start { document, ..Start::default() };
        self.scheduler.submit(start).await.unwrap()
    }

    /// Saves a pipeline that stages may start.
    pub(crate) async fn save(&self, mut document: Value) {
        document["application"] = "app".into();
        let document = document.as_object().cloned().unwrap();
        self.scheduler.library().save_pipeline(document, false, "me").await.unwrap();
    }

    /// The execution that a stage starts.
    pub(crate) async fn child(&self, id: &ExecutionId, reference: &str) -> ExecutionId {
        let child = |found: &Value| stage(found, reference)["context"]["executionId"].clone();
        let found = self.until(id, |found| child(found).is_string()).await;
        ExecutionId::new(child(&found).as_str().unwrap())
    }

    pub(crate) async fn execution(&self, id: &ExecutionId) -> Value {
        self.scheduler.execution(id).await.unwrap().unwrap()
    }

    pub(crate) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    pub(crate) async fn until(&self, id: &ExecutionId, is: impl Fn(&Value) -> bool) -> Value {
        let reached = async {
            loop {
                let found = self.execution(id).await;
                if is(&found) {
                    return found;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        match tokio::time::timeout(TIME_MAX, reached).await {
            Ok(found) => found,
            Err(_) => panic!("it never came: {:#}", self.execution(id).await),
        }
    }

    pub(crate) async fn ended(&self, id: &ExecutionId) -> Value {
        self.until(id, |found| !found["endTime"].is_null()).await
    }

    pub(crate) async fn patch(&self, id: &ExecutionId, stage: &str, fields: Value) {
        let stage_id = stage_id(&self.execution(id).await, stage);
        let fields: Object = fields.as_object().cloned().unwrap();
        self.scheduler.patch_stage(id, &stage_id, fields, "me").await.unwrap();
    }

    pub(crate) fn now(&self) -> jiff::Zoned {
        self.clock.now().to_zoned(jiff::tz::TimeZone::UTC)
    }
}

pub(crate) fn stage(execution: &Value, reference: &str) -> Value {
    let mut stages = execution["stages"].as_array().into_iter().flatten();
    stages.find(|stage| stage["refId"] == reference).cloned().unwrap_or(json!(null))
}

pub(crate) fn status_of(execution: &Value, reference: &str) -> String {
    stage(execution, reference)["status"].as_str().unwrap_or_default().to_owned()
}

fn stage_id(execution: &Value, reference: &str) -> String {
    stage(execution, reference)["id"].as_str().unwrap_or_default().to_owned()
}
