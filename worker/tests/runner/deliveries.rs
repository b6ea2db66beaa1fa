//! From a message to an answer: once, in order of its epoch, in a slot.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use shared_model::{Capability, Epoch, TaskAnswer, TaskResult, WorkerId};
use shared_plugin::Catalog;
use shared_ports::messages::{
    AttemptReady, INPUTS_INLINE_BYTES_MAX, Inputs, MESSAGE_VERSION, Report, TaskInput,
};
use shared_ports::{BlobRef, Claim, Outgoing, Queue};
use worker::Config;

use crate::faults::faulty;
use crate::probe::{probe, until_cancelled};
use crate::world::{LIMIT, Said, World, attempt, config, holder, ports, ready, until};

#[tokio::test(start_paused = true)]
async fn the_answer_of_what_is_short_is_all_that_is_reported() {
    let (probe, runs) = probe("probe", |cx| async move {
        let outputs = json!({"saw": cx.text("from")}).as_object().unwrap().clone();
        TaskAnswer::Succeeded { result: TaskResult { outputs, ..TaskResult::default() } }
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 3)).await;
    let report = world.report().await;
    assert_eq!((report.attempt, report.epoch), (attempt("1"), Epoch(3)));
    assert_eq!((report.worker, report.v), (config().id, MESSAGE_VERSION));
    let Report::Finished(answer) = report.report else { panic!("it was short: {report:?}") };
    let TaskAnswer::Succeeded { result } = *answer else { panic!("it succeeded") };
    assert_eq!(result.outputs["saw"], "the message");
    assert_eq!(runs.begun(), 1);
    assert_eq!(world.ports.leases.holders(&[attempt("1")]).await.unwrap(), [None], "released");
    assert_eq!(world.left_of("probe").await, 0, "acknowledged");
}

#[tokio::test(start_paused = true)]
async fn what_lasts_is_reported_started_soon() {
    let (probe, _) = probe("probe", until_cancelled);
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 3)).await;
    let started = world.started().await;
    assert_eq!((started.attempt, started.epoch), (attempt("1"), Epoch(3)));
    assert!(world.clock().elapsed() < Duration::from_millis(200), "a cancel has to find it");
    world.abort(&attempt("1"), 3).await;
    world.answer().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_twice_runs_once() {
    let (probe, runs) = probe("probe", |_| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        TaskAnswer::done()
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let ready = ready("probe", "1", 1);
    world.send(&ready).await;
    world.send_again(&ready, "while it runs").await;
    world.started().await;
    assert_eq!(world.answer().await, TaskAnswer::done());
    world.silent_for(LIMIT).await;
    world.send_again(&ready, "after it ended").await;
    // Its report may have been lost on the way, so the scheduler is told, and decides by the epoch.
    assert_eq!(world.report().await.report, Report::LeaseEnded);
    world.silent_for(LIMIT).await;
    assert_eq!(runs.begun(), 1);
    assert_eq!(world.left_of("probe").await, 0, "every copy is acknowledged");
}

#[tokio::test(start_paused = true)]
async fn two_workers_with_the_same_message_run_it_once() {
    let ports = ports();
    let (one, runs_of_one) = probe("probe", until_cancelled);
    let (other, runs_of_other) = probe("probe", until_cancelled);
    let mut world = World::of(ports.clone(), config(), Catalog::default().with(one)).await;
    let second = Config { id: WorkerId::new("worker-2"), ..config() };
    worker::start(second, ports, Catalog::default().with(other), &world.supervisor).await.unwrap();
    let ready = ready("probe", "1", 1);
    for copy in 0..6 {
        world.send_again(&ready, &copy.to_string()).await;
    }
    world.started().await;
    world.silent_for(LIMIT).await;
    assert_eq!(runs_of_one.begun() + runs_of_other.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_an_older_epoch_is_not_run() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let (other, ttl) = (holder("other"), config().lease_ttl);
    let claim = world.ports.leases.claim(&attempt("1"), Epoch(5), &other, ttl).await.unwrap();
    assert_eq!(claim, Claim::Granted);
    world.send(&ready("probe", "1", 4)).await;
    world.silent_for(Duration::from_secs(10)).await;
    assert_eq!(runs.begun(), 0, "refused while the newer one lives");
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.send(&ready("probe", "1", 4)).await;
    world.silent_for(LIMIT).await;
    assert_eq!(runs.begun(), 0, "refused after it ended, too");
    world.send(&ready("probe", "1", 6)).await;
    assert_eq!(world.report().await.epoch, Epoch(6), "a newer epoch takes over");
    assert_eq!(world.left_of("probe").await, 0, "what is stale does not come again");
}

#[tokio::test(start_paused = true)]
async fn a_dead_workers_message_is_reported_not_repeated() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let (dead, ttl) = (holder("dead"), config().lease_ttl);
    world.ports.leases.claim(&attempt("1"), Epoch(1), &dead, ttl).await.unwrap();
    tokio::time::sleep(ttl.unsigned_abs() + Duration::from_secs(1)).await;
    world.send(&ready("probe", "1", 1)).await;
    let report = world.report().await;
    assert_eq!((report.report, report.epoch), (Report::LeaseEnded, Epoch(1)));
    world.silent_for(LIMIT).await;
    assert_eq!(runs.begun(), 0, "whether it was done is unknown here");
}

#[tokio::test(start_paused = true)]
async fn garbage_is_set_aside_once_with_a_line_in_the_log() {
    let (said, _guard) = Said::listen();
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let queue = Queue::Ready(Capability::new("probe"));
    let bodies: [&'static [u8]; 5] = [b"", b"\xff\xfe", b"{", b"[1]", b"{\"v\":1}"];
    for (number, body) in bodies.into_iter().enumerate() {
        let id = format!("garbage-{number}");
        let message = Outgoing { queue: queue.clone(), id, body: Bytes::from_static(body) };
        world.ports.broker.publish(vec![message]).await.unwrap();
    }
    world.publish(Queue::Control(config().id), "garbage-c", &json!("stop!")).await;
    world.send(&ready("probe", "1", 1)).await;
    assert_eq!(world.answer().await, TaskAnswer::done(), "the worker goes on");
    assert_eq!(runs.begun(), 1);
    for number in 0..bodies.len() {
        assert!(said.text().contains(&format!("garbage-{number}")), "{}", said.text());
    }
    assert!(said.text().contains("a word to this worker cannot be read"), "{}", said.text());
    assert_eq!(world.left_of("probe").await, 0);
    let aside = world.ports.broker.set_aside().await.unwrap();
    assert_eq!(aside, bodies.len() as u64 + 1, "somebody may look at them");
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_newer_version_is_left_to_a_newer_worker() {
    let (said, _guard) = Said::listen();
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let newer = json!({"v": MESSAGE_VERSION + 1, "shape": "not known here"});
    world.publish(Queue::Ready(Capability::new("probe")), "newer", &newer).await;
    world.silent_for(Duration::from_secs(20)).await;
    let looked = said.text().matches("newer version").count();
    assert!((2..=25).contains(&looked), "it comes again, but at leisure: {looked} times in 20 s");
    world.send(&ready("probe", "1", 1)).await;
    assert_eq!(world.answer().await, TaskAnswer::done(), "others are not held up by it");
    assert_eq!(runs.begun(), 1);
    assert_eq!(world.left_of("probe").await, 1, "it is kept");
}

#[tokio::test(start_paused = true)]
async fn inputs_in_a_blob_are_read_and_a_long_answer_is_put_into_one() {
    let (probe, _) = probe("probe", |cx| async move {
        let outputs = cx.context().clone();
        TaskAnswer::Succeeded { result: TaskResult { outputs, ..TaskResult::default() } }
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let long = "x".repeat(INPUTS_INLINE_BYTES_MAX * 4);
    let context = json!({"long": long}).as_object().unwrap().clone();
    let input = TaskInput { context, ..input_of(&ready("probe", "1", 1).inputs) };
    let body = Bytes::from(serde_json::to_vec(&input).unwrap());
    let blob = world.ports.blobs.put(body).await.unwrap();
    let message = AttemptReady { inputs: Inputs::Blob(blob), ..ready("probe", "1", 1) };
    world.send(&message).await;
    let report = world.report().await;
    let Report::FinishedBlob(blob) = report.report else { panic!("it is long") };
    let bytes = world.ports.blobs.get(&blob, None).await.unwrap();
    let answer: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(answer["result"]["outputs"]["long"], long.as_str());
}

#[tokio::test(start_paused = true)]
async fn inputs_that_are_gone_or_unreadable_end_the_attempt_and_say_so() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let gone = BlobRef { sha256: "0".repeat(64), bytes: 3 };
    let garbage = world.ports.blobs.put(Bytes::from_static(b"not json")).await.unwrap();
    for (stage, blob) in [("1", gone), ("2", garbage)] {
        let message = AttemptReady { inputs: Inputs::Blob(blob), ..ready("probe", stage, 1) };
        world.send(&message).await;
        let TaskAnswer::Failed { error, .. } = world.answer().await else { panic!("it failed") };
        assert_eq!(error.kind, "InputsUnreadable");
        assert!(error.messages[0].contains("reading"), "{error:?}");
    }
    assert_eq!(runs.begun(), 0);
    assert_eq!(world.left_of("probe").await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_stage_type_ends_the_attempt_and_names_it() {
    let (probe, _) = probe("probe", |_| async { TaskAnswer::done() });
    let mut world = World::with(Catalog::default().with(probe)).await;
    let mut message = ready("other", "1", 1);
    message.capability = Capability::new("probe");
    world.send(&message).await;
    let TaskAnswer::Failed { error, .. } = world.answer().await else { panic!("it failed") };
    assert!(error.messages[0].contains("`other`"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_there_are_slots() {
    let (probe, runs) = probe("probe", |_| async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        TaskAnswer::done()
    });
    let config = Config { slots: 3, ..config() };
    let mut world = World::of(ports(), config, Catalog::default().with(probe)).await;
    for stage in 0..10 {
        world.send(&ready("probe", &stage.to_string(), 1)).await;
    }
    for _ in 0..20 {
        world.report().await;
    }
    assert_eq!((runs.begun(), runs.most()), (10, 3));
    // Ten runs of ten seconds, three at a time.
    let took = world.clock().elapsed();
    assert!(took >= Duration::from_secs(40) && took < Duration::from_secs(41), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_queue_does_not_starve_another() {
    let work = |_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        TaskAnswer::done()
    };
    let ((busy, runs_of_busy), (rare, runs_of_rare)) = (probe("busy", work), probe("rare", work));
    let config = Config { slots: 1, ..config() };
    let catalog = Catalog::default().with(busy).with(rare);
    let world = World::of(ports(), config, catalog).await;
    for stage in 0..50 {
        world.send(&ready("busy", &stage.to_string(), 1)).await;
    }
    world.send(&ready("rare", "r", 1)).await;
    until("the run of the rare one", || runs_of_rare.begun() == 1).await;
    assert!(runs_of_busy.begun() <= 2, "{} went before it", runs_of_busy.begun());
}

#[tokio::test(start_paused = true)]
async fn short_work_acknowledges_with_its_result() {
    let (probe, runs) = probe("probe", |_| async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        TaskAnswer::done()
    });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    tokio::time::sleep(Duration::from_secs(49)).await;
    assert_eq!((runs.now(), faults.acks.calls()), (1, 0), "a worker that dies here loses nothing");
    assert_eq!(world.answer().await, TaskAnswer::done());
    until("the acknowledgement", || faults.acks.calls() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn long_work_acknowledges_once_its_claim_is_safe() {
    let (probe, runs) = probe("probe", until_cancelled);
    let (ports, faults) = faulty(ports());
    let world = World::of(ports, config(), Catalog::default().with(probe)).await;
    faults.claims.fail(u32::MAX);
    faults.beats.fail(u32::MAX);
    world.send(&ready("probe", "1", 1)).await;
    until("its beginning", || runs.begun() == 1).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(faults.acks.calls(), 0, "until it is claimed only the message guards it");
    let before = faults.claims.calls();
    faults.claims.fail(0);
    faults.beats.fail(0);
    until("its claim", || faults.claims.calls() > before).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(faults.acks.calls(), 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((runs.now(), faults.acks.calls()), (1, 1), "its heartbeat guards it by now");
}

fn input_of(inputs: &Inputs) -> TaskInput {
    match inputs {
        Inputs::Inline(input) => (**input).clone(),
        Inputs::Blob(blob) => panic!("not in the message: {blob:?}"),
    }
}
