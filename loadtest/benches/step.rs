//! What one stage costs the engine, in chains and fans of growing size; and what a waiting execution
//! takes of memory.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops at what it does not expect, and prints"
)]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use scheduler_engine::command::{Command, Evaluate};
use scheduler_engine::event::{AttemptKey, Event, Outcome, StageStart};
use scheduler_engine::graph::{Graph, graph};
use scheduler_engine::plan::{Settings, StagePlan, TaskKind, TaskPlan};
use scheduler_engine::{Execution, Step};
use serde_json::{Value, json};
use shared_model::{Capability, Effects, ExecutionId, Limits, Pipeline, WorkerId};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

fn limits() -> Limits {
    Limits { stages_max: 20_000, edges_max: 100_000, ..Limits::default() }
}

/// A chain of stages.
fn chain(stages: usize) -> Graph {
    compile((0..stages).map(|at| json!({
        "refId": at.to_string(), "type": "work", "name": "work",
        "requisiteStageRefIds": at.checked_sub(1).map(|before| before.to_string()).into_iter().collect::<Vec<_>>(),
    })))
}

/// One stage, a fan of them behind it, and one that joins them.
fn fan(width: usize) -> Graph {
    let middle: Vec<String> = (1..=width).map(|at| at.to_string()).collect();
    let stage = |reference: &str, requires: &[String]| json!({"refId": reference, "type": "work", "name": "work", "requisiteStageRefIds": requires});
    let root = ["root".to_owned()];
    let all = std::iter::once(stage("root", &[]))
        .chain(middle.iter().map(|reference| stage(reference, &root)))
        .chain(std::iter::once(stage("join", &middle)));
    compile(all)
}

fn compile(stages: impl Iterator<Item = Value>) -> Graph {
    let raw = json!({"application": "a", "name": "p", "stages": stages.collect::<Vec<_>>()});
    let raw = raw.as_object().unwrap().clone();
    graph(&Pipeline { raw }, &limits()).0.unwrap()
}

/// Runs an execution to its end: every stage is evaluated, claimed and finished.
fn run(graph: &Graph) -> Execution {
    let mut now = Timestamp::UNIX_EPOCH;
    let id = ExecutionId::new("01JD0000000000000000000000");
    let (mut execution, step) = Execution::submit(id, graph, &limits(), now);
    let mut commands = step.commands;
    while let Some(command) = commands.pop() {
        now += SignedDuration::from_millis(1);
        for event in answers(command, now) {
            let Step { commands: more, .. } = execution.step(event).unwrap();
            commands.extend(more);
        }
    }
    assert!(execution.status().is_complete());
    execution
}

fn answers(command: Command, at: Timestamp) -> Vec<Event> {
    match command {
        Command::Evaluate { stage, what: Evaluate::Start } => {
            vec![Event::Evaluated {
                stage,
                start: start(TaskKind::Worker {
                    capability: Capability::new("work"),
                    effects: Effects::Keyed,
                }),
                at,
            }]
        }
        Command::Dispatch { attempt, epoch, .. } => vec![
            Event::LeaseGranted { attempt, epoch, worker: WorkerId::new("w"), at },
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

fn finished(attempt: AttemptKey, epoch: shared_model::Epoch, at: Timestamp) -> Event {
    let (worker, outcome) = (WorkerId::new("w"), Outcome::Succeeded);
    Event::AttemptFinished { attempt, epoch, worker, outcome, expressions_failed: false, at }
}

fn start(kind: TaskKind) -> StageStart {
    let task = TaskPlan { name: "work".into(), kind };
    let plan = StagePlan { tasks: vec![task], ..StagePlan::default() };
    StageStart::Run { settings: Settings::default(), plan, expressions_failed: false }
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(20);
    for stages in [10, 1_000, 10_000] {
        let graph = chain(stages);
        group.throughput(Throughput::Elements(stages as u64));
        group.bench_function(BenchmarkId::new("chain", stages), |bencher| {
            bencher.iter_batched(|| (), |()| black_box(run(&graph)), BatchSize::LargeInput);
        });
    }
    for width in [100, 1_000] {
        let graph = fan(width);
        group.throughput(Throughput::Elements(width as u64 + 2));
        group.bench_function(BenchmarkId::new("fan", width), |bencher| {
            bencher.iter_batched(|| (), |()| black_box(run(&graph)), BatchSize::LargeInput);
        });
    }
    group.finish();
}

/// Prints the bytes that an execution takes while its first of ten stages waits.
fn memory(_: &mut Criterion) {
    const EXECUTIONS: usize = 1_000;
    let graph = chain(10);
    let region = Region::new(ALLOCATOR);
    let waiting: Vec<Execution> = (0..EXECUTIONS).map(|at| waiting(&graph, at)).collect();
    let change = region.change();
    let bytes = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
    println!("memory/waiting-10-stages {} bytes per execution", bytes / EXECUTIONS);
    drop(waiting);
}

fn waiting(graph: &Graph, at: usize) -> Execution {
    let now = Timestamp::UNIX_EPOCH;
    let id = ExecutionId::new(format!("{at:026}"));
    let (mut execution, _) = Execution::submit(id, graph, &limits(), now);
    let until = now + SignedDuration::from_hours(1);
    let start = start(TaskKind::Wait { until });
    execution.step(Event::Evaluated { stage: 0, start, at: now }).unwrap();
    execution
}

criterion_group!(benches, memory, steps);
criterion_main!(benches);
