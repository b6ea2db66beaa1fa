//! The store of the leases cannot be reached: what is recognised begins and goes on, the rest waits.

use std::sync::Arc;
use std::time::Duration;

use shared_model::{Capability, Epoch, TaskAnswer};
use shared_plugin::Catalog;
use shared_ports::Queue;

use crate::faults::{Faults, faulty};
use crate::probe::{Runs, probe};
use crate::world::{LIMIT, World, attempt, config, holder, needs_grant, ports, ready, until};

/// How long the work of these tests takes.
const WORK: Duration = Duration::from_secs(120);

async fn scene() -> (World, Arc<Faults>, Runs) {
    let (probe, runs) = probe("probe", |cx| async move {
        tokio::select! {
            _ = cx.told_to_end() => cx.handed_over(),
            () = tokio::time::sleep(WORK) => TaskAnswer::done(),
        }
    });
    let (ports, faults) = faulty(ports());
    let world = World::of(ports, config(), Catalog::default().with(probe)).await;
    (world, faults, runs)
}

fn goes_away(faults: &Faults) {
    faults.claims.fail(u32::MAX);
    faults.beats.fail(u32::MAX);
}

fn comes_back(faults: &Faults) {
    faults.claims.fail(0);
    faults.beats.fail(0);
}

#[tokio::test(start_paused = true)]
async fn what_comes_for_the_first_time_begins_and_gets_its_lease_later() {
    let (mut world, faults, runs) = scene().await;
    goes_away(&faults);
    world.send(&ready("probe", "at once", 1)).await;
    world.started().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let claims = faults.claims.calls();
    world.send(&ready("probe", "later", 1)).await;
    world.started().await;
    assert_eq!((runs.now(), faults.claims.calls()), (2, claims), "nobody is asked in vain");
    comes_back(&faults);
    tokio::time::sleep(config().heartbeat_interval * 2).await;
    let held = world.ports.leases.holders(&[attempt("at once"), attempt("later")]).await.unwrap();
    let ours = Some((config().id, Epoch(1)));
    assert_eq!(held, [ours.clone(), ours], "from now on their heartbeat guards them");
    assert_eq!(world.answer().await, TaskAnswer::done());
    assert_eq!(world.answer().await, TaskAnswer::done());
    assert_eq!((runs.begun(), world.left_of("probe").await), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_ends_meanwhile_is_reported_and_done() {
    let (mut world, faults, runs) = scene().await;
    goes_away(&faults);
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    assert_eq!(world.answer().await, TaskAnswer::done());
    comes_back(&faults);
    world.silent_for(LIMIT).await;
    assert_eq!((runs.begun(), world.left_of("probe").await), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_another_got_further_with_meanwhile_ends() {
    let (mut world, faults, runs) = scene().await;
    let ttl = config().lease_ttl;
    goes_away(&faults);
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    comes_back(&faults);
    world.ports.leases.claim(&attempt("1"), Epoch(2), &holder("other"), ttl).await.unwrap();
    until("its end", || runs.now() == 0).await;
    world.silent_for(LIMIT).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_before_or_cannot_be_recognised_waits() {
    let (mut world, faults, runs) = scene().await;
    goes_away(&faults);
    // Its first consumer is gone: it comes again.
    let (aside, queue) = (Queue::Ready(Capability::new("aside")), ready("aside", "1", 1));
    world.publish(aside.clone(), "again", &queue).await;
    world.ports.broker.consume(&aside, 1).await.unwrap().next().await.unwrap();
    let (other, runs_of_other) = probe("aside", |_| async { TaskAnswer::done() });
    let second = worker::Config { id: shared_model::WorkerId::new("worker-2"), ..config() };
    let standing = worker::start(
        second,
        world.ports.clone(),
        Catalog::default().with(other),
        &world.supervisor,
    )
    .await
    .unwrap();
    world.send(&needs_grant("2")).await;
    world.silent_for(Duration::from_secs(60)).await;
    assert_eq!((runs.begun(), runs_of_other.begun()), (0, 0));
    let troubles = standing.troubles().join("\n");
    assert!(troubles.contains("no lease can be had"), "{troubles}");
    comes_back(&faults);
    world.started().await;
    until("the other", || runs_of_other.begun() == 1).await;
    until("the next beat", || standing.troubles().is_empty()).await;
}
