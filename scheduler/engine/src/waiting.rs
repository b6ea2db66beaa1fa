//! Why an execution is not moving: never stuck without saying so.

use jiff::Timestamp;
use shared_model::{Capability, Status};

use crate::event::StageIndex;
use crate::execution::Execution;
use crate::plan::TaskKind;
use crate::stage::{Attempt, Phase, Stage, Task};

/// What kind of thing is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingKind {
    /// Room among the executions of its pipeline.
    Slot,
    /// Room among the executions of its application.
    ApplicationSlot,
    /// Room among all executions.
    GlobalSlot,
    /// Somebody to let it go on.
    Pause,
    /// The scheduler itself, for a moment.
    Scheduler,
    /// A time.
    Wait,
    /// A person.
    Judgment,
    /// A worker with a free slot.
    Worker,
    /// A worker that works on it.
    Work,
    /// The next try after a failure.
    Retry,
    /// The next look at something that is not done yet.
    NextLook,
    /// A worker that was told to end.
    Abort,
    /// Another execution.
    Execution,
    /// A person who says what became of work whose outcome is unknown.
    Outcome,
}

impl std::fmt::Display for WaitingKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Slot => "slot",
            Self::ApplicationSlot => "applicationSlot",
            Self::GlobalSlot => "globalSlot",
            Self::Pause => "pause",
            Self::Scheduler => "scheduler",
            Self::Wait => "wait",
            Self::Judgment => "judgment",
            Self::Worker => "worker",
            Self::Work => "work",
            Self::Retry => "retry",
            Self::NextLook => "nextLook",
            Self::Abort => "abort",
            Self::Execution => "execution",
            Self::Outcome => "outcome",
        })
    }
}

/// One thing that an execution waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingFor {
    /// The stage that waits; `None` if the execution as a whole does.
    pub stage: Option<StageIndex>,
    /// What kind of thing it waits for.
    pub kind: WaitingKind,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when at most, where that is known.
    pub until: Option<Timestamp>,
    /// Who or what can unblock it.
    pub unblock: String,
    /// What a worker must be able to do, where one is waited for.
    pub capability: Option<Capability>,
}

/// Everything that an execution waits for; empty only if it has ended.
pub fn waiting_for(execution: &Execution) -> Vec<WaitingFor> {
    let waits = execution.active.iter();
    let stages = waits.filter_map(|index| waiting(*index, execution.stage(*index)));
    slots(execution).into_iter().chain(pause(execution)).chain(stages).collect()
}

fn pause(execution: &Execution) -> Option<WaitingFor> {
    let pause = execution.pause().filter(|_| execution.status() == Status::Paused)?;
    let unblock = format!("a person: {} paused it, PUT …/resume lets it go on", pause.by);
    let (stage, kind) = (None, WaitingKind::Pause);
    Some(WaitingFor { stage, kind, since: Some(pause.at), until: None, unblock, capability: None })
}

/// Where there must be room before it begins; which of these is full only the store knows.
fn slots(execution: &Execution) -> Vec<WaitingFor> {
    let (rule, bounds) = (execution.start_rule(), &execution.bounds);
    if execution.status() != Status::NotStarted {
        return Vec::new();
    }
    let turn = if rule.keeps_waiting { "; the oldest is next" } else { "; only the newest begins" };
    let of_pipeline = rule.running_max.or((!bounds.limits_running()).then_some(1));
    let of = |kind, whose: &str, most: u32, turn: &str| {
        let unblock = format!(
            "the end of one of {whose} running executions, of which there may be {most}{turn}"
        );
        let until = rule.expires_at;
        WaitingFor { stage: None, kind, since: None, until, unblock, capability: None }
    };
    let oldest = "; the oldest that may begin is next";
    let all = [
        of_pipeline.map(|most| of(WaitingKind::Slot, "the pipeline's", most, turn)),
        bounds
            .running_per_application_max
            .map(|most| of(WaitingKind::ApplicationSlot, "the application's", most, oldest)),
        bounds.running_max.map(|most| of(WaitingKind::GlobalSlot, "all", most, oldest)),
    ];
    all.into_iter().flatten().collect()
}

fn waiting(index: StageIndex, stage: &Stage) -> Option<WaitingFor> {
    let timeout = stage.body.as_ref().and_then(|body| body.timeout_at);
    let make = |kind, since, until, unblock: String| {
        let capability = (kind == WaitingKind::Worker).then(|| wanted(stage)).flatten();
        Some(WaitingFor { stage: Some(index), kind, since, until, unblock, capability })
    };
    match stage.phase {
        Phase::Evaluating | Phase::PlanningAfter | Phase::PlanningOnFailure(_) => {
            make(WaitingKind::Scheduler, stage.start_time, None, "the scheduler's next turn".into())
        }
        Phase::Task(task) => {
            let task = stage.task(task);
            let (kind, since, until, unblock) = of_task(stage, task);
            make(kind, since.or(task.start_time), until.or(timeout), unblock)
        }
        // Its synthetic stages say what they wait for.
        Phase::Before | Phase::After | Phase::OnFailure(_) | Phase::Idle => None,
    }
}

fn wanted(stage: &Stage) -> Option<Capability> {
    match &stage.current()?.1.kind {
        TaskKind::Worker { capability, .. } => Some(capability.clone()),
        TaskKind::Native | TaskKind::Wait { .. } | TaskKind::Child | TaskKind::Judgment => None,
    }
}

type Found = (WaitingKind, Option<Timestamp>, Option<Timestamp>, String);

fn of_task(stage: &Stage, task: &Task) -> Found {
    if task.kind == TaskKind::Child {
        let until = stage.ending().map(|ending| ending.at_last);
        let unblock = "the end of the execution that `executionId` of its context names".into();
        return (WaitingKind::Execution, None, until, unblock);
    }
    if let Some(ending) = stage.ending() {
        let worker = task.worker().map_or("its worker", |worker| worker.as_str());
        return (WaitingKind::Abort, None, Some(ending.at_last), format!("{worker} ends it"));
    }
    match &task.kind {
        TaskKind::Wait { until } => {
            let unblock = "the time, or a PATCH of the stage with skipRemainingWait".into();
            (WaitingKind::Wait, None, Some(*until), unblock)
        }
        TaskKind::Judgment => {
            let unblock =
                "a person: a PATCH of the stage with judgmentStatus continue or stop".into();
            (WaitingKind::Judgment, None, None, unblock)
        }
        TaskKind::Native | TaskKind::Child => {
            (WaitingKind::Scheduler, None, None, "the scheduler's next turn".into())
        }
        TaskKind::Worker { capability, .. } => of_attempt(&task.attempt, capability),
    }
}

fn of_attempt(attempt: &Attempt, capability: &Capability) -> Found {
    match attempt {
        Attempt::Queued { since, .. } => {
            let unblock = match capability.account() {
                None => format!("a worker with a free slot for `{capability}`"),
                Some((what, account)) => format!(
                    "a worker with a free slot for `{what}` that reaches the account `{account}`"
                ),
            };
            (WaitingKind::Worker, Some(*since), None, unblock)
        }
        Attempt::Leased { worker, since, .. } => {
            (WaitingKind::Work, Some(*since), None, format!("{worker} works on it"))
        }
        Attempt::Paused { since, until, retry: true } => {
            (WaitingKind::Retry, Some(*since), Some(*until), "the next attempt".into())
        }
        Attempt::Paused { since, until, retry: false } => {
            (WaitingKind::NextLook, Some(*since), Some(*until), "the next look at it".into())
        }
        Attempt::Unknown { since, .. } => {
            let unblock = "a person: whether it was done is not known (its worker was lost, or no answer \
                           came); look at the target, then a PATCH of the stage with outcome done, \
                           repeat or fail; repeat does it twice if what was lost comes to its end \
                           after all";
            (WaitingKind::Outcome, Some(*since), None, unblock.into())
        }
        Attempt::None => (WaitingKind::Scheduler, None, None, "the scheduler's next turn".into()),
    }
}
