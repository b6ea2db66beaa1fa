//! A worker that stops: what ends soon ends, the rest is handed over, and nothing is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use shared_model::{TaskAnswer, TaskResult, WorkerId};
use shared_plugin::{Catalog, Ending};
use shared_ports::messages::{AttemptReady, Inputs, Report, TaskInput};
use worker::Config;

use crate::faults::faulty;
use crate::probe::{probe, until_cancelled};
use crate::world::{LIMIT, World, attempt, config, needs_grant, ports, ready, until};

fn canceled() -> TaskAnswer {
    TaskAnswer::Canceled { result: TaskResult::default() }
}

/// A message of a task that an earlier run of it left something for.
fn with_checkpoint(stage: &str, checkpoint: Value) -> AttemptReady {
    let message = ready("probe", stage, 1);
    let Inputs::Inline(input) = message.inputs else { panic!("it is inline") };
    let input = TaskInput { checkpoint: Some(checkpoint), ..*input };
    AttemptReady { inputs: Inputs::Inline(Box::new(input)), ..message }
}

/// The answers to come, by their stages.
async fn answers(world: &mut World, count: usize) -> Vec<(String, TaskAnswer)> {
    let mut answers = Vec::new();
    while answers.len() < count {
        let report = world.report().await;
        match report.report {
            Report::Finished(answer) => answers.push((report.attempt.stage.to_string(), *answer)),
            Report::Started => {}
            other @ (Report::LeaseEnded | Report::FinishedBlob(_)) => panic!("{other:?}"),
        }
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_hands_over_what_runs_and_leaves_what_waits() {
    let (probe, runs) = probe("probe", |cx| async move {
        match cx.attempt.stage.as_str() {
            // Ends in time, and so needs no handing over.
            "ends" => tokio::time::sleep(Duration::from_secs(3)).await,
            "remembers" => {
                cx.told_to_end().await;
                return TaskAnswer::HandedOver { checkpoint: json!({"done": 7}) };
            }
            "listens" => return until_cancelled(cx).await,
            _ => tokio::time::sleep(Duration::from_secs(100_000)).await,
        }
        TaskAnswer::done()
    });
    let config = Config { slots: 4, drain_timeout: Duration::from_secs(15), ..config() };
    let mut world = World::of(ports(), config, Catalog::default().with(probe)).await;
    for stage in ["ends", "remembers", "listens"] {
        world.send(&ready("probe", stage, 1)).await;
    }
    world.send(&with_checkpoint("deaf", json!({"before": 3}))).await;
    world.send(&ready("probe", "waits for a slot", 1)).await;
    for _ in 0..4 {
        world.started().await;
    }
    let before = world.clock().elapsed();
    let supervisor = world.supervisor.clone();
    let (ended, answers) = tokio::join!(supervisor.shut_down(LIMIT), answers(&mut world, 4));
    assert!(ended);
    let find = |stage: &str| answers.iter().find(|(of, _)| of == stage).unwrap().1.clone();
    assert_eq!(find("ends"), TaskAnswer::done());
    assert_eq!(find("remembers"), TaskAnswer::HandedOver { checkpoint: json!({"done": 7}) });
    let none = TaskAnswer::HandedOver { checkpoint: Value::Null };
    assert_eq!(find("listens"), none, "not CANCELED: nobody cancelled it");
    let left = TaskAnswer::HandedOver { checkpoint: json!({"before": 3}) };
    assert_eq!(find("deaf"), left, "cut off, and handed over from where it began");
    assert!(world.clock().elapsed() - before < Duration::from_secs(15));
    assert_eq!((runs.begun(), runs.now(), runs.cancelled()), (4, 0, 0));
    assert_eq!(world.left_of("probe").await, 1, "what was not begun is there for others");
    for stage in ["ends", "remembers", "listens", "deaf"] {
        let holder = world.ports.leases.holders(&[attempt(stage)]).await.unwrap();
        assert_eq!(holder, [None], "`{stage}` can be taken over at once");
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_hears_of_the_end_only_once_it_did_not_end_soon() {
    let told = Arc::new(Mutex::new(None));
    let hears = Arc::clone(&told);
    let (probe, _) = probe("probe", move |cx| {
        let hears = Arc::clone(&hears);
        async move {
            let why = cx.told_to_end().await;
            *hears.lock().unwrap() = Some((why, cx.clock.elapsed()));
            cx.handed_over()
        }
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&with_checkpoint("1", json!(5))).await;
    world.started().await;
    let before = world.clock().elapsed();
    world.supervisor.stop();
    assert_eq!(world.answer().await, TaskAnswer::HandedOver { checkpoint: json!(5) });
    let (why, at) = told.lock().unwrap().unwrap();
    assert_eq!(why, Ending::HandOver);
    let half = config().drain_timeout / 2;
    let took = at - before;
    assert!(took >= half && took < half + Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_worker_stops_goes_to_another() {
    let slow = |_| async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        TaskAnswer::done()
    };
    let ((one, runs_of_one), (other, runs_of_other)) = (probe("probe", slow), probe("probe", slow));
    let ports = ports();
    let mut world = World::of(ports.clone(), config(), Catalog::default().with(one)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    world.supervisor.stop();
    tokio::task::yield_now().await;
    world.send(&ready("probe", "2", 1)).await;
    let second = Config { id: WorkerId::new("worker-2"), ..config() };
    let supervisor = shared_runtime::Supervisor::new();
    worker::start(second, ports, Catalog::default().with(other), &supervisor).await.unwrap();
    let both = answers(&mut world, 2).await;
    assert_eq!(both.len(), 2);
    assert_eq!((runs_of_one.begun(), runs_of_other.begun()), (1, 1));
    assert_eq!(world.left_of("probe").await, 0);
    assert!(supervisor.shut_down(LIMIT).await);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_rests_is_given_back() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    // It cannot be claimed, and rests when the worker is told to stop.
    faults.claims.fail(u32::MAX);
    world.send(&needs_grant("1")).await;
    until("the first try", || faults.claims.calls() == 1).await;
    world.supervisor.stop();
    world.silent_for(Duration::from_secs(30)).await;
    assert_eq!((runs.begun(), world.left_of("probe").await), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_heard_while_a_worker_stops() {
    let (probe, runs) = probe("probe", until_cancelled);
    let config = Config { drain_timeout: Duration::from_secs(60), ..config() };
    let mut world = World::of(ports(), config, Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    world.supervisor.stop();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = world.clock().elapsed();
    world.abort(&attempt("1"), 1).await;
    assert_eq!(world.answer().await, canceled());
    assert!(world.clock().elapsed() - before < Duration::from_secs(2));
    assert_eq!(runs.cancelled(), 1, "its target is told");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_cancelled_before_the_worker_stopped_stays_cancelled() {
    let (probe, runs) = probe("probe", |cx| async move {
        cx.told_to_end().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        canceled()
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    world.abort(&attempt("1"), 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.supervisor.stop();
    assert_eq!(world.answer().await, canceled());
    until("its end", || runs.now() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_grant_is_given_back_at_once() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let message = with_checkpoint("1", json!({"asked": 2}));
    world.send(&AttemptReady { needs_grant: true, ..message }).await;
    world.started().await;
    let before = world.clock().elapsed();
    world.supervisor.stop();
    let answer = world.answer().await;
    assert_eq!(answer, TaskAnswer::HandedOver { checkpoint: json!({"asked": 2}) });
    assert!(world.clock().elapsed() - before < Duration::from_secs(1));
    assert_eq!(runs.begun(), 0);
}

#[tokio::test(start_paused = true)]
async fn leases_are_kept_while_a_worker_stops_and_all_hear_of_it_at_once() {
    let (probe, _) = probe("probe", |_| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        TaskAnswer::done()
    });
    let config = Config { drain_timeout: Duration::from_secs(140), ..config() };
    let mut world = World::of(ports(), config, Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    world.supervisor.stop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(world.ports.leases.live().await.unwrap()[0].0.draining, "before the next beat is due");
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let holders = world.ports.leases.holders(&[attempt("1")]).await.unwrap();
        assert!(holders[0].is_some(), "nobody takes over what still runs");
        assert!(world.ports.leases.live().await.unwrap()[0].0.draining);
    }
    assert_eq!(world.answer().await, TaskAnswer::done());
}
