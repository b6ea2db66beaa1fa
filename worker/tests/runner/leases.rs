//! Leases: kept by heartbeats, and what happens once they are gone.

use std::time::Duration;

use shared_model::{Capability, Epoch, TaskAnswer, WorkerId};
use shared_plugin::{Catalog, Ending};
use shared_ports::messages::{AttemptReady, Inputs, Report};
use shared_ports::{Claim, Queue};
use worker::Config;

use crate::faults::faulty;
use crate::probe::{Runs, probe, until_cancelled};
use crate::world::{LIMIT, World, attempt, config, holder, needs_grant, ports, ready, until};

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_the_lease_of_what_runs_and_tell_of_the_worker() {
    let (probe, _) = probe("probe", |_| async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        TaskAnswer::done()
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 4)).await;
    world.started().await;
    for _ in 0..40 {
        tokio::time::sleep(config().lease_ttl.unsigned_abs()).await;
        let holders = world.ports.leases.holders(&[attempt("1")]).await.unwrap();
        if world.clock().elapsed() < Duration::from_secs(599) {
            assert_eq!(holders, [Some((config().id, Epoch(4)))], "renewed");
            let (beat, _) = world.ports.leases.live().await.unwrap().remove(0);
            assert_eq!(beat.in_flight, [(attempt("1"), Epoch(4))]);
            assert_eq!((beat.slots, beat.draining), (config().slots, false));
            assert_eq!(beat.capabilities[0].as_str(), "probe");
        }
    }
    assert_eq!(world.answer().await, TaskAnswer::done());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_lease_another_took_ends_and_its_answer_is_dropped() {
    let (probe, runs) = probe("probe", until_cancelled);
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    let (other, ttl) = (holder("other"), config().lease_ttl);
    let claim = world.ports.leases.claim(&attempt("1"), Epoch(2), &other, ttl).await.unwrap();
    assert_eq!(claim, Claim::Granted);
    let before = world.clock().elapsed();
    until("its end", || runs.now() == 0).await;
    assert!(world.clock().elapsed() - before <= config().heartbeat_interval * 2);
    world.silent_for(LIMIT).await;
    assert_eq!(world.left_of("probe").await, 0);
}

#[tokio::test(start_paused = true)]
async fn who_lost_its_lease_undoes_nothing_that_another_needs() {
    let (says, told) = std::sync::mpsc::channel();
    let (probe, runs) = probe("probe", move |cx| {
        let says = says.clone();
        async move {
            says.send(cx.told_to_end().await).unwrap();
            TaskAnswer::done()
        }
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    let (other, ttl) = (holder("other"), config().lease_ttl);
    world.ports.leases.claim(&attempt("1"), Epoch(2), &other, ttl).await.unwrap();
    until("its end", || runs.now() == 0).await;
    assert_eq!(told.recv().unwrap(), Ending::HandOver);
}

#[tokio::test(start_paused = true)]
async fn who_is_told_that_another_goes_on_undoes_nothing() {
    let (probe, runs) = probe("probe", until_cancelled);
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    world.take_over(&attempt("1"), 1).await;
    until("its end", || runs.now() == 0).await;
    world.silent_for(LIMIT).await;
    assert_eq!(runs.cancelled(), 0, "its target is told nothing");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_lease_was_lost_is_dropped() {
    // It does not listen, and succeeds; that somebody else does it over is decided already.
    let (probe, runs) = probe("probe", |_| async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        TaskAnswer::done()
    });
    let mut world = World::with(Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    let (other, ttl) = (holder("other"), config().lease_ttl);
    world.ports.leases.claim(&attempt("1"), Epoch(2), &other, ttl).await.unwrap();
    until("its end", || runs.now() == 0).await;
    world.silent_for(LIMIT).await;
}

#[tokio::test(start_paused = true)]
async fn without_heartbeats_it_ends_before_the_lease_does() {
    // What nobody would recognise, were it done twice. Beats that fail at once, that never answer, and
    // that answer late before they never do.
    for (slow_ms, later_ms) in [(0, 0), (600_000, 600_000), (9_900, 600_000)] {
        let (probe, runs) = probe("probe", until_cancelled);
        let (ports, faults) = faulty(ports());
        let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
        tokio::time::sleep(Duration::from_millis(6_500)).await;
        world.send(&needs_grant("1")).await;
        world.started().await;
        world.grant(&attempt("1"), 1).await;
        until("its beginning", || runs.now() == 1).await;
        faults.beats.fail(u32::MAX);
        let lease_ends = world.clock().elapsed() + config().lease_ttl.unsigned_abs();
        faults.beats.slow_down(Duration::from_millis(slow_ms));
        until("the next beat", || faults.beats.calls() == 4).await;
        faults.beats.slow_down(Duration::from_millis(later_ms));
        until("its end", || runs.now() == 0).await;
        let left = lease_ends.checked_sub(world.clock().elapsed());
        assert!(left.is_some(), "{slow_ms} ms: it worked on without a lease");
        // Nobody goes on with it: what it says is all that will ever be known.
        assert!(matches!(world.answer().await, TaskAnswer::Canceled { .. }));
        faults.beats.fail(0);
        faults.beats.slow_down(Duration::ZERO);
        world.send(&ready("probe", "2", 1)).await;
        assert_eq!(world.started().await.attempt, attempt("2"), "it works again");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(runs.now(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_while_an_attempt_is_being_claimed_does_not_end_it() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    faults.gets.slow_down(config().heartbeat_interval * 3);
    let message = ready("probe", "1", 1);
    let Inputs::Inline(input) = &message.inputs else { panic!("it is inline") };
    let input = serde_json::to_vec(input).unwrap();
    let blob = world.ports.blobs.put(input.into()).await.unwrap();
    world.send(&AttemptReady { inputs: Inputs::Blob(blob), ..message }).await;
    assert_eq!(world.answer().await, TaskAnswer::done());
    assert_eq!(runs.begun(), 1);
}

/// A message that another worker had, who has the lease and is gone.
async fn left_behind(world: &World, message: &AttemptReady) {
    let (gone, ttl) = (holder("gone"), config().lease_ttl);
    let held = world.ports.leases.claim(&message.attempt, Epoch(2), &gone, ttl).await.unwrap();
    assert_eq!(held, Claim::Granted);
    let queue = Queue::Ready(Capability::new("elsewhere"));
    world.publish(queue.clone(), "left", message).await;
    let mut consumer = world.ports.broker.consume(&queue, 1).await.unwrap();
    consumer.next().await.unwrap();
}

fn elsewhere() -> (Catalog, Runs) {
    let (probe, runs) = probe("elsewhere", |_| async { TaskAnswer::done() });
    (Catalog::default().with(probe), runs)
}

#[tokio::test(start_paused = true)]
async fn keyed_work_whose_message_comes_again_is_taken_over_at_once() {
    let (catalog, runs) = elsewhere();
    let ports = ports();
    let mut world = World::of(ports.clone(), config(), Catalog::default()).await;
    left_behind(&world, &ready("elsewhere", "1", 2)).await;
    let second = Config { id: WorkerId::new("worker-2"), ..config() };
    worker::start(second, ports, catalog, &world.supervisor).await.unwrap();
    let before = world.clock().elapsed();
    let report = world.report().await;
    assert_eq!((report.report, report.epoch), (Report::LeaseEnded, Epoch(2)));
    assert!(world.clock().elapsed() - before < Duration::from_secs(1));
    assert_eq!(runs.begun(), 0, "not with an epoch that another may be at work with");
    world.send(&ready("elsewhere", "1", 3)).await;
    assert_eq!(world.report().await.epoch, Epoch(3));
    assert_eq!(world.left_of("elsewhere").await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recognised_or_is_older_is_not_taken_over() {
    let grant = AttemptReady { needs_grant: true, ..ready("elsewhere", "1", 2) };
    for message in [grant, ready("elsewhere", "1", 1)] {
        let (catalog, runs) = elsewhere();
        let ports = ports();
        let mut world = World::of(ports.clone(), config(), Catalog::default()).await;
        left_behind(&world, &message).await;
        let second = Config { id: WorkerId::new("worker-2"), ..config() };
        worker::start(second, ports, catalog, &world.supervisor).await.unwrap();
        world.silent_for(config().lease_ttl.unsigned_abs() / 2).await;
        assert_eq!((runs.begun(), world.left_of("elsewhere").await), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_sent_twice_takes_nothing_from_who_has_it() {
    let (catalog, runs) = elsewhere();
    let mut world = World::with(catalog).await;
    let (other, ttl) = (holder("other"), config().lease_ttl);
    world.ports.leases.claim(&attempt("1"), Epoch(2), &other, ttl).await.unwrap();
    world.send(&ready("elsewhere", "1", 2)).await;
    world.silent_for(ttl.unsigned_abs() / 2).await;
    assert_eq!(runs.begun(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_asked_for_is_asked_for_again_at_leisure() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    faults.claims.fail(30);
    world.send(&needs_grant("1")).await;
    world.started().await;
    let took = world.clock().elapsed();
    assert!(took >= Duration::from_secs(15), "30 tries in {took:?} are a circle, not a retry");
    assert_eq!((runs.begun(), faults.claims.calls()), (0, 31));
    assert_eq!(world.left_of("probe").await, 0);
}
