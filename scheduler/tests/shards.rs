//! Several schedulers on one store, one broker and one table of leases: any of them takes requests,
//! any may die, and none is in another's way.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and measure time"
)]

#[path = "shards/asking.rs"]
mod asking;
#[path = "shards/scene.rs"]
mod scene;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use shared_model::Limits;
use shared_ports::journal::Kind;

use crate::asking::Asking;
use crate::scene::{SHARDS, World};

#[tokio::test(flavor = "multi_thread")]
async fn shards_are_divided_when_schedulers_come_and_go() {
    let mut world = World::default();
    world.start("a").await;
    world.until("a has all", |owners| owners.get("a").is_some_and(|owned| owned.len() == 64)).await;
    world.start("b").await;
    world.start("c").await;
    let is_divided = |names: &'static [&'static str]| {
        move |owners: &scene::Owners| {
            let all: Vec<u16> = owners.values().flatten().copied().collect();
            let once: BTreeSet<u16> = all.iter().copied().collect();
            all.len() == usize::from(SHARDS)
                && once.len() == all.len()
                && names.iter().all(|name| owners.get(*name).is_some_and(|own| own.len() >= 8))
        }
    };
    let took = world.until("three share", is_divided(&["a", "b", "c"])).await;
    println!("two more joined: {took:?}");
    world.stop("a").await;
    let took = world.until("two share", is_divided(&["b", "c"])).await;
    println!("one left: {took:?}");
    world.kill("b");
    let took = world.until("one has all", |owners| owners["c"].len() == 64).await;
    println!("one was killed: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_scheduler_takes_any_request() {
    let world = World::of(&["a", "b", "c"]).await;
    let mut ids = Vec::new();
    for number in 0..60 {
        ids.push(world.at(number).submit(scene::start("judged", scene::judged())).await.unwrap());
    }
    for (number, id) in ids.iter().enumerate() {
        world.until_waiting(id).await;
        // Another one than the one that it was submitted to.
        let patch = json!({ "judgmentStatus": "continue" }).as_object().cloned().unwrap();
        world.at(number + 1).patch_stage(id, "ask", patch, "somebody").await.unwrap();
    }
    for id in &ids {
        let ended = world.until_ended(id).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{ended:#}");
        world.assert_each_stage_ran_once(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_cancelled_from_anywhere_at_once() {
    let world = World::of(&["a", "b", "c"]).await;
    for number in 0..30 {
        let start = scene::start("judged", scene::judged());
        let id = world.at(number).submit(start).await.unwrap();
        // Whether or not its owner has heard of it already.
        world.at(number + 1).cancel(&id, "somebody", "no more").await.unwrap();
        assert_eq!(world.until_ended(&id).await["status"], "CANCELED");
        let again = world.at(number + 2).cancel(&id, "somebody", "no more").await.unwrap_err();
        assert!(again.to_string().contains("has ended"), "{again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_waits_for_its_child_wherever_that_is() {
    let world = World::of(&["a", "b", "c"]).await;
    let child = world.save("child", json!([scene::wait("1", 1, &[])])).await;
    let parent = json!([{
        "refId": "1", "type": "pipeline", "name": "child", "application": "shop",
        "pipeline": child, "waitForCompletion": true,
    }]);
    let mut ids = Vec::new();
    for number in 0..30 {
        let start = scene::start("parent", parent.clone());
        ids.push(world.at(number).submit(start).await.unwrap());
    }
    let mut longest = Duration::ZERO;
    for id in &ids {
        let ended = world.until_ended(id).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{ended:#}");
        let took = ended["endTime"].as_i64().unwrap() - ended["buildTime"].as_i64().unwrap();
        longest = longest.max(Duration::from_millis(took.unsigned_abs()));
    }
    println!("a parent of a child of 1 s took at most {longest:?}");
    assert_eq!(world.executions("child").await.len(), ids.len(), "one child each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_parent_takes_its_child_with_it() {
    let world = World::of(&["a", "b", "c"]).await;
    let child = world.save("child", scene::judged()).await;
    let parent = json!([{
        "refId": "1", "type": "pipeline", "name": "child", "application": "shop",
        "pipeline": child, "waitForCompletion": true,
    }]);
    for number in 0..12 {
        let start = scene::start("parent", parent.clone());
        let id = world.at(number).submit(start).await.unwrap();
        let child = world.until_child_of(&id).await;
        world.at(number + 1).cancel(&id, "somebody", "no more").await.unwrap();
        assert_eq!(world.until_ended(&child).await["status"], "CANCELED");
        assert_eq!(world.until_ended(&id).await["status"], "CANCELED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_go_on_when_schedulers_are_killed_one_after_the_other() {
    let mut world = World::of(&["a", "b"]).await;
    let stages = json!([
        scene::wait("1", 1, &[]),
        scene::wait("2", 1, &["1"]),
        scene::wait("3", 1, &["2"]),
        scene::wait("4", 2, &["1"]),
        scene::wait("5", 1, &["3", "4"]),
    ]);
    let mut ids = Vec::new();
    for (round, victim) in ["a", "b", "c0", "c1"].into_iter().enumerate() {
        for number in 0..40 {
            let start = scene::start("waits", stages.clone());
            ids.push(world.at(number).submit(start).await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.kill(victim);
        world.start(["c0", "c1", "c2", "c3"][round]).await;
    }
    for id in &ids {
        let ended = world.until_ended(id).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{ended:#}");
        world.assert_each_stage_ran_once(id).await;
    }
    let took = |execution: &Value| {
        execution["endTime"].as_i64().unwrap() - execution["buildTime"].as_i64().unwrap()
    };
    let mut all = Vec::new();
    for id in &ids {
        all.push(took(&world.execution(id).await));
    }
    all.sort_unstable();
    println!(
        "4 s of waiting took p50 {} ms, at most {} ms",
        all[all.len() / 2],
        all.last().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_executions_of_a_pipeline_run_than_may_whoever_owns_them() {
    const RUNNING_MAX: usize = 2;
    let mut world = World::of(&["a", "b", "c"]).await;
    let mut start = scene::start("limited", json!([scene::wait("w", 0, &[])]));
    start.document["id"] = "limited-id".into();
    start.document["maxConcurrentExecutions"] = RUNNING_MAX.into();
    start.document["keepWaitingPipelines"] = true.into();
    let mut ids = Vec::new();
    for number in 0..40 {
        if number == 20 {
            world.kill("b");
        }
        ids.push(world.at(number).submit(start.clone()).await.unwrap());
    }
    let mut spans = Vec::new();
    for id in &ids {
        let ended = world.until_ended(id).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{ended:#}");
        let time = |key: &str| ended[key].as_i64().unwrap();
        spans.push((time("startTime"), time("endTime")));
    }
    for (began, _) in &spans {
        let running = spans.iter().filter(|(from, until)| from < began && began < until).count();
        assert!(running < RUNNING_MAX, "{running} ran already at {began}: {spans:?}");
    }
    assert!(spans.is_sorted_by_key(|(began, _)| *began), "first in, first out: {spans:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_executions_run_than_may_in_all_and_of_an_application() {
    const RUNNING_MAX: usize = 2;
    let at_most = |most| std::num::NonZeroU32::new(most);
    let limits = Limits {
        executions_running_max: at_most(RUNNING_MAX as u32),
        executions_running_per_application_max: at_most(1),
        ..Limits::default()
    };
    let mut world = World::limited(&["a", "b", "c"], limits).await;
    let mut ids = Vec::new();
    for number in 0..36 {
        if number == 18 {
            world.kill("b");
        }
        let mut start = scene::start("limited", json!([scene::wait("w", 0, &[])]));
        start.document["application"] = ["shop", "bank", "Shop"][number % 3].into();
        ids.push(world.at(number).submit(start).await.unwrap());
    }
    let mut spans = Vec::new();
    for id in &ids {
        let ended = world.until_ended(id).await;
        assert_eq!(ended["status"], "SUCCEEDED", "{ended:#}");
        world.assert_each_stage_ran_once(id).await;
        let time = |key: &str| ended[key].as_i64().unwrap();
        let application = ended["application"].as_str().unwrap().to_lowercase();
        spans.push((application, time("startTime"), time("endTime")));
    }
    for (application, began, _) in &spans {
        let running = spans.iter().filter(|(_, from, until)| from < began && began < until);
        let running: Vec<_> = running.collect();
        assert!(running.len() < RUNNING_MAX, "{running:?} ran already at {began}: {spans:?}");
        let beside = running.iter().filter(|(other, ..)| other == application).count();
        assert_eq!(beside, 0, "of one application at {began}: {spans:?}");
    }
    for application in ["shop", "bank"] {
        let of_it = spans.iter().filter(|(other, ..)| other == application);
        let began: Vec<i64> = of_it.map(|(_, began, _)| *began).collect();
        assert!(began.is_sorted(), "first in, first out: {spans:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_deleted_from_anywhere_and_once() {
    let world = World::of(&["a", "b", "c"]).await;
    for number in 0..30 {
        let start = scene::start("judged", scene::judged());
        let id = world.at(number).submit(start).await.unwrap();
        let kind = Kind::Pipeline;
        let refused = world.at(number + 1).remove(&id, kind).await.unwrap_err();
        assert!(refused.to_string().contains("cancel it first"), "{refused}");
        world.at(number + 1).cancel(&id, "somebody", "no more").await.unwrap();
        assert_eq!(world.until_ended(&id).await["status"], "CANCELED");
        let (one, other) = tokio::join!(
            world.at(number).remove(&id, kind),
            world.at(number + 2).remove(&id, kind)
        );
        assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
        let late = [one, other].into_iter().filter_map(Result::err);
        late.for_each(|late| assert!(late.to_string().contains("not found"), "{late}"));
        for number in 0..3 {
            assert_eq!(world.at(number).execution(&id).await.unwrap(), None);
            let gone = world.at(number).cancel(&id, "somebody", "").await.unwrap_err();
            assert!(gone.to_string().contains("not found"), "{gone}");
        }
    }
}

/// A message that was sent before shards moved names the queue of a scheduler that does not own the
/// execution any more: that one answers as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_told_to_begin_whoever_is_asked() {
    let world = World::of(&["a", "b", "c"]).await;
    let each = |owners: &scene::Owners| owners.values().all(|owned| !owned.is_empty());
    world.until("each owns some", each).await;
    let mut worker = Asking::of(&world, "asking").await;
    for number in 0..12 {
        let stages = json!([{ "refId": "1", "type": "call", "name": "Call" }]);
        let id = world.at(number).submit(scene::start("calls", stages)).await.unwrap();
        let ready = worker.next_of(&id).await;
        for shard in world.owners().await.values().filter_map(BTreeSet::first) {
            worker.ask(&ready, *shard).await;
            worker.hears_that_it_begins(&ready).await;
        }
    }
}
