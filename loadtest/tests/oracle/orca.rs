//! Does with our scheduler what was done with Orca.

use std::sync::Arc;
use std::time::Duration;

use loadtest::sim::SimClock;
use scheduler::{Config, Scheduler, Start, SubmitError};
use serde_json::{Map, Value};
use shared_model::{ExecutionId, Status};
use shared_runtime::Supervisor;

use crate::case::{Case, Step};

/// How long an execution may take, in simulated time; Orca's longest took a minute.
const TIME_MAX: Duration = Duration::from_secs(3_600);
const TICK: Duration = Duration::from_millis(100);
/// How long the scheduler may take to stop.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(1);
pub(crate) const QUEUE_LEN_MAX: usize = 1_000;

/// What came of a case.
pub(crate) struct Answer {
    /// Whether the submit was taken.
    pub(crate) taken: bool,
    /// The execution in the end, in Gate's shape.
    pub(crate) execution: Value,
    /// Calls whose answer was of another class than Orca's.
    pub(crate) calls: Vec<String>,
}

/// Asks our scheduler.
pub(crate) fn ask(case: &Case) -> Answer {
    if case.asks_the_stub() {
        return crate::stub::ask(case);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let ports = shared_adapters::memory::ports(Arc::new(SimClock::begin()), QUEUE_LEN_MAX);
        let supervisor = Supervisor::new();
        let scheduler = Scheduler::start(Config::default(), ports, Vec::new(), &supervisor);
        let scheduler = scheduler.await.unwrap();
        let answer = with(&scheduler, case, case.pipeline.clone()).await;
        supervisor.shut_down(STOP_LIMIT).await;
        answer
    })
}

/// Submits the case's pipeline, and does with it what was done with Orca's.
pub(crate) async fn with(scheduler: &Scheduler, case: &Case, document: Value) -> Answer {
    for child in crate::case::children() {
        let child = child.as_object().cloned().unwrap_or_default();
        scheduler.library().save_pipeline(child, false, "test").await.unwrap();
    }
    let start = Start {
        document,
        parameters: Map::new(),
        user: String::new(),
        source: None,
        ..Start::default()
    };
    let id = match scheduler.submit(start).await {
        Ok(id) => id,
        Err(SubmitError::Refused { problems }) => {
            let execution = Value::String(format!("{problems:?}"));
            return Answer { taken: false, execution, calls: Vec::new() };
        }
        Err(error) => panic!("{}: {error}", case.id),
    };
    let mut calls = Vec::new();
    for step in case.steps() {
        calls.extend(carry_out(scheduler, case, &id, step).await);
    }
    until(scheduler, &id, has_ended).await;
    Answer { taken: true, execution: execution(scheduler, &id).await, calls }
}

async fn carry_out(
    scheduler: &Scheduler,
    case: &Case,
    id: &ExecutionId,
    step: Step,
) -> Option<String> {
    match step {
        Step::Ended => until(scheduler, id, has_ended).await,
        Step::Sleep(seconds) => tokio::time::sleep(Duration::from_secs_f64(seconds)).await,
        Step::StageIs(stage, status, more) => {
            let is = |execution: &Value| stage_of(execution, &stage)["status"] == status.as_str();
            until(scheduler, id, is).await;
            tokio::time::sleep(Duration::from_secs_f64(more)).await;
        }
        Step::Cancel { reason, user, ok } => {
            let done = scheduler.cancel(id, &user, &reason).await;
            return (done.is_ok() != ok).then(|| format!("cancel: {done:?}"));
        }
        Step::CancelChild { reason } => {
            until(scheduler, id, |execution| child_of(execution).is_some()).await;
            let child = child_of(&execution(scheduler, id).await)?;
            let done = scheduler.cancel(&child, "", &reason).await;
            return done.err().map(|error| format!("cancel of the child: {error}"));
        }
        Step::SeeChild => return see_child(scheduler, case, id).await,
        Step::Patch { stage, body, user, ok } => {
            let execution = execution(scheduler, id).await;
            let stage = stage.map_or("nosuchstage".into(), |stage| {
                stage_of(&execution, &stage)["id"].as_str().unwrap_or_default().to_owned()
            });
            let body = body.as_object().cloned().unwrap_or_default();
            let done = scheduler.patch_stage(id, &stage, body, &user).await;
            return (done.is_ok() != ok).then(|| format!("patch: {done:?}"));
        }
    }
    None
}

/// The child execution is the one that Orca showed.
async fn see_child(scheduler: &Scheduler, case: &Case, id: &ExecutionId) -> Option<String> {
    let child = child_of(&execution(scheduler, id).await)?;
    until(scheduler, &child, has_ended).await;
    let (found, wanted) = (execution(scheduler, &child).await, &case.observed["child"]);
    let stages = found["stages"].as_array().into_iter().flatten().map(|stage| {
        serde_json::json!([stage["refId"], stage["name"], stage["status"], stage["outputs"]])
    });
    let mut seen = serde_json::json!({
        "status": found["status"], "name": found["name"], "application": found["application"],
        "stages": stages.collect::<Vec<_>>(),
        "trigger.parentExecution.name": found["trigger"]["parentExecution"]["name"],
    });
    let mut keys = vec!["type", "user", "parameters", "artifacts", "strategy", "dryRun"];
    keys.extend(["expectedArtifactIds", "resolvedExpectedArtifacts", "rebake", "notifications"]);
    let of = |trigger: &Value| keys.iter().map(|key| trigger[*key].clone()).collect::<Vec<_>>();
    let trigger = of(&found["trigger"]);
    seen["trigger"] = wanted["trigger"].clone();
    (seen != *wanted || trigger != of(&wanted["trigger"]))
        .then(|| format!("the child is {seen} with {}", found["trigger"]))
}

fn child_of(execution: &Value) -> Option<ExecutionId> {
    let stages = execution["stages"].as_array()?;
    stages.iter().find_map(|stage| stage["context"]["executionId"].as_str()).map(ExecutionId::new)
}

async fn until(scheduler: &Scheduler, id: &ExecutionId, is: impl Fn(&Value) -> bool) {
    let reached = async {
        while !is(&execution(scheduler, id).await) {
            tokio::time::sleep(TICK).await;
        }
    };
    // What never comes is seen in the comparison.
    let _late = tokio::time::timeout(TIME_MAX, reached).await;
}

pub(crate) async fn execution(scheduler: &Scheduler, id: &ExecutionId) -> Value {
    scheduler.execution(id).await.unwrap().unwrap_or_default()
}

fn has_ended(execution: &Value) -> bool {
    serde_json::from_value::<Status>(execution["status"].clone()).is_ok_and(Status::is_complete)
}

fn stage_of(execution: &Value, reference: &str) -> Value {
    let stages = execution["stages"].as_array().into_iter().flatten();
    stages.clone().find(|stage| stage["refId"] == reference).cloned().unwrap_or_default()
}
