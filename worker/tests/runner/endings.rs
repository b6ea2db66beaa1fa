//! How attempts end that do not end by themselves: cancel, deadline, panic, a grant that never comes.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use shared_model::{Retry, TaskAnswer, TaskResult};
use shared_plugin::Catalog;
use shared_ports::messages::{AttemptReady, Report};
use worker::Config;

use crate::probe::{probe, until_cancelled};
use crate::world::{LIMIT, Said, World, attempt, config, needs_grant, ports, ready};

fn canceled() -> TaskAnswer {
    TaskAnswer::Canceled { result: TaskResult::default() }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_a_running_task_within_two_seconds() {
    let (probe, runs) = probe("probe", until_cancelled);
    let config = Config { slots: 2, ..config() };
    let mut world = World::of(ports(), config, Catalog::default().with(probe)).await;
    for stage in ["1", "2", "waits for a slot"] {
        world.send(&ready("probe", stage, 1)).await;
    }
    world.started().await;
    world.started().await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let before = world.clock().elapsed();
    world.abort(&attempt("1"), 1).await;
    assert_eq!(world.answer().await, canceled());
    assert!(world.clock().elapsed() - before <= Duration::from_secs(2));
    assert_eq!(world.started().await.attempt, attempt("waits for a slot"));
    assert_eq!(runs.now(), 2, "the others go on");
}

#[tokio::test(start_paused = true)]
async fn a_stage_type_hears_of_a_cancel_and_not_of_a_worker_that_stops() {
    let (probe, runs) = probe("probe", until_cancelled);
    let mut world = World::with(Catalog::default().with(probe)).await;
    for stage in ["1", "2"] {
        world.send(&ready("probe", stage, 1)).await;
        world.started().await;
    }
    world.abort(&attempt("1"), 1).await;
    assert_eq!(world.answer().await, canceled());
    assert_eq!(runs.cancelled(), 1);
    assert!(world.supervisor.shut_down(LIMIT).await);
    assert_eq!(world.answer().await, TaskAnswer::HandedOver { checkpoint: json!(null) });
    assert_eq!(runs.cancelled(), 1, "a worker that stops cancels nothing");
}

#[tokio::test(start_paused = true)]
async fn a_stage_type_that_failed_is_not_told_of_the_cancel_as_well() {
    let (probe, runs) = probe("probe", |cx| async move {
        cx.told_to_end().await;
        TaskAnswer::terminal(shared_model::TaskError::new("Failed", "by itself"))
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    world.abort(&attempt("1"), 1).await;
    assert!(matches!(world.answer().await, TaskAnswer::Failed { .. }));
    assert_eq!(runs.cancelled(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_an_older_epoch_does_not_end_a_newer_one() {
    let (probe, runs) = probe("probe", until_cancelled);
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 5)).await;
    world.started().await;
    world.abort(&attempt("1"), 4).await;
    world.abort(&attempt("elsewhere"), 5).await;
    world.silent_for(Duration::from_secs(60)).await;
    assert_eq!(runs.now(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_listen_is_dropped_after_its_grace() {
    let (probe, runs) = probe("probe", |_| async {
        tokio::time::sleep(Duration::from_secs(100_000)).await;
        TaskAnswer::done()
    });
    let (said, _guard) = Said::listen();
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    let before = world.clock().elapsed();
    world.abort(&attempt("1"), 1).await;
    assert_eq!(world.answer().await, canceled());
    let took = world.clock().elapsed() - before;
    assert!(took >= config().cancel_grace && took < config().cancel_grace * 2, "{took:?}");
    assert_eq!(runs.now(), 0);
    assert!(said.text().contains("did not end when it was told to"), "{}", said.text());
}

#[tokio::test(start_paused = true)]
async fn what_a_cancelled_task_made_is_reported() {
    let (probe, _) = probe("probe", |cx| async move {
        cx.told_to_end().await;
        let outputs = json!({"applied": ["a", "b"]}).as_object().unwrap().clone();
        TaskAnswer::Canceled { result: TaskResult { outputs, ..TaskResult::default() } }
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    world.abort(&attempt("1"), 1).await;
    let TaskAnswer::Canceled { result } = world.answer().await else { panic!("cancelled") };
    assert_eq!(result.outputs["applied"], json!(["a", "b"]));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_an_attempt_that_nobody_cancels() {
    let (probe, _) = probe("probe", until_cancelled);
    let mut world = World::with(Catalog::default().with(probe)).await;
    let mut message = ready("probe", "1", 1);
    message.deadline = Some(world.clock().now() + SignedDuration::from_secs(30));
    world.send(&message).await;
    world.started().await;
    assert_eq!(world.answer().await, canceled());
    let took = world.clock().elapsed();
    assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(31), "{took:?}");
    let mut late = ready("probe", "2", 1);
    late.deadline = Some(world.clock().now() - SignedDuration::from_secs(1));
    world.send(&late).await;
    assert_eq!(world.answer().await, canceled(), "one that is past already");
}

#[tokio::test(start_paused = true)]
async fn a_stage_type_that_panics_fails_its_attempt_and_nothing_else() {
    let (fragile, _) = probe("fragile", |cx| async move {
        cx.log.line("about to break").await;
        let number = cx.attempt.stage.as_str().parse::<u32>();
        let number = number.unwrap_or_else(|_| panic!("no number: {}", cx.attempt.stage));
        assert_ne!(number, 2, "two is bad");
        TaskAnswer::done()
    });
    let (said, _guard) = Said::listen();
    let config = Config { slots: 1, ..config() };
    let mut world = World::of(ports(), config, Catalog::default().with(fragile)).await;
    for (stage, part) in [("x", "no number: x"), ("2", "two is bad")] {
        world.send(&ready("fragile", stage, 1)).await;
        let answer = world.answer().await;
        let TaskAnswer::Failed { error, retry, .. } = answer else { panic!("{answer:?}") };
        assert_eq!((error.kind.as_str(), retry), ("StagePanicked", Retry::Never));
        let text = error.messages.join("\n");
        assert!(text.contains("task `work` broke down") && text.contains(part), "{text}");
        assert!(text.contains("fault of the stage type"), "{text}");
        assert!(world.log(stage).await.contains("about to break"));
    }
    assert!(said.text().contains("a stage type panicked"), "{}", said.text());
    world.send(&ready("fragile", "1", 1)).await;
    assert_eq!(world.answer().await, TaskAnswer::done(), "its slot is free again");
    assert!(!world.supervisor.has_failed());
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_grant_asks_until_it_has_it() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&needs_grant("1")).await;
    for _ in 0..3 {
        world.started().await;
        assert_eq!(runs.begun(), 0, "it does not begin by itself");
    }
    world.grant(&attempt("1"), 0).await;
    world.started().await;
    assert_eq!(runs.begun(), 0);
    world.grant(&attempt("1"), 1).await;
    assert_eq!(world.answer().await, TaskAnswer::done());
    assert_eq!(runs.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_granted_is_given_back_unbegun() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&needs_grant("1")).await;
    let answer = loop {
        match world.report().await.report {
            Report::Started => {}
            Report::Finished(answer) => break *answer,
            other @ (Report::LeaseEnded | Report::FinishedBlob(_)) => panic!("{other:?}"),
        }
    };
    assert_eq!(answer, TaskAnswer::HandedOver { checkpoint: serde_json::Value::Null });
    assert_eq!(runs.begun(), 0);
}

/// The worker's clock is slow where it seems to come from the future.
#[tokio::test(start_paused = true)]
async fn what_has_lain_asks_before_it_begins() {
    for away in [SignedDuration::from_secs(-2), SignedDuration::from_secs(2)] {
        let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
        let mut world = World::with(Catalog::default().with(probe)).await;
        let sent_at = Some(world.clock().now().checked_add(away).unwrap());
        world.send(&AttemptReady { sent_at, ..ready("probe", "1", 1) }).await;
        assert!(world.started().await.waits);
        assert!(world.started().await.waits, "the first word may have been lost");
        assert_eq!(runs.begun(), 0);
        world.grant(&attempt("1"), 1).await;
        assert_eq!(world.answer().await, TaskAnswer::done());
        assert_eq!(runs.begun(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_cancelled_while_its_message_lay_does_not_begin() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let sent_at = Some(world.clock().now().checked_sub(SignedDuration::from_mins(10)).unwrap());
    world.send(&AttemptReady { sent_at, ..ready("probe", "1", 1) }).await;
    world.started().await;
    world.abort(&attempt("1"), 1).await;
    let unbegun = TaskAnswer::HandedOver { checkpoint: serde_json::Value::Null };
    assert_eq!(world.answer().await, unbegun);
    assert_eq!(runs.begun(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_new_or_is_to_end_does_not_ask() {
    let (probe, _runs) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let now = world.clock().now();
    let old = now.checked_sub(SignedDuration::from_mins(10)).unwrap();
    let to_end = AttemptReady { to_end: true, sent_at: Some(old), ..ready("probe", "2", 1) };
    for ready in [AttemptReady { sent_at: Some(now), ..ready("probe", "1", 1) }, to_end] {
        world.send(&ready).await;
        world.answer().await;
    }
}
