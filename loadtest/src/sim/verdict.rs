//! What a world must have come to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use shared_model::{ExecutionId, Limits, StageRun, Status};
use shared_ports::Journal;
use shared_ports::journal::Version;
use tokio::task::JoinSet;

use super::World;
use super::document::Plan;
use super::ledger::Seen;

/// How long everything may take, in simulated time; storms last minutes.
const TIME_MAX: Duration = Duration::from_secs(4 * 3_600);

/// Looks, five seconds apart, after which a scheduler that cannot store should be able to.
const NOT_STORING_LOOKS_MAX: u32 = 12;

/// What became of one seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The seed.
    pub seed: u64,
    /// How many stages its pipelines have.
    pub stages: u64,
    /// What must not happen and did.
    pub violations: Vec<Violation>,
    /// How each execution ended, and when the last one did: equal for equal seeds.
    pub story: String,
}

/// Something that must not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// An execution did not end; with what it says that it waits for.
    Stuck(String),
    /// An execution ended as it should not.
    WrongEnd(String),
    /// One effect happened twice.
    Doubled(String),
    /// Two were at one task at once, and the second had not rightly taken it over from the first.
    TwoLive(String),
    /// One began long after nobody waited for it any more.
    BeganLate(String),
    /// A stage began before one that it follows had acted.
    TooEarly(String),
    /// An execution succeeded although a stage of it never acted.
    NeverActed(String),
    /// More executions of a pipeline ran at once than may.
    OverLimit(String),
    /// A scheduler says that it cannot store anything, long after the last accident.
    NotStoring(String),
    /// What had ended has another status, or an epoch that is not new was given out.
    WentBack(String),
    /// Something was stored that was decided on another version than the one before it.
    Overwritten(String),
    /// A stage of an execution runs that has ended.
    RunsOn(String),
    /// Two schedulers owned one shard, for longer than it takes to hand it over.
    TwoOwners(String),
    /// An execution was removed that had not ended.
    Vanished(String),
}

impl Violation {
    /// What kind of violation it is, without its details.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stuck(_) => "stuck",
            Self::WrongEnd(_) => "wrong end",
            Self::Doubled(_) => "doubled",
            Self::TwoLive(_) => "two live",
            Self::BeganLate(_) => "began late",
            Self::TooEarly(_) => "too early",
            Self::NeverActed(_) => "never acted",
            Self::OverLimit(_) => "over limit",
            Self::NotStoring(_) => "not storing",
            Self::WentBack(_) => "went back",
            Self::Overwritten(_) => "overwritten",
            Self::RunsOn(_) => "runs on",
            Self::TwoOwners(_) => "two owners",
            Self::Vanished(_) => "vanished",
        }
    }
}

/// Executions as they were looked at last.
#[derive(Default)]
pub(crate) struct Views(Mutex<BTreeMap<ExecutionId, (Version, Arc<Value>)>>);

impl Views {
    fn get(&self, id: &ExecutionId, version: Version) -> Option<Arc<Value>> {
        let views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        views.get(id).filter(|(at, _)| *at == version).map(|(_, view)| Arc::clone(view))
    }

    fn put(&self, id: &ExecutionId, version: Version, view: Arc<Value>) {
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        views.insert(id.clone(), (version, view));
    }
}

/// Waits until all users are done and all executions have ended; whether they did in time.
pub(crate) async fn wait_for_end(world: &World, mut users: JoinSet<()>) -> bool {
    let all = async {
        while users.join_next().await.is_some() {}
        for plan in &world.plans {
            while !last_view(world, &plan.id).await.is_some_and(|found| has_ended(&found)) {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
        // Children may outlive a parent that gave them up.
        while !unfinished(world).await.is_empty() {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::time::timeout(TIME_MAX, all).await.is_ok()
}

async fn unfinished(world: &World) -> Vec<ExecutionId> {
    let listed = world.journal().unfinished(None, 100).await.unwrap_or_default();
    listed.into_iter().map(|(id, _)| id).collect()
}

/// An execution in Gate's shape, from the store itself. Who looks again at what has not changed is told
/// what it was told before.
pub(crate) async fn view(world: &World, id: &ExecutionId) -> Option<Arc<Value>> {
    let version = world.observer.version(id)?;
    if let Some(view) = world.views.get(id, version) {
        return Some(view);
    }
    let detail = scheduler::view::Detail::Full;
    let view = scheduler::view::load(world.journal(), id, &Limits::default(), detail).await;
    let view = Arc::new(view.ok().flatten()?);
    world.views.put(id, version, Arc::clone(&view));
    Some(view)
}

/// The same; of one that somebody deleted, how it stood then.
pub(crate) async fn last_view(world: &World, id: &ExecutionId) -> Option<Arc<Value>> {
    match world.observer.status_when_removed(id) {
        Some(status) => Some(Arc::new(json!({ "status": status }))),
        None => view(world, id).await,
    }
}

pub(crate) fn has_ended(execution: &Value) -> bool {
    let status = execution.get("status").cloned().unwrap_or_default();
    serde_json::from_value::<Status>(status).is_ok_and(Status::is_complete)
}

/// The ids of the stages that wait for somebody's judgment.
pub(crate) fn waiting_judgments(execution: &Value) -> Vec<String> {
    let stages = execution.get("stages").and_then(Value::as_array).into_iter().flatten();
    let text = |stage: &Value, key: &str| {
        stage.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    stages
        .filter(|stage| {
            text(stage, "type") == "manualJudgment" && text(stage, "status") == "RUNNING"
        })
        .map(|stage| text(stage, "id"))
        .collect()
}

/// The stages that wait to be told what became of their work.
pub(crate) fn unknown_outcomes(execution: &Value) -> Vec<String> {
    let waits = execution.get("waitingFor").and_then(Value::as_array).into_iter().flatten();
    let asks = waits.filter(|wait| wait["kind"] == "outcome");
    asks.filter_map(|wait| wait["stage"].as_str()).map(str::to_owned).collect()
}

/// Why a scheduler cannot store anything, if one says so for a while after the last accident.
pub(crate) async fn not_storing(world: &World) -> Option<Violation> {
    let mut said = None;
    for _ in 0..NOT_STORING_LOOKS_MAX {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let schedulers = world.schedulers.borrow().clone();
        said = schedulers.values().find_map(|scheduler| scheduler.is_storing().err());
        if said.is_none() || !world.weather.is_calm() {
            return None;
        }
    }
    said.map(|error| Violation::NotStoring(error.to_string()))
}

/// Compares what happened with what may happen.
pub(crate) async fn judge(world: &World, in_time: bool) -> Verdict {
    let seen = world.ledger.seen();
    let mut violations: Vec<Violation> =
        world.ledger.doubled().into_iter().map(Violation::Doubled).collect();
    violations.extend(seen.iter().filter_map(of_itself));
    let mut story = format!("{:?} {}", world.clock_elapsed(), seen.len());
    for plan in &world.plans {
        let execution = last_view(world, &plan.id).await.unwrap_or_default();
        story += &format!(" {}", execution.get("status").unwrap_or(&Value::Null));
        violations.extend(ends_well(plan, &execution, in_time));
        violations.extend(too_early(plan, &seen));
        violations.extend(never_acted(plan, &execution, &seen));
        violations.extend(childless(world, &execution, &seen).await);
    }
    violations.extend(world.observer.found());
    violations.extend(world.owners.found().into_iter().map(Violation::TwoOwners));
    let left = unfinished(world).await;
    violations.extend(left.iter().map(|id| Violation::Stuck(format!("{id} was left behind"))));
    let stages = world.plans.iter().map(|plan| plan.stages.len() as u64).sum();
    Verdict { seed: world.seed, stages, violations, story }
}

/// What is wrong whatever else was seen.
fn of_itself(seen: &Seen) -> Option<Violation> {
    match seen {
        Seen::TwoLive { first, second } => {
            Some(Violation::TwoLive(format!("{first} and {second}")))
        }
        Seen::BeganLate { work, after } => {
            Some(Violation::BeganLate(format!("{work}, {after:?} after nobody waited for it")))
        }
        Seen::Began { .. } | Seen::Acted { .. } => None,
    }
}

fn ends_well(plan: &Plan, execution: &Value, in_time: bool) -> Option<Violation> {
    let status = execution.get("status").cloned().unwrap_or_default();
    if !has_ended(execution) {
        let waits = execution.get("waitingFor").cloned().unwrap_or_default();
        let id = &plan.id;
        return Some(Violation::Stuck(format!("{id} is {status}, waits for {waits} ({in_time})")));
    }
    let status: Status = serde_json::from_value(status).ok()?;
    (!plan.may_end(status)).then(|| {
        Violation::WrongEnd(format!("{} is {status:?}, not {:?}", plan.id, plan.expected()))
    })
}

/// Whenever a run of a stage begins, each that it follows has acted. One that was given out goes on while
/// somebody restarts what it follows, so in which run is not asked.
fn too_early(plan: &Plan, seen: &[Seen]) -> Vec<Violation> {
    let id = plan.id.to_string();
    let edges = plan.stages.iter().flat_map(|stage| {
        let acting = |at: &usize| plan.stages.get(*at).filter(|one| one.kind.acts());
        let upstream = stage.upstream.iter().filter(|at| !plan.meddling.skips(**at));
        upstream.filter_map(acting).map(move |upstream| (upstream, stage))
    });
    edges
        .filter(|(upstream, stage)| {
            let of_it = |one: &Seen| run_of(one, &id, &stage.name);
            let begins = (0..seen.len()).filter(|at| {
                let begins = of_it(&seen[*at]).filter(|(began, _)| *began);
                begins.is_some() && !seen[..*at].iter().any(|one| of_it(one) == begins)
            });
            let acted = |one: &Seen| one.is_act_of(&id, &upstream.name);
            begins.into_iter().any(|at| !seen[..at].iter().any(acted))
        })
        .map(|(upstream, stage)| {
            Violation::TooEarly(format!("{id}: {} before {}", stage.name, upstream.name))
        })
        .collect()
}

/// Of what a stage did: whether it began or acted, and in which run.
fn run_of(seen: &Seen, in_execution: &str, of_stage: &str) -> Option<(bool, StageRun)> {
    let is_it = |execution: &str, stage: &str| execution == in_execution && stage == of_stage;
    match seen {
        Seen::Began { execution, stage, run } => is_it(execution, stage).then_some((true, *run)),
        Seen::Acted { execution, stage, run } => is_it(execution, stage).then_some((false, *run)),
        Seen::TwoLive { .. } | Seen::BeganLate { .. } => None,
    }
}

/// A stage that waited for a child succeeded only if the child did.
async fn childless(world: &World, execution: &Value, seen: &[Seen]) -> Vec<Violation> {
    let stages = execution.get("stages").and_then(Value::as_array).into_iter().flatten();
    let mut found = Vec::new();
    for stage in
        stages.filter(|stage| stage["type"] == "pipeline" && stage["status"] == "SUCCEEDED")
    {
        let id = stage["context"]["executionId"].as_str().unwrap_or_default();
        let child = view(world, &ExecutionId::new(id)).await.unwrap_or_default();
        let acted = seen.iter().any(|seen| seen.is_act_of(id, "c"));
        if child["status"] != "SUCCEEDED" || !acted {
            found.push(Violation::NeverActed(format!("child {id}: {}", child["status"])));
        }
    }
    found
}

fn never_acted(plan: &Plan, execution: &Value, seen: &[Seen]) -> Vec<Violation> {
    if execution.get("status").and_then(Value::as_str) != Some("SUCCEEDED") {
        return Vec::new();
    }
    let id = plan.id.as_str();
    let acting = plan.stages.iter().enumerate();
    let acting = acting.filter(|(at, stage)| stage.kind.acts() && !plan.meddling.skips(*at));
    let silent =
        acting.filter(|(_, stage)| !seen.iter().any(|seen| seen.is_act_of(id, &stage.name)));
    silent.map(|(_, stage)| Violation::NeverActed(format!("{}: {}", plan.id, stage.name))).collect()
}
