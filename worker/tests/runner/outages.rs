//! A broker that fails: reports are sent again, queues are consumed again.

use std::time::Duration;

use shared_model::{Epoch, TaskAnswer, TaskResult};
use shared_plugin::Catalog;
use shared_ports::messages::Report;

use crate::faults::faulty;
use crate::probe::{probe, until_cancelled};
use crate::world::{Said, World, attempt, config, holder, ports, ready, until};

#[tokio::test(start_paused = true)]
async fn a_report_is_sent_until_the_broker_has_it() {
    let (probe, runs) = probe("probe", |_| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        TaskAnswer::done()
    });
    let (said, _guard) = Said::listen();
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    world.started().await;
    faults.publishes.fail(20);
    assert_eq!(world.answer().await, TaskAnswer::done());
    let took = world.clock().elapsed();
    assert!(took > Duration::from_secs(60), "its pauses grow to seconds: {took:?}");
    let retried = said.text().matches("it is sent again").count();
    assert_eq!((runs.begun(), retried), (1, 20), "the work is not done again");
    assert_eq!(world.left_of("probe").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_cannot_be_sent_is_given_up_once_the_lease_is_lost() {
    let (probe, _) = probe("probe", |_| async { TaskAnswer::done() });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    world.send(&ready("probe", "1", 1)).await;
    faults.publishes.fail(u32::MAX);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ttl = config().lease_ttl;
    world.ports.leases.claim(&attempt("1"), Epoch(2), &holder("other"), ttl).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tries = faults.publishes.calls();
    faults.publishes.fail(0);
    world.silent_for(Duration::from_secs(60)).await;
    assert_eq!(faults.publishes.calls(), tries, "another worker does it by now");
    assert_eq!(world.left_of("probe").await, 0);
}

#[tokio::test(start_paused = true)]
async fn queues_that_break_off_are_consumed_again() {
    let (probe, runs) = probe("probe", until_cancelled);
    let (said, _guard) = Said::listen();
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    // The delivery is lost with the connection, which comes back after some tries.
    faults.deliveries.fail(1);
    faults.consumes.fail(5);
    world.send(&ready("probe", "1", 1)).await;
    assert_eq!(world.started().await.attempt, attempt("1"));
    assert!(said.text().contains("a queue cannot be reached for now"), "{}", said.text());
    assert_eq!(runs.begun(), 1);
    faults.deliveries.fail(1);
    faults.consumes.fail(1);
    let before = world.clock().elapsed();
    world.abort(&attempt("1"), 1).await;
    assert_eq!(world.answer().await, TaskAnswer::Canceled { result: TaskResult::default() });
    let took = world.clock().elapsed() - before;
    assert!(took <= Duration::from_secs(2), "a cancel comes through: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_acknowledgement_was_lost_is_not_run_again() {
    let (probe, runs) = probe("probe", |_| async { TaskAnswer::done() });
    let (ports, faults) = faulty(ports());
    let mut world = World::of(ports, config(), Catalog::default().with(probe)).await;
    faults.acks.fail(1);
    world.send(&ready("probe", "1", 1)).await;
    assert_eq!(world.answer().await, TaskAnswer::done());
    // The connection breaks, so that what was not acknowledged comes again.
    faults.deliveries.fail(1);
    world.send(&ready("probe", "2", 1)).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        told.push(world.report().await);
    }
    let again: Vec<_> =
        told.iter().filter(|report| report.attempt == attempt("1")).map(|r| &r.report).collect();
    assert_eq!(again, [&Report::LeaseEnded]);
    assert_eq!(runs.begun(), 2, "each once");
}

#[tokio::test(start_paused = true)]
async fn what_came_over_a_broken_connection_is_not_settled_over_the_next() {
    let (probe, runs) = probe("probe", |cx| async move {
        let seconds = cx.attempt.stage.as_str().parse().unwrap();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        TaskAnswer::done()
    });
    let (ports, faults) = faulty(ports());
    let world = World::of(ports, config(), Catalog::default().with(probe)).await;
    world.send(&ready("probe", "10", 1)).await;
    world.send(&ready("probe", "50", 1)).await;
    until("the first acknowledgement", || faults.acks.calls() == 1).await;
    faults.deliveries.fail(1);
    // Over the next connection the one of 50 s comes again as the first, this one as the second:
    // the names of deliveries are those of a connection.
    world.send(&ready("probe", "45", 1)).await;
    until("its beginning", || runs.begun() == 3).await;
    until("the end of the one of 50 s", || runs.now() == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((runs.now(), faults.acks.calls()), (1, 2), "the last one's message is still held");
    until("its end", || runs.now() == 0).await;
    assert_eq!(world.left_of("probe").await, 0);
    assert_eq!(faults.acks.calls(), 3);
}
