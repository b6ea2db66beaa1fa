//! How often an append waits for the server: what it costs when that is far away.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use shared_ports::journal::{Append, Appended};

use crate::scene::{Database, Store, step};

/// Passes everything on to a server, and counts the questions: whatever a client says after the
/// server spoke.
struct Proxy {
    address: String,
    questions: Arc<AtomicU64>,
}

impl Proxy {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let questions = Arc::new(AtomicU64::new(0));
        let (server, count) = (server.to_owned(), Arc::clone(&questions));
        // Ends with the process; each of its connections ends with its client.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                pass(client, TcpStream::connect(&server).unwrap(), &count);
            }
        });
        Self { address, questions }
    }
}

fn pass(client: TcpStream, server: TcpStream, questions: &Arc<AtomicU64>) {
    let server_spoke = Arc::new(AtomicBool::new(true));
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let (spoke, count) = (Arc::clone(&server_spoke), Arc::clone(questions));
    std::thread::spawn(move || {
        copy(client, to_server, || {
            count.fetch_add(u64::from(spoke.swap(false, Ordering::SeqCst)), Ordering::SeqCst);
        });
    });
    std::thread::spawn(move || {
        copy(server, to_client, || server_spoke.store(true, Ordering::SeqCst))
    });
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut spoken: impl FnMut()) {
    let mut bytes = vec![0; 1 << 20];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        spoken();
        if to.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_costs_four_trips_whatever_is_in_it() {
    let database = Database::new();
    let url = database.url();
    let (before, rest) = url.split_once('@').unwrap();
    let (server, name) = rest.split_once('/').unwrap();
    let proxy = Proxy::to(server);
    let store = Store::open(&format!("{before}@{}/{name}?sslmode=disable", proxy.address)).await;
    for size in [1, 16, 256] {
        let batch = |expected| -> Vec<Append> {
            (0..size).map(|number| step(&format!("{size}-{number}"), expected, "a")).collect()
        };
        // The first ones are prepared.
        for expected in 0..2 {
            store.ports.journal.append(batch(expected)).await.unwrap();
        }
        let asked = proxy.questions.load(Ordering::SeqCst);
        for expected in 2..12 {
            let answers = store.ports.journal.append(batch(expected)).await.unwrap();
            assert!(answers.iter().all(|answer| *answer == Appended::Stored(expected + 1)));
        }
        let trips = proxy.questions.load(Ordering::SeqCst) - asked;
        // The transaction's begin, what it compares with, what it writes, its end.
        assert_eq!(trips, 40, "ten batches of {size}");
    }
}
