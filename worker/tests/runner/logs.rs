//! A stage's log: readable while the stage runs, bounded, and whole.

use std::sync::atomic::Ordering;
use std::time::Duration;

use shared_model::TaskAnswer;
use shared_plugin::Catalog;
use worker::Config;

use crate::faults::faulty;
use crate::probe::probe;
use crate::world::{World, attempt, config, ports, ready};

#[tokio::test(start_paused = true)]
async fn a_log_can_be_read_while_its_stage_runs() {
    let (probe, _) = probe("probe", |cx| async move {
        for line in 0..3 {
            cx.log.line(&format!("line {line}")).await;
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        TaskAnswer::done()
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    for lines in 1..=3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let log = world.log("1").await;
        assert_eq!(log.lines().count(), lines, "{log}");
        assert!(log.ends_with(&format!("line {}\n", lines - 1)), "{log}");
        tokio::time::sleep(Duration::from_secs(9)).await;
    }
    assert_eq!(world.answer().await, TaskAnswer::done());
    let log = world.log("1").await;
    assert!(log.starts_with("1970-01-01T00:00:00.000Z line 0\n"), "stamped: {log}");
}

#[tokio::test(start_paused = true)]
async fn a_log_is_bounded_and_says_where_it_ends() {
    let (probe, _) = probe("probe", |cx| async move {
        for line in 0..10_000 {
            cx.log.line(&format!("{line} {}", "x".repeat(100))).await;
        }
        cx.log.line(&"y".repeat(1_000_000)).await;
        TaskAnswer::done()
    });
    let config = Config { log_bytes_max: 50_000, ..config() };
    let mut world = World::of(ports(), config, Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    assert_eq!(world.answer().await, TaskAnswer::done(), "a full log does not fail its task");
    let log = world.log("1").await;
    assert!(log.len() > 49_000 && log.len() < 50_200, "{} bytes", log.len());
    let end = log.lines().last().unwrap();
    assert!(end.ends_with("the log ends here: it reached 50000 bytes (log_bytes_max)"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn no_line_is_lost_or_doubled_where_a_task_ends_while_a_chunk_is_being_stored() {
    // The chunk leaves after 200 ms and takes 100; tasks end before, meanwhile and after.
    let (probe, _) = probe("probe", |cx| async move {
        cx.log.line("the only line").await;
        let after: u64 = cx.attempt.stage.as_str().parse().unwrap();
        tokio::time::sleep(Duration::from_millis(after)).await;
        TaskAnswer::done()
    });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    faults.appends.slow_down(Duration::from_millis(100));
    for after in ["150", "250", "350"] {
        world.send(&ready("probe", after, 1)).await;
        world.started().await;
        assert_eq!(world.answer().await, TaskAnswer::done());
        let log = world.log(after).await;
        assert_eq!(log.matches("the only line").count(), 1, "after {after} ms: {log}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_dropped_leaves_its_log() {
    let (probe, _) = probe("probe", |cx| async move {
        loop {
            cx.log.line(&"still here ".repeat(1_000)).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    faults.appends.slow_down(Duration::from_millis(50));
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    world.abort(&attempt("1"), 1).await;
    assert!(matches!(world.answer().await, TaskAnswer::Canceled { .. }));
    let log = world.log("1").await;
    let last = log.lines().last().unwrap();
    let last: jiff::Timestamp = last.split(' ').next().unwrap().parse().unwrap();
    let silent = world.clock().now().duration_since(last);
    assert!(silent.unsigned_abs() < Duration::from_secs(1), "its last second is there: {silent}");
}

#[tokio::test(start_paused = true)]
async fn lines_that_could_not_be_stored_are_counted_and_said_later() {
    let (probe, _) = probe("probe", |cx| async move {
        for line in 0..3 {
            cx.log.line(&format!("line {line}")).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        TaskAnswer::done()
    });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    faults.appends.fail(2);
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    assert_eq!(world.answer().await, TaskAnswer::done(), "a log never fails its task");
    let log = world.log("1").await;
    assert!(log.contains("2 lines before this one could not be stored"), "{log}");
    assert!(log.ends_with("line 2\n"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn lines_wait_for_room_and_their_attempt_with_them() {
    let (probe, _) = probe("probe", |cx| async move {
        for line in 0..3 {
            cx.log.line(&format!("line {line}")).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        TaskAnswer::done()
    });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    faults.is_full.store(true, Ordering::SeqCst);
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.log("1").await, "", "nothing of it is stored yet");
    faults.is_full.store(false, Ordering::SeqCst);
    assert_eq!(world.answer().await, TaskAnswer::done());
    let log = world.log("1").await;
    let texts: Vec<&str> =
        log.lines().filter_map(|line| line.split_once(' ')).map(|l| l.1).collect();
    assert_eq!(texts, ["line 0", "line 1", "line 2"]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_does_not_wait_for_ever_for_the_room_of_its_log() {
    let (probe, _) = probe("probe", |cx| async move {
        for _ in 0..200 {
            cx.log.line(&"x".repeat(10_000)).await;
        }
        TaskAnswer::done()
    });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    faults.is_full.store(true, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    assert_eq!(world.answer().await, TaskAnswer::done(), "a log never fails its task");
    let waited = began.elapsed();
    assert!((60..70).contains(&waited.as_secs()), "{waited:?}");
    assert!(faults.appends.calls() < 100, "{} tries are too many", faults.appends.calls());
}
