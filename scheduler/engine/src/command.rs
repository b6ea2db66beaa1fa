//! What must happen next. Carried out by the scheduler's shell after the state was stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared_model::{Capability, Epoch, Status, TaskIndex, WorkerId};

use crate::event::{AttemptKey, StageIndex, Timer};

/// Something that must happen. All but `Announce` are repeatable and known to `outstanding`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Evaluate something of a stage and come back with an event.
    Evaluate {
        /// The stage.
        stage: StageIndex,
        /// What.
        what: Evaluate,
    },
    /// Let a worker run an attempt.
    Dispatch {
        /// The attempt.
        attempt: AttemptKey,
        /// Its epoch.
        epoch: Epoch,
        /// What the worker must be able to do.
        capability: Capability,
        /// When the stage's time is up.
        deadline: Option<Timestamp>,
        /// Whether the worker must not begin before `Grant`.
        needs_grant: bool,
        /// Whether it is given out only to be ended.
        to_end: bool,
    },
    /// Tell the worker of an attempt that it may begin: its claim is in the journal (D15).
    Grant {
        /// The attempt.
        attempt: AttemptKey,
        /// Its epoch.
        epoch: Epoch,
        /// Who has it.
        worker: WorkerId,
    },
    /// Tell the worker of an attempt to end it.
    Abort {
        /// The attempt.
        attempt: AttemptKey,
        /// Its epoch.
        epoch: Epoch,
        /// Who has it, if that is known.
        worker: Option<WorkerId>,
    },
    /// Send `Event::TimerFired` at that time. Replaces an earlier time of the same timer.
    Arm {
        /// Which.
        timer: Timer,
        /// When.
        at: Timestamp,
    },
    /// Come back with an event once the execution that a stage waits for has ended.
    WatchChild {
        /// The stage.
        stage: StageIndex,
    },
    /// End the execution that a stage waits for.
    CancelChild {
        /// The stage.
        stage: StageIndex,
    },
    /// Come back with `Event::Started` once there is room among the executions of its pipeline.
    AskToStart,
    /// Tell whoever listens; not repeated by `outstanding`.
    Announce {
        /// What happened.
        fact: Fact,
    },
}

/// What the shell is to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Evaluate {
    /// A stage that is about to start: its context, `stageEnabled`, its plan.
    Start,
    /// A native task.
    Native(TaskIndex),
    /// Which stages follow the tasks.
    After,
    /// Which stages follow a failure of the tasks.
    OnFailure,
}

/// Something that happened, for history, streams and notifications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    /// The execution began.
    ExecutionStarted,
    /// The execution ended.
    ExecutionFinished {
        /// How.
        status: Status,
    },
    /// Somebody wants the execution to end.
    CancelRequested {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Somebody holds the execution.
    Paused {
        /// Who.
        by: String,
    },
    /// Somebody lets it go on.
    Resumed {
        /// Who.
        by: String,
    },
    /// Somebody skipped a stage.
    StageSkipped {
        /// Which.
        stage: StageIndex,
        /// Who.
        by: String,
    },
    /// Somebody wants a stage once more.
    StageRestarted {
        /// Which.
        stage: StageIndex,
        /// Who.
        by: String,
    },
    /// A stage began.
    StageStarted {
        /// Which.
        stage: StageIndex,
    },
    /// A stage ended.
    StageFinished {
        /// Which.
        stage: StageIndex,
        /// How.
        status: Status,
    },
    /// A worker began an attempt.
    AttemptStarted {
        /// Which.
        attempt: AttemptKey,
        /// Who.
        worker: WorkerId,
    },
    /// An attempt failed and is tried again.
    AttemptRetried {
        /// The attempt that failed.
        attempt: AttemptKey,
        /// When the next one begins.
        at: Timestamp,
    },
    /// An attempt's worker stopped answering; the attempt is given to another.
    AttemptLost {
        /// Which.
        attempt: AttemptKey,
        /// Who had it, if anybody.
        worker: Option<WorkerId>,
        /// How many times it was taken over by now.
        takeovers: u32,
        /// How many times it may be.
        takeovers_max: u32,
    },
    /// The worker of an attempt stopped answering, and nobody can know whether it did its work.
    OutcomeUnknown {
        /// Which.
        attempt: AttemptKey,
        /// Who had it, if anybody.
        worker: Option<WorkerId>,
    },
    /// A person said what became of work whose outcome was unknown.
    OutcomeTold {
        /// Which stage.
        stage: StageIndex,
        /// What.
        told: crate::event::Told,
        /// Who.
        by: String,
    },
    /// An attempt was given back by a worker that stops.
    AttemptHandedOver {
        /// Which.
        attempt: AttemptKey,
    },
    /// A stage fails for a reason that no task reported.
    StageGaveUp {
        /// Which.
        stage: StageIndex,
        /// Why.
        cause: Cause,
    },
    /// A person judged.
    Judged {
        /// Which stage.
        stage: StageIndex,
        /// Whether to go on.
        proceed: bool,
        /// Who.
        by: String,
    },
    /// A person ended a wait.
    WaitEnded {
        /// Which stage.
        stage: StageIndex,
        /// Who.
        by: String,
    },
}

/// Why a stage fails although no task said so. The shell writes it into the stage's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Its time was up.
    TimedOut,
    /// Its attempt was lost too often.
    TakeoversSpent {
        /// How often.
        takeovers: u32,
    },
    /// Its task was tried too often.
    AttemptsSpent {
        /// How often.
        attempts: u32,
    },
    /// Its expressions failed and `failOnFailedExpressions` is set.
    ExpressionsFailed,
    /// Its attempt did not end when it was told to.
    AbortIgnored,
}
