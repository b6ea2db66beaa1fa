//! The server ends sessions, crashes and comes back while a store is open. What was acknowledged is
//! there, what was not is there as a whole or not at all, and the store goes on by itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use shared_adapters::SystemClock;
use shared_ports::{Clock, PortError, Ports};
use shared_testkit::stack::PostgresServer;

use crate::scene::{Database, Store, append, step, until, whole};

const APPENDERS: usize = 8;

/// What some appenders were promised, and how often they were told that nobody knows.
#[derive(Default)]
struct Tally {
    stored: AtomicU64,
    unknown: AtomicU64,
    stop: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_ended_in_the_middle_of_appends() {
    let database = Database::new();
    let store = Store::open(&database.url()).await;
    let tally = Tally::default();
    let appenders = join_all((0..APPENDERS).map(|number| climb(&store.ports, number, &tally)));
    let end_sessions = async {
        for round in 0..40 {
            let before = tally.stored.load(Ordering::Relaxed);
            until("an append", async || tally.stored.load(Ordering::Relaxed) > before + round % 7)
                .await;
            let statement = format!(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = '{}' AND application_name = 'capstan'",
                database.name()
            );
            tokio::task::block_in_place(|| database.sql(&statement));
        }
        tally.stop.store(true, Ordering::Relaxed);
    };
    let (promised, ()) = tokio::join!(appenders, end_sessions);
    check(&store.ports, &promised).await;
    let unknown = tally.unknown.load(Ordering::Relaxed);
    assert!(unknown > 0, "no session was ended in the middle of anything");
    println!("{} stored, {unknown} unknown", tally.stored.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_and_starts_again() {
    let mut server = PostgresServer::start(&[]).unwrap();
    let url = server.url("postgres");
    let store = Store::open(&url).await;
    let tally = Tally::default();
    let appenders = join_all((0..APPENDERS).map(|number| climb(&store.ports, number, &tally)));
    let crashes = async {
        for _ in 0..3 {
            let before = tally.stored.load(Ordering::Relaxed);
            until("appends", async || tally.stored.load(Ordering::Relaxed) > before + 100).await;
            // On this thread: a server ends with the thread that started it.
            tokio::task::block_in_place(|| {
                server.kill().unwrap();
                server.launch().unwrap();
            });
        }
        tally.stop.store(true, Ordering::Relaxed);
    };
    let (promised, ()) = tokio::join!(appenders, crashes);
    check(&store.ports, &promised).await;
    store.ports.journal.ready().await.unwrap();
    assert!(tally.unknown.load(Ordering::Relaxed) > 0, "nobody noticed");
}

#[tokio::test]
async fn a_server_that_is_gone_is_said_to_be_gone_for_now() {
    let mut server = PostgresServer::start(&[]).unwrap();
    let store = Store::open(&server.url("postgres")).await;
    assert!(append(&store.ports, step("e", 0, "a")).await.unwrap());
    server.kill().unwrap();
    let error = append(&store.ports, step("e", 1, "a")).await.unwrap_err();
    assert!(matches!(error, PortError::Unavailable { .. }), "{error:?}");
    assert_eq!(error.to_string(), "storing execution e failed for now");
    let error = store.ports.journal.ready().await.unwrap_err();
    assert!(matches!(error, PortError::Unavailable { .. }), "{error:?}");
    server.launch().unwrap();
    assert_eq!(whole(&store.ports, "e").await, 1);
    assert!(append(&store.ports, step("e", 1, "a")).await.unwrap());
}

/// Appends to an execution of its own until it is told to stop, and gives the version that it was
/// promised last. After an answer that nobody knows it looks what is there.
async fn climb(ports: &Ports, number: usize, tally: &Tally) -> u64 {
    let execution = format!("e{number}");
    let mut promised = 0;
    while !tally.stop.load(Ordering::Relaxed) {
        match append(ports, step(&execution, promised, &execution)).await {
            Ok(stored) => {
                assert!(stored, "{execution}: nobody else writes, and {promised} was promised");
                promised += 1;
                tally.stored.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                assert!(matches!(error, PortError::Unavailable { .. }), "{error:?}");
                tally.unknown.fetch_add(1, Ordering::Relaxed);
                promised = found(ports, &execution, promised).await;
            }
        }
    }
    promised
}

/// What is there: what was promised, or that and the one append of which nobody knew.
async fn found(ports: &Ports, execution: &str, promised: u64) -> u64 {
    let clock = SystemClock::default();
    let id = crate::scene::id(execution);
    until("reading", async || {
        clock.sleep(Duration::from_millis(5)).await;
        ports.journal.load(&id).await.is_ok()
    })
    .await;
    let Ok(loaded) = ports.journal.load(&id).await else { return promised };
    let version = loaded.map_or(0, |loaded| loaded.version);
    assert!((promised..=promised + 1).contains(&version), "{version}, and {promised} was promised");
    version
}

async fn check(ports: &Ports, promised: &[u64]) {
    for (number, promised) in promised.iter().enumerate() {
        assert_eq!(whole(ports, &format!("e{number}")).await, *promised);
    }
}
