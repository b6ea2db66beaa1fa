//! Several processes write to one database.

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use shared_ports::Ports;
use shared_ports::documents::{Change, Changed};

use crate::scene::{Database, Store, append, id, step, whole};

const VERSIONS: u64 = 100;

/// Both decide on the same version, again and again; one is stored, the other told so.
#[tokio::test]
async fn of_two_processes_one_wins_each_version() {
    let database = Database::new();
    let (a, b) = (Store::open(&database.url()).await, Store::open(&database.url()).await);
    let (mut wins, mut winners) = ([0, 0], Vec::new());
    for version in 0..VERSIONS {
        let (of_a, of_b) = tokio::join!(
            append(&a.ports, step("e", version, "a")),
            append(&b.ports, step("e", version, "b")),
        );
        let (of_a, of_b) = (of_a.unwrap(), of_b.unwrap());
        assert!(of_a != of_b, "version {version}: a stored {of_a}, b stored {of_b}");
        wins[usize::from(of_b)] += 1;
        winners.push(if of_a { "a" } else { "b" });
    }
    let history = a.ports.journal.history(&id("e"), 0, u32::MAX).await.unwrap();
    let stored: Vec<_> = history.iter().map(|(_, entry)| entry.text.as_str()).collect();
    assert_eq!(stored, winners);
    assert_eq!(whole(&b.ports, "e").await, VERSIONS);
    println!("wins: {wins:?}");
}

/// Each process goes on as fast as it can from what it finds.
#[tokio::test]
async fn processes_that_take_turns_by_chance_lose_nothing() {
    let database = Database::new();
    let (a, b) = (Store::open(&database.url()).await, Store::open(&database.url()).await);
    let writers = (0..8).map(|number| {
        let ports = if number % 2 == 0 { &a.ports } else { &b.ports };
        climb(ports, number)
    });
    let stored = join_all(writers).await.into_iter().sum::<u64>();
    assert_eq!(stored, 8 * 25);
    for execution in ["e0", "e1", "e2"] {
        assert!(whole(&a.ports, execution).await > 0);
    }
    let total = database.sql("SELECT sum(version) FROM execution");
    assert_eq!(total, (8 * 25).to_string(), "every append that was answered, and no other");
}

/// Appends 25 times to one or another of three executions; says how many were stored.
async fn climb(ports: &Ports, number: u64) -> u64 {
    let mut stored = 0;
    while stored < 25 {
        let execution = format!("e{}", (number + stored) % 3);
        let loaded = ports.journal.load(&id(&execution)).await.unwrap();
        let version = loaded.map_or(0, |loaded| loaded.version);
        let won = append(ports, step(&execution, version, &number.to_string())).await.unwrap();
        stored += u64::from(won);
    }
    stored
}

/// Batches that name the same executions in opposite orders do not wait for each other for ever.
#[tokio::test]
async fn batches_in_opposite_orders_are_stored() {
    let database = Database::new();
    let (a, b) = (Store::open(&database.url()).await, Store::open(&database.url()).await);
    for round in 0..30 {
        let mut names: Vec<_> = (0..20).map(|number| format!("{round}-{number}")).collect();
        let batch = |names: &[String], by| names.iter().map(|name| step(name, 0, by)).collect();
        let of_a = a.ports.journal.append(batch(&names, "a"));
        names.reverse();
        let of_b = b.ports.journal.append(batch(&names, "b"));
        let (of_a, of_b) = tokio::join!(of_a, of_b);
        let stored = |answers: Vec<_>| {
            let stored = |answer: &&_| matches!(answer, shared_ports::journal::Appended::Stored(1));
            answers.iter().filter(stored).count()
        };
        assert_eq!(stored(of_a.unwrap()) + stored(of_b.unwrap()), 20, "round {round}");
    }
}

#[tokio::test]
async fn of_two_processes_one_changes_a_document() {
    let database = Database::new();
    let (a, b) = (Store::open(&database.url()).await, Store::open(&database.url()).await);
    for version in 0..50 {
        let change = |by: &str| Change {
            kind: "pipeline".to_owned(),
            id: "p".to_owned(),
            expected: version,
            body: Some(json!(by)),
            by: by.to_owned(),
            at: Timestamp::UNIX_EPOCH,
        };
        let (of_a, of_b) = tokio::join!(
            a.ports.documents.change(change("a")),
            b.ports.documents.change(change("b"))
        );
        let conflict = Changed::Conflict { newest: version + 1 };
        let winner = match (of_a.unwrap(), of_b.unwrap()) {
            (Changed::Stored(_), other) if other == conflict => "a",
            (other, Changed::Stored(_)) if other == conflict => "b",
            both => panic!("version {version}: {both:?}"),
        };
        let found = b.ports.documents.get("pipeline", "p").await.unwrap().unwrap();
        assert_eq!((found.version, found.by.as_str()), (version + 1, winner));
    }
    assert_eq!(a.ports.documents.history("pipeline", "p", 100).await.unwrap().len(), 50);
}
