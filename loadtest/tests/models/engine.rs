//! The real engine as part of a model's state: two states are equal if the same would be stored.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use scheduler_engine::command::{Command, Evaluate};
use scheduler_engine::event::{AttemptKey, Event, StageIndex, StageStart};
use scheduler_engine::graph::graph;
use scheduler_engine::plan::{Settings, StagePlan, TaskKind, TaskPlan};
use scheduler_engine::{Execution, Flight, Stale, StartRule, outstanding};
use serde_json::{Value, json};
use shared_model::{Capability, Effects, ExecutionId, Limits, Pipeline, Status};

/// When everything happens that has no time of its own: the models know order, not duration.
pub(crate) const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// What a stage consists of.
pub(crate) type Plan = fn(StageIndex) -> StageStart;

/// An execution as it is stored.
#[derive(Clone)]
pub(crate) struct Row(Arc<Inner>);

struct Inner {
    execution: Execution,
    plan: Plan,
    head: Vec<u8>,
    stages: Vec<Vec<u8>>,
}

impl Row {
    /// Begins an execution of stages, each with the places of those that it waits for.
    pub(crate) fn submit(stages: &[&[u32]], plan: Plan) -> (Self, Vec<Command>) {
        Self::submit_under(stages, plan, StartRule::default())
    }

    /// Makes an execution of which so many may run at once.
    pub(crate) fn submit_limited(
        stages: &[&[u32]],
        plan: Plan,
        running_max: u32,
    ) -> (Self, Vec<Command>) {
        let running_max = Some(running_max);
        Self::submit_under(stages, plan, StartRule { running_max, ..StartRule::default() })
    }

    fn submit_under(stages: &[&[u32]], plan: Plan, rule: StartRule) -> (Self, Vec<Command>) {
        let names = |all: &[u32]| all.iter().map(u32::to_string).collect::<Vec<_>>();
        let stages = stages.iter().enumerate().map(|(at, requires)| {
            json!({"refId": at.to_string(), "type": "t", "requisiteStageRefIds": names(requires)})
        });
        let raw: Value =
            json!({"application": "a", "name": "p", "stages": stages.collect::<Vec<_>>()});
        let pipeline = Pipeline { raw: raw.as_object().unwrap().clone() };
        let graph = graph(&pipeline, &limits()).0.unwrap();
        let (execution, step) =
            Execution::submit_under(ExecutionId::new("e"), &graph, &limits(), rule, NOW);
        Self::evaluate(execution, plan, step.commands)
    }

    /// Applies an event as the scheduler's shell does: what is to be evaluated is, at once.
    pub(crate) fn step(&self, event: Event) -> Result<(Self, Vec<Command>), Stale> {
        let mut execution = self.0.execution.clone();
        let step = execution.step(event)?;
        Ok(Self::evaluate(execution, self.0.plan, step.commands))
    }

    fn evaluate(
        mut execution: Execution,
        plan: Plan,
        commands: Vec<Command>,
    ) -> (Self, Vec<Command>) {
        let (mut queue, mut kept) = (std::collections::VecDeque::from(commands), Vec::new());
        while let Some(command) = queue.pop_front() {
            match command {
                Command::Evaluate { stage, what: Evaluate::Start } => {
                    let event = Event::Evaluated { stage, start: plan(stage), at: NOW };
                    queue.extend(execution.step(event).into_iter().flat_map(|step| step.commands));
                }
                Command::Announce { .. } => {}
                other => kept.push(other),
            }
        }
        (Self::new(execution, plan), kept)
    }

    fn new(execution: Execution, plan: Plan) -> Self {
        let stages = (0..execution.stage_count()).map(|index| execution.encode_stage(index));
        let (head, stages) = (execution.encode_head(), stages.collect());
        Self(Arc::new(Inner { execution, plan, head, stages }))
    }

    /// What a process that starts finds, and what it then has to do.
    pub(crate) fn reloaded(&self) -> (Self, Vec<Command>) {
        let row = self.decoded(&self.0.head);
        let commands = outstanding(&row.0.execution);
        (row, commands)
    }

    fn decoded(&self, head: &[u8]) -> Self {
        let id = self.0.execution.id();
        let found = Execution::decode(id, head, &self.0.stages, &limits()).unwrap();
        Self::new(found, self.0.plan)
    }

    /// The same as if it had not ended: what an engine would step that does not refuse to.
    pub(crate) fn reopened(&self) -> Self {
        let mut head = self.0.head.clone();
        // The format, then the status by its place in the enumeration.
        head[1] = Status::Running as u8;
        self.decoded(&head)
    }

    pub(crate) fn execution(&self) -> &Execution {
        &self.0.execution
    }

    pub(crate) fn status(&self) -> Status {
        self.0.execution.status()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.status().is_complete()
    }

    /// The attempt at a stage that somebody should be working on.
    pub(crate) fn flight(&self, stage: StageIndex) -> Option<Flight> {
        self.0.execution.in_flight().find(|flight| flight.attempt.stage == stage)
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.0.head == other.0.head && self.0.stages == other.0.stages
    }
}

impl Eq for Row {}

impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.head.hash(state);
        self.0.stages.hash(state);
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status())?;
        let stages = (0..self.0.execution.stage_count()).map(|at| self.0.execution.stage(at));
        stages.into_iter().try_for_each(|stage| write!(f, " {}", stage.status()))?;
        self.0.execution.in_flight().try_for_each(|flight| {
            let state = if flight.leased { "leased" } else { "queued" };
            write!(f, " {}@{} {state}", flight.attempt.stage, flight.epoch)
        })
    }
}

/// How often an attempt is taken over before its stage gives up.
pub(crate) const TAKEOVERS_MAX: u32 = 2;

/// Limits small enough to be reached.
fn limits() -> Limits {
    Limits { takeovers_max: TAKEOVERS_MAX, attempts_max: 2, ..Limits::default() }
}

/// A stage that runs with these tasks.
pub(crate) fn run(tasks: Vec<TaskKind>, settings: Settings) -> StageStart {
    let task = |kind| TaskPlan { name: "task".into(), kind };
    let plan = StagePlan { tasks: tasks.into_iter().map(task).collect(), ..StagePlan::default() };
    StageStart::Run { settings, plan, expressions_failed: false }
}

/// A task for a worker.
pub(crate) fn worker_task(effects: Effects) -> TaskKind {
    TaskKind::Worker { capability: Capability::new("t"), effects }
}

/// The first attempt at a stage's first task.
pub(crate) fn first(stage: StageIndex) -> AttemptKey {
    AttemptKey { stage, run: 1, task: 0, number: 1 }
}
