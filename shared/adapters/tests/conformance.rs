//! Every implementation passes the suite of its port.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use shared_adapters::memory::{
    MemoryBlobs, MemoryBroker, MemoryDocuments, MemoryJournal, MemoryLeases,
};
use shared_adapters::{Config, Guard, ObjectBlobs, Objects, SystemClock, open};
use shared_ports::conformance::{self, Durable, SimClock, Subject, Timed};
use shared_ports::{Blobs, Broker, Clock, Documents, Journal, Leases, Ports};
use tempfile::TempDir;

#[tokio::test]
async fn broker_in_memory() {
    let new = async || Subject::<dyn Broker>::new(Arc::new(MemoryBroker::new(1000)));
    conformance::broker::broker().pass(new).await;
}

#[tokio::test]
async fn journal_in_memory() {
    let new = async || Subject::<dyn Journal>::new(Arc::new(MemoryJournal::default()));
    conformance::journal::journal().pass(new).await;
}

#[tokio::test]
async fn journal_in_sqlite() {
    conformance::journal::journal().pass(async || embedded(journal).await).await;
}

#[tokio::test]
async fn journal_in_sqlite_is_durable() {
    conformance::journal::durable_journal().pass(async || durable(journal).await).await;
}

#[tokio::test]
async fn documents_in_memory() {
    let new = async || Subject::<dyn Documents>::new(Arc::new(MemoryDocuments::default()));
    conformance::documents::documents().pass(new).await;
}

#[tokio::test]
async fn documents_in_sqlite() {
    conformance::documents::documents().pass(async || embedded(documents).await).await;
}

#[tokio::test]
async fn documents_in_sqlite_are_durable() {
    conformance::documents::durable_documents().pass(async || durable(documents).await).await;
}

#[tokio::test]
async fn leases_in_memory() {
    let new = async || {
        let clock = Arc::new(SimClock::default());
        let leases: Arc<dyn Leases> = Arc::new(MemoryLeases::new(clock.clone()));
        Timed::simulated(leases, clock)
    };
    conformance::leases::leases().pass(new).await;
}

#[tokio::test]
async fn blobs_in_memory() {
    let new = async || Subject::<dyn Blobs>::new(Arc::new(MemoryBlobs::default()));
    conformance::blobs::blobs().pass(new).await;
}

#[tokio::test]
async fn blobs_in_a_folder() {
    conformance::blobs::blobs().pass(async || embedded(blobs).await).await;
}

#[tokio::test]
async fn blobs_in_a_folder_are_durable() {
    conformance::blobs::durable_blobs().pass(async || durable(blobs).await).await;
}

#[tokio::test]
async fn blobs_in_a_folder_that_is_shared() {
    let new = async || {
        let folder = tempfile::tempdir().unwrap();
        Subject { port: in_folder(&folder).await, keep: Box::new(folder) }
    };
    conformance::blobs::blobs().pass(new).await;
}

#[tokio::test]
async fn blobs_in_a_folder_that_is_shared_are_durable() {
    let new = async || {
        let folder = tempfile::tempdir().unwrap();
        let port = in_folder(&folder).await;
        let reopen =
            Box::pin(
                async move { Subject { port: in_folder(&folder).await, keep: Box::new(folder) } },
            );
        Durable { port, reopen }
    };
    conformance::blobs::durable_blobs().pass(new).await;
}

/// The client of object stores, on a folder.
async fn in_folder(folder: &TempDir) -> Arc<dyn Blobs> {
    let settings = Objects::at(format!("file://{}", folder.path().display()));
    Arc::new(ObjectBlobs::open(&settings, 1 << 26, 1 << 26).await.unwrap())
}

#[tokio::test]
async fn clock_of_the_system() {
    let new = async || Timed::<dyn Clock> {
        port: Arc::new(SystemClock::default()),
        pass: Box::new(|duration: Duration| Box::pin(tokio::time::sleep(duration))),
        keep: Box::new(()),
    };
    conformance::clock::clock().pass(new).await;
}

#[tokio::test]
async fn clock_of_tests() {
    let new = async || {
        let clock = Arc::new(SimClock::default());
        Timed::<dyn Clock>::simulated(clock.clone(), clock)
    };
    conformance::clock::clock().pass(new).await;
}

/// One port of the embedded mode, in a folder of its own.
async fn embedded<P: ?Sized>(port: fn(Ports) -> Arc<P>) -> Subject<P> {
    let folder = tempfile::tempdir().unwrap();
    let (ports, guard) = open(&Config::embedded(folder.path())).await.unwrap();
    Subject { port: port(ports), keep: Box::new((guard, folder)) }
}

async fn durable<P: ?Sized + 'static>(port: fn(Ports) -> Arc<P>) -> Durable<P> {
    let folder = tempfile::tempdir().unwrap();
    let (ports, guard) = open(&Config::embedded(folder.path())).await.unwrap();
    Durable { port: port(ports), reopen: reopen(folder, guard, port) }
}

fn reopen<P: ?Sized + 'static>(
    folder: TempDir,
    guard: Guard,
    port: fn(Ports) -> Arc<P>,
) -> BoxFuture<'static, Subject<P>> {
    Box::pin(async move {
        guard.close().await.unwrap();
        let (ports, guard) = open(&Config::embedded(folder.path())).await.unwrap();
        Subject { port: port(ports), keep: Box::new((guard, folder)) }
    })
}

fn journal(ports: Ports) -> Arc<dyn Journal> {
    ports.journal
}

fn documents(ports: Ports) -> Arc<dyn Documents> {
    ports.documents
}

fn blobs(ports: Ports) -> Arc<dyn Blobs> {
    ports.blobs
}
