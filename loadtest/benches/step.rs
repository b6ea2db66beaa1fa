//! What one stage costs the engine, in chains, fans and dense graphs of growing size; and what a
//! waiting execution takes of memory.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops at what it does not expect, and prints"
)]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use loadtest::graphs::Shape;
use loadtest::stepping::{begin, limits, plan, run, start};
use scheduler_engine::Execution;
use scheduler_engine::event::Event;
use scheduler_engine::graph::Graph;
use scheduler_engine::plan::TaskKind;
use shared_model::ExecutionId;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

fn graph(shape: Shape, stages: usize) -> Graph {
    plan(&shape.pipeline(stages, "work")).unwrap()
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(20);
    let sizes = [
        (Shape::Chain, &[10, 1_000, 10_000][..]),
        (Shape::Fan, &[100, 1_000, 10_000]),
        (Shape::Dense, &[100, 2_000]),
    ];
    for (shape, stages) in
        sizes.into_iter().flat_map(|(shape, all)| all.iter().map(move |n| (shape, *n)))
    {
        let graph = graph(shape, stages);
        group.throughput(Throughput::Elements(stages as u64));
        group.bench_function(
            BenchmarkId::new(format!("{shape:?}").to_lowercase(), stages),
            |bencher| {
                bencher.iter_batched(|| (), |()| black_box(run(&graph)), BatchSize::LargeInput);
            },
        );
    }
    group.finish();
}

fn plans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(20);
    for shape in [Shape::Chain, Shape::Dense] {
        let pipeline = shape.pipeline(2_000, "work");
        group.throughput(Throughput::Elements(2_000));
        group.bench_function(
            BenchmarkId::new(format!("{shape:?}").to_lowercase(), 2_000),
            |bencher| {
                bencher.iter(|| black_box(begin(&plan(&pipeline).unwrap())));
            },
        );
    }
    group.finish();
}

/// Prints the bytes that an execution takes while its first of ten stages waits.
fn memory(_: &mut Criterion) {
    const EXECUTIONS: usize = 1_000;
    let graph = graph(Shape::Chain, 10);
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

criterion_group!(benches, memory, plans, steps);
criterion_main!(benches);
