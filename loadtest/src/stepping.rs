//! The engine alone: an execution whose commands are carried out at once.

use jiff::{SignedDuration, Timestamp};
use scheduler_engine::command::{Command, Evaluate};
use scheduler_engine::event::{AttemptKey, Event, Outcome, StageStart};
use scheduler_engine::graph::{Graph, graph};
use scheduler_engine::plan::{Settings, StagePlan, TaskKind, TaskPlan};
use scheduler_engine::{Execution, Step};
use serde_json::Value;
use shared_model::{Capability, Effects, Epoch, ExecutionId, Limits, Pipeline, WorkerId};

/// Limits that hold nothing up.
pub fn limits() -> Limits {
    Limits {
        stages_max: 100_000,
        edges_max: 1_000_000,
        document_bytes_max: 64 * 1024 * 1024,
        ..Limits::default()
    }
}

/// Plans a pipeline; `None` if it cannot be run.
pub fn plan(pipeline: &Value) -> Option<Graph> {
    graph(&Pipeline::from_value(pipeline.clone())?, &limits()).0
}

/// Begins an execution.
pub fn begin(graph: &Graph) -> (Execution, Step) {
    let id = ExecutionId::new("01JD0000000000000000000000");
    Execution::submit(id, graph, &limits(), Timestamp::UNIX_EPOCH)
}

/// Runs an execution to its end: every stage is evaluated, claimed and finished. Also how many steps
/// it took.
pub fn run(graph: &Graph) -> (Execution, usize) {
    let (mut execution, step) = begin(graph);
    let (mut now, mut commands, mut steps) = (Timestamp::UNIX_EPOCH, step.commands, 0);
    while let Some(command) = commands.pop() {
        now += SignedDuration::from_millis(1);
        for event in answers(command, now) {
            // What is stale changes nothing, and the execution does not end.
            if let Ok(step) = execution.step(event) {
                commands.extend(step.commands);
                steps += 1;
            }
        }
    }
    (execution, steps)
}

/// What a stage is that a worker has to do.
pub fn start(kind: TaskKind) -> StageStart {
    let task = TaskPlan { name: "work".into(), kind };
    let plan = StagePlan { tasks: vec![task], ..StagePlan::default() };
    StageStart::Run { settings: Settings::default(), plan, expressions_failed: false }
}

fn answers(command: Command, at: Timestamp) -> Vec<Event> {
    match command {
        Command::Evaluate { stage, what: Evaluate::Start } => {
            let (capability, effects) = (Capability::new("work"), Effects::Keyed);
            let start = start(TaskKind::Worker { capability, effects });
            vec![Event::Evaluated { stage, start, at }]
        }
        Command::Dispatch { attempt, epoch, .. } => vec![
            Event::LeaseGranted { attempt, epoch, worker: WorkerId::new("w"), waits: false, at },
            finished(attempt, epoch, at),
        ],
        Command::Evaluate { .. }
        | Command::Arm { .. }
        | Command::Abort { .. }
        | Command::Grant { .. }
        | Command::WatchChild { .. }
        | Command::CancelChild { .. }
        | Command::AskToStart
        | Command::Announce { .. } => Vec::new(),
    }
}

fn finished(attempt: AttemptKey, epoch: Epoch, at: Timestamp) -> Event {
    let (worker, outcome) = (WorkerId::new("w"), Outcome::Succeeded);
    Event::AttemptFinished { attempt, epoch, worker, outcome, expressions_failed: false, at }
}
