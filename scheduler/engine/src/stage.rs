//! One stage's state.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared_model::{AttemptNo, Effects, Epoch, StageRef, StageRun, Status, TaskIndex, WorkerId};

use crate::event::StageIndex;
use crate::plan::{Owner, Settings, TaskKind, TaskPlan};

/// A stage: what the document says of its place, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub(crate) reference: StageRef,
    pub(crate) requires: Vec<StageIndex>,
    pub(crate) synthetic: Option<Box<Synthetic>>,
    pub(crate) status: Status,
    pub(crate) start_time: Option<Timestamp>,
    pub(crate) end_time: Option<Timestamp>,
    pub(crate) run: StageRun,
    pub(crate) phase: Phase,
    pub(crate) body: Option<Box<Body>>,
    /// Whether it was planned by a run of its parent that was begun again: it is not there any more.
    pub(crate) removed: bool,
    /// Derived from `requires` and the statuses there: how many still keep this one from starting.
    #[serde(skip)]
    pub(crate) remaining: u32,
    /// Derived: who requires this one.
    #[serde(skip)]
    pub(crate) downstream: Vec<StageIndex>,
    /// Derived: the stages that this one planned.
    #[serde(skip)]
    pub(crate) children: Vec<StageIndex>,
}

/// A stage that another one planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synthetic {
    /// The stage that planned it.
    pub parent: StageIndex,
    /// On which side of its parent's tasks it stands.
    pub owner: Owner,
    /// Its type.
    pub stage_type: String,
    /// Its name.
    pub name: String,
}

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Nothing has begun, or everything has ended.
    Idle,
    /// The shell evaluates it.
    Evaluating,
    /// Its before-stages run.
    Before,
    /// This task runs.
    Task(TaskIndex),
    /// The shell plans its after-stages.
    PlanningAfter,
    /// Its after-stages run.
    After,
    /// The shell plans its on-failure stages; the stage then ends so.
    PlanningOnFailure(Status),
    /// Its on-failure stages run; the stage then ends so.
    OnFailure(Status),
}

/// What a stage that was started carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) settings: Settings,
    pub(crate) tasks: Vec<Task>,
    pub(crate) plans_after: bool,
    pub(crate) plans_on_failure: bool,
    pub(crate) expressions_failed: bool,
    pub(crate) timeout_at: Option<Timestamp>,
    pub(crate) ending: Option<Ending>,
}

/// A stage that is to end as soon as what it runs has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// How it then ends.
    pub(crate) status: Status,
    /// When it ends in any case.
    pub(crate) at_last: Timestamp,
}

/// One task's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Spinnaker's name of it.
    pub name: String,
    /// Who carries it out.
    pub kind: TaskKind,
    /// Where it stands.
    pub status: Status,
    /// When it began.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Which attempt at it is the newest; 0 before the first.
    pub number: AttemptNo,
    /// How often that attempt was taken over.
    pub takeovers: u32,
    pub(crate) attempt: Attempt,
}

/// The newest attempt at a task: each state carries exactly its own data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Attempt {
    /// There is none, or it has ended.
    None,
    /// It waits for a worker.
    Queued { epoch: Epoch, since: Timestamp },
    /// A worker has it.
    Leased { epoch: Epoch, worker: WorkerId, since: Timestamp },
    /// It is to be run, or tried, again.
    Paused { since: Timestamp, until: Timestamp, retry: bool },
    /// Its worker is gone, and nobody knows what it did; its report may still come.
    Unknown { epoch: Epoch, since: Timestamp },
}

impl Task {
    pub(crate) fn new(plan: TaskPlan) -> Self {
        Self {
            name: plan.name,
            kind: plan.kind,
            status: Status::NotStarted,
            start_time: None,
            end_time: None,
            number: 0,
            takeovers: 0,
            attempt: Attempt::None,
        }
    }

    pub(crate) fn reset(&mut self) {
        *self =
            Self::new(TaskPlan { name: std::mem::take(&mut self.name), kind: self.kind.clone() });
    }

    /// The worker that has it, if one has.
    pub fn worker(&self) -> Option<&WorkerId> {
        match &self.attempt {
            Attempt::Leased { worker, .. } => Some(worker),
            Attempt::None
            | Attempt::Queued { .. }
            | Attempt::Paused { .. }
            | Attempt::Unknown { .. } => None,
        }
    }

    /// Whether nobody can recognise what it changes: it may not be repeated unasked.
    pub(crate) fn is_unkeyed(&self) -> bool {
        match &self.kind {
            TaskKind::Worker { effects, .. } => match effects {
                Effects::Unkeyed | Effects::Request => true,
                Effects::None | Effects::Keyed | Effects::Watch => false,
            },
            TaskKind::Native | TaskKind::Wait { .. } | TaskKind::Judgment | TaskKind::Child => {
                false
            }
        }
    }

    /// Whether it rests, or waits for a worker, and is to be given out once more when it is to end.
    pub(crate) fn is_told_at_rest(&self) -> bool {
        let watches = matches!(&self.kind, TaskKind::Worker { effects: Effects::Watch, .. });
        watches && matches!(self.attempt, Attempt::Queued { .. } | Attempt::Paused { .. })
    }
}

impl Stage {
    pub(crate) fn new(reference: StageRef, requires: Vec<StageIndex>) -> Self {
        Self {
            reference,
            remaining: u32::try_from(requires.len()).unwrap_or(u32::MAX),
            requires,
            synthetic: None,
            status: Status::NotStarted,
            start_time: None,
            end_time: None,
            run: 1,
            phase: Phase::Idle,
            body: None,
            removed: false,
            downstream: Vec::new(),
            children: Vec::new(),
        }
    }

    /// Its `refId`.
    pub fn reference(&self) -> &StageRef {
        &self.reference
    }
    /// The stages that it waits for.
    pub fn requisites(&self) -> &[StageIndex] {
        &self.requires
    }
    /// Who planned it, if it is not the document's.
    pub fn synthetic(&self) -> Option<&Synthetic> {
        self.synthetic.as_deref()
    }
    /// Where it stands.
    pub fn status(&self) -> Status {
        self.status
    }
    /// Whether it is of a run that was begun again: nobody is to see it.
    pub fn is_removed(&self) -> bool {
        self.removed
    }
    /// When it began.
    pub fn start_time(&self) -> Option<Timestamp> {
        self.start_time
    }
    /// When it ended.
    pub fn end_time(&self) -> Option<Timestamp> {
        self.end_time
    }
    /// Which run of it this is.
    pub fn run(&self) -> StageRun {
        self.run
    }
    /// How many tasks it has; none before it was evaluated.
    pub fn task_count(&self) -> usize {
        self.tasks().len()
    }
    /// Its tasks; none before it was evaluated.
    pub fn tasks(&self) -> &[Task] {
        self.body.as_ref().map_or(&[], |body| &body.tasks)
    }
    /// One of its tasks.
    ///
    /// # Panics
    /// If it has no such task: indexes come from the engine or are checked against `task_count`.
    pub fn task(&self, task: TaskIndex) -> &Task {
        &self.tasks()[usize::from(task)]
    }
    /// How long it may take, where there is a limit.
    pub fn timeout(&self) -> Option<SignedDuration> {
        self.body.as_ref().and_then(|body| body.settings.timeout)
    }

    /// Whether it only waits for what it runs to end.
    pub fn is_ending(&self) -> bool {
        self.ending().is_some()
    }
    /// Whether it waits to be told what became of its work.
    pub fn waits_for_outcome(&self) -> bool {
        self.current().is_some_and(|(_, task)| matches!(task.attempt, Attempt::Unknown { .. }))
    }
    /// Which task runs now.
    pub fn current_task(&self) -> Option<TaskIndex> {
        self.current().map(|(index, _)| index)
    }

    pub(crate) fn settings(&self) -> Settings {
        self.body.as_ref().map(|body| body.settings.clone()).unwrap_or_default()
    }
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.body.as_ref().and_then(|body| body.ending)
    }
    /// The task that runs now.
    pub(crate) fn current(&self) -> Option<(TaskIndex, &Task)> {
        match self.phase {
            Phase::Task(index) => Some((index, self.task(index))),
            Phase::Idle
            | Phase::Evaluating
            | Phase::Before
            | Phase::PlanningAfter
            | Phase::After
            | Phase::PlanningOnFailure(_)
            | Phase::OnFailure(_) => None,
        }
    }
}
