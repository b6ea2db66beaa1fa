//! Large pipelines cost what small ones do, stage by stage. What is compared is what was allocated,
//! which no noise moves, and the thread's own processor time, which it moves little: a cost that grows
//! with the number of stages is many times that.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails where it stands, and prints what it measured"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loadtest::embedded::{self, Load};
use loadtest::graphs::Shape;
use loadtest::stepping;
use shared_adapters::{SystemClock, memory};
use shared_ports::Clock;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// What a stage of a large pipeline may cost, as a multiple of one of a small pipeline.
const COUNTED_MAX: f64 = 1.2;
/// The same of processor time: caches are small, and other processes share them.
const TIMED_MAX: f64 = 4.0;
/// Stages that are run in one measurement.
const STAGES: usize = 10_000;
/// How often something is measured whose least time counts.
const TIMES: usize = 5;

/// What something cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    allocations: f64,
    bytes: f64,
    time: Duration,
}

impl Cost {
    /// Of each of so many.
    fn per(self, count: usize) -> Self {
        let Self { allocations, bytes, time } = self;
        let count = count as f64;
        Self { allocations: allocations / count, bytes: bytes / count, time: time.div_f64(count) }
    }

    /// As multiples of another one.
    fn to(self, other: Self) -> [f64; 3] {
        let time = self.time.as_secs_f64() / other.time.as_secs_f64();
        [self.allocations / other.allocations, self.bytes / other.bytes, time]
    }
}

/// Nothing else is measured meanwhile: what is allocated is counted for the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long this thread had a processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

fn once<T>(does: impl FnOnce() -> T) -> (T, Cost) {
    let (region, began) = (Region::new(ALLOCATOR), processor_time());
    let done = does();
    let (time, change) = (processor_time().saturating_sub(began), region.change());
    let allocations = (change.allocations + change.reallocations) as f64;
    (done, Cost { allocations, bytes: change.bytes_allocated as f64, time })
}

fn least<T>(mut does: impl FnMut() -> T) -> Cost {
    let all = (0..TIMES).map(|_| once(&mut does).1);
    all.min_by_key(|cost| cost.time).unwrap()
}

#[track_caller]
fn assert_near(what: &str, large: Cost, small: Cost) {
    let [allocations, bytes, time] = large.to(small);
    println!("{what}: {large:?}, a small one {small:?}: {allocations:.2} {bytes:.2} {time:.2}");
    assert!(allocations <= COUNTED_MAX && bytes <= COUNTED_MAX && time <= TIMED_MAX, "{what}");
}

#[test]
fn a_dense_graph_is_planned_within_ten_times_what_a_chain_takes() {
    let _alone = alone();
    let planned = |shape: Shape| {
        let pipeline = shape.pipeline(2_000, "work");
        least(|| stepping::begin(&stepping::plan(&pipeline).unwrap()))
    };
    let (dense, chain) = (planned(Shape::Dense), planned(Shape::Chain));
    let ratios = dense.to(chain);
    println!("planned: dense {dense:?}, chain {chain:?}: {ratios:.2?}");
    assert!(ratios.iter().all(|ratio| *ratio <= 10.0), "{ratios:?}");
}

#[test]
fn a_stage_of_a_large_pipeline_costs_the_engine_what_one_of_a_small_one_does() {
    let _alone = alone();
    let cost = |shape: Shape, stages: usize| {
        let graph = stepping::plan(&shape.pipeline(stages, "work")).unwrap();
        let (execution, steps) = stepping::run(&graph);
        assert!(execution.status().is_complete());
        assert_eq!(steps, 3 * stages, "evaluated, claimed, finished");
        // Processor time comes in ticks: a small one is run so often that it takes some.
        let runs = STAGES / stages;
        least(|| (0..runs).for_each(|_| drop(stepping::run(&graph)))).per(runs * stages)
    };
    for (shape, large) in [(Shape::Chain, 10_000), (Shape::Fan, 10_000), (Shape::Dense, 2_000)] {
        assert_near(&format!("{shape:?} of {large}"), cost(shape, large), cost(shape, 100));
    }
}

/// Everything in one thread: scheduler, worker, and ports in memory.
fn whole(shape: Shape, stages: usize) -> Cost {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let load = Load { executions: 1, at_once: 1, shape, stages, slots: 8 };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let run = || runtime.block_on(embedded::run_on(load, memory::ports(clock, 100_000))).unwrap();
    once(run).1.per(stages)
}

#[test]
fn a_stage_of_a_large_pipeline_costs_a_process_what_one_of_a_small_one_does() {
    let _alone = alone();
    for (shape, large) in [(Shape::Chain, 10_000), (Shape::Fan, 10_000), (Shape::Dense, 2_000)] {
        assert_near(&format!("{shape:?} of {large}"), whole(shape, large), whole(shape, 200));
    }
}
