//! People: they submit, judge and cancel, and try again while nobody answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scheduler::{ControlError, Scheduler, Start, SubmitError};
use serde_json::{Map, Value};
use shared_model::ExecutionId;
use tokio::task::JoinSet;

use super::World;
use super::document::{self, Plan};
use super::meddling;
use super::verdict;

/// How often a user looks at an unknown outcome before saying anything.
const LOOKS_BEFORE_TELLING: u32 = 20;
/// How long a user waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a user waits before trying again.
const PAUSE: Duration = Duration::from_secs(7);

/// Starts everybody; each ends when nothing is left to do.
pub(crate) fn start(world: &Arc<World>) -> JoinSet<()> {
    let mut users = JoinSet::new();
    for at in 0..world.plans.len() {
        users.spawn(user(Arc::clone(world), at));
    }
    users
}

async fn user(world: Arc<World>, at: usize) {
    let Some(plan) = world.plans.get(at) else { return };
    tokio::time::sleep(Duration::from_secs(plan.submit_after)).await;
    if plan.has_children() {
        until_done(&world, save_child).await;
    }
    until_done(&world, |scheduler| submit(scheduler, plan)).await;
    let cancelled = async {
        match plan.cancel_after {
            None => std::future::pending().await,
            Some(after) => tokio::time::sleep(Duration::from_secs(after)).await,
        }
        until_done(&world, |scheduler| cancel(scheduler, &plan.id)).await;
    };
    let looked_after = async {
        tokio::select! {
            biased;
            () = cancelled => {}
            () = judge(&world, plan) => {}
        }
    };
    tokio::join!(looked_after, meddling::meddle(&world, plan));
    // It may have begun again.
    judge(&world, plan).await;
}

/// Does something until it is known to be done.
pub(super) async fn until_done<F: Future<Output = bool>>(
    world: &World,
    mut act: impl FnMut(Scheduler) -> F,
) {
    loop {
        let scheduler = world.any_scheduler();
        if let Some(scheduler) = scheduler
            && tokio::time::timeout(PATIENCE, act(scheduler)).await == Ok(true)
        {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

pub(super) async fn save_child(scheduler: Scheduler) -> bool {
    let saved = scheduler.library().save_pipeline(document::child(), false, "somebody").await;
    saved.is_ok()
}

async fn submit(scheduler: Scheduler, plan: &Plan) -> bool {
    let start = Start {
        document: plan.document.clone(),
        parameters: Map::new(),
        user: "somebody".into(),
        source: None,
        id: Some(plan.id.clone()),
        ..Start::default()
    };
    matches!(scheduler.submit(start).await, Ok(_) | Err(SubmitError::Exists(_)))
}

async fn cancel(scheduler: Scheduler, id: &ExecutionId) -> bool {
    let done = scheduler.cancel(id, "somebody", "a change of mind").await;
    matches!(done, Ok(()) | Err(ControlError::Conflict { .. } | ControlError::NotFound { .. }))
}

/// Answers judgments, and what became of unseen work, until the execution has ended.
async fn judge(world: &World, plan: &Plan) {
    let mut asked = BTreeMap::<String, u32>::new();
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(execution) = verdict::last_view(world, &plan.id).await else { continue };
        if verdict::has_ended(&execution) {
            return;
        }
        for stage in verdict::unknown_outcomes(&execution) {
            let times = asked.entry(stage.clone()).or_default();
            *times += 1;
            // Whoever is told of a worker that is gone waits a while: it may not be gone quite yet.
            if *times >= LOOKS_BEFORE_TELLING {
                tell(world, plan, &stage).await;
                asked.remove(&stage);
            }
        }
        for stage in verdict::waiting_judgments(&execution) {
            let scheduler = world.any_scheduler();
            let Some(scheduler) = scheduler else { continue };
            let answer = Map::from_iter([("judgmentStatus".to_owned(), Value::from("continue"))]);
            let asked = scheduler.patch_stage(&plan.id, &stage, answer, "somebody");
            drop(tokio::time::timeout(PATIENCE, asked).await);
        }
    }
}

/// Looks at the world, and says what became of a stage's work.
async fn tell(world: &World, plan: &Plan, stage: &str) {
    let scheduler = world.any_scheduler();
    let Some(scheduler) = scheduler else { return };
    let has_acted = world.ledger.has_acted(plan.id.as_str(), stage);
    let outcome = if has_acted { "done" } else { "repeat" };
    let answer = Map::from_iter([("outcome".to_owned(), Value::from(outcome))]);
    let told = scheduler.patch_stage(&plan.id, stage, answer, "somebody");
    drop(tokio::time::timeout(PATIENCE, told).await);
}
