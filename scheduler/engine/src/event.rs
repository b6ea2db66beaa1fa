//! Everything that can happen to an execution. Time arrives inside the event.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared_model::{AttemptNo, Epoch, Retry, StageRun, TaskIndex, WorkerId};

use crate::plan::{Settings, StagePlan, SyntheticPlan};

/// A stage's place in its execution: that in the document for the document's stages, then the
/// synthetic ones in the order in which they were planned.
pub type StageIndex = u32;

/// One attempt, inside one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The stage.
    pub stage: StageIndex,
    /// The run of the stage.
    pub run: StageRun,
    /// The task inside the stage.
    pub task: TaskIndex,
    /// Which attempt at the task.
    pub number: AttemptNo,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The shell evaluated a stage that is about to start (answer to `Evaluate::Start`).
    Evaluated {
        /// The stage.
        stage: StageIndex,
        /// What came of it.
        start: StageStart,
        /// When.
        at: Timestamp,
    },
    /// The shell carried out a native task (answer to `Evaluate::Native`), or the execution that a
    /// task waits for has ended (answer to `WatchChild`).
    NativeFinished {
        /// The stage.
        stage: StageIndex,
        /// The task.
        task: TaskIndex,
        /// What came of it.
        outcome: Outcome,
        /// Whether the stage's context now holds expressions that failed.
        expressions_failed: bool,
        /// When.
        at: Timestamp,
    },
    /// The shell planned further synthetic stages (answer to `Evaluate::After` and `OnFailure`).
    Planned {
        /// The parent.
        stage: StageIndex,
        /// Whether it was asked because the tasks failed.
        on_failure: bool,
        /// The stages; `Err` if planning failed.
        planned: Result<Vec<SyntheticPlan>, PlanFailed>,
        /// When.
        at: Timestamp,
    },
    /// A worker claimed an attempt.
    LeaseGranted {
        /// The attempt.
        attempt: AttemptKey,
        /// With which epoch.
        epoch: Epoch,
        /// Who.
        worker: WorkerId,
        /// Whether it waits to hear that it may begin; for what cannot be recognised it always does.
        waits: bool,
        /// When.
        at: Timestamp,
    },
    /// A worker reported the end of an attempt. Implies its grant.
    AttemptFinished {
        /// The attempt.
        attempt: AttemptKey,
        /// With which epoch.
        epoch: Epoch,
        /// Who.
        worker: WorkerId,
        /// What came of it.
        outcome: Outcome,
        /// Whether the stage's context now holds expressions that failed.
        expressions_failed: bool,
        /// When.
        at: Timestamp,
    },
    /// The worker of an attempt stopped answering, or its message was lost for good.
    LeaseExpired {
        /// The attempt.
        attempt: AttemptKey,
        /// With which epoch.
        epoch: Epoch,
        /// When it was noticed.
        at: Timestamp,
    },
    /// A timer that was armed is due.
    TimerFired {
        /// Which.
        timer: Timer,
        /// When.
        at: Timestamp,
    },
    /// A person judged.
    Judged {
        /// The stage.
        stage: StageIndex,
        /// Whether to go on.
        proceed: bool,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A person ended a wait (`skipRemainingWait`).
    WaitEnded {
        /// The stage.
        stage: StageIndex,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A person says what became of work whose outcome is unknown (D19).
    OutcomeTold {
        /// The stage.
        stage: StageIndex,
        /// What became of it.
        told: Told,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A person holds the execution: nothing begins any more.
    PauseRequested {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A person lets it go on.
    ResumeRequested {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A person skips a stage that runs.
    SkipRequested {
        /// The stage.
        stage: StageIndex,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A person wants a stage, and what follows it, once more. The only thing that can happen to an
    /// execution that has ended.
    RestartRequested {
        /// The stage.
        stage: StageIndex,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A person wants the execution to end at once, whatever its workers do.
    ForceCancelRequested {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// There is room for it: it begins. Whoever stores this makes sure of the room.
    Started {
        /// When.
        at: Timestamp,
    },
    /// A person, or a parent, wants the execution to end.
    CancelRequested {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

/// What came of evaluating a stage that is about to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StageStart {
    /// It runs.
    Run {
        /// The document's words about failure and time.
        settings: Settings,
        /// What it consists of.
        plan: StagePlan,
        /// Whether its context holds expressions that failed.
        expressions_failed: bool,
    },
    /// It does not run (`stageEnabled`).
    Skip,
    /// It cannot run: unknown type, a field that is not carried out. TERMINAL whatever the flags say.
    Fail {
        /// Whether it counts as started: its type is known, its fields are not good.
        started: bool,
    },
}

/// Planning synthetic stages failed; the shell has written why into the stage's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanFailed;

/// What a person says of work whose outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// It was done.
    Done,
    /// It is to be done again.
    Repeat,
    /// It counts as failed.
    Fail,
}

/// What came of a task: the part of its answer that decides what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done.
    Succeeded,
    /// Not done yet: to be run again.
    Again {
        /// After how long.
        after: SignedDuration,
    },
    /// The loop goes round again.
    Redirect,
    /// There was nothing to do.
    Skipped,
    /// Ends the branch.
    Stopped,
    /// Failed, and goes on.
    FailedContinue,
    /// Failed.
    Failed {
        /// Whether another attempt can help.
        retry: Retry,
    },
    /// Ended because it was told to.
    Canceled,
    /// Given back by a worker that stops.
    HandedOver,
}

/// A timer. At most one of each is armed; the newest time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timer {
    /// A wait task ends.
    Wait(StageIndex),
    /// A stage's time is up.
    StageTimeout(StageIndex),
    /// A task is to be tried, or run, again.
    Retry(StageIndex),
    /// A worker that was told to end an attempt had time enough.
    Abort(StageIndex),
    /// It is too late for the execution to begin.
    StartExpiry,
}
