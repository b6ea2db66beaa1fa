//! Two workers with one name: the one that was first works, the other waits and says so.

use std::time::Duration;

use shared_model::TaskAnswer;
use shared_plugin::Catalog;
use shared_ports::Heartbeat;
use shared_ports::leases::Vitals;
use shared_runtime::Supervisor;

use crate::probe::{Runs, probe};
use crate::world::{LIMIT, Said, World, attempt, config, ports, ready, until};

fn quick() -> (Catalog, Runs) {
    let (probe, runs) = probe("probe", |_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        TaskAnswer::done()
    });
    (Catalog::default().with(probe), runs)
}

#[tokio::test(start_paused = true)]
async fn the_younger_of_two_workers_with_one_name_waits_until_the_other_is_gone() {
    let (said, _guard) = Said::listen();
    let ports = ports();
    let (catalog, runs_of_first) = quick();
    let mut world = World::of(ports.clone(), config(), catalog).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (catalog, runs_of_second) = quick();
    let second = Supervisor::new();
    let standing = worker::start(config(), ports, catalog, &second).await.unwrap();
    until("its first beat", || !standing.troubles().is_empty()).await;
    assert!(standing.troubles()[0].contains("has the name `worker-1`"));
    assert!(said.text().contains("another worker that lives has this name"), "{}", said.text());
    for stage in 0..10 {
        world.send(&ready("probe", &stage.to_string(), 1)).await;
    }
    for _ in 0..20 {
        world.report().await;
    }
    assert_eq!((runs_of_first.begun(), runs_of_second.begun()), (10, 0));
    // Words to the name reach who works.
    world.send(&ready("probe", "cancelled", 1)).await;
    world.started().await;
    for _ in 0..4 {
        world.abort(&attempt("cancelled"), 1).await;
    }
    world.answer().await;
    assert!(world.supervisor.shut_down(LIMIT).await);
    until("its turn", || standing.troubles().is_empty()).await;
    world.send(&ready("probe", "later", 1)).await;
    world.started().await;
    assert_eq!(world.answer().await, TaskAnswer::done());
    assert_eq!(runs_of_second.begun(), 1);
    assert!(said.text().contains("the other worker of this name is gone"), "{}", said.text());
    assert!(second.shut_down(LIMIT).await);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_killed_keeps_its_successor_waiting_for_no_longer_than_its_beats_live() {
    let (ports, ttl) = (ports(), config().lease_ttl);
    let killed = Heartbeat {
        worker: config().id,
        instance: "killed".to_owned(),
        capabilities: Vec::new(),
        slots: 1,
        in_flight: Vec::new(),
        vitals: Vitals::default(),
        catalog: String::new(),
        draining: false,
        takes_out: true,
    };
    ports.leases.beat(&killed, ttl).await.unwrap();
    let (catalog, runs) = quick();
    let mut world = World::of(ports, config(), catalog).await;
    world.send(&ready("probe", "1", 1)).await;
    world.silent_for(ttl.unsigned_abs() / 2).await;
    let before = world.clock().elapsed();
    world.started().await;
    assert!(world.clock().elapsed() - before <= ttl.unsigned_abs());
    assert_eq!(world.answer().await, TaskAnswer::done());
    assert_eq!(runs.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_has_stopped_is_not_in_the_list_of_the_living() {
    let (catalog, _) = quick();
    let world = World::with(catalog).await;
    let leases = std::sync::Arc::clone(&world.ports.leases);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(leases.live().await.unwrap().len(), 1);
    assert!(world.supervisor.shut_down(LIMIT).await);
    assert_eq!(leases.live().await.unwrap(), []);
}
