use std::sync::Arc;

use shared_ports::conformance::{self, Durable, Subject};
use shared_ports::{Documents, Journal, Ports};

use crate::scene::{Database, Store};

#[tokio::test]
async fn journal_in_postgres() {
    conformance::journal::journal().pass(async || fresh(|ports| ports.journal).await).await;
}

#[tokio::test]
async fn journal_in_postgres_is_durable() {
    let new = async || durable::<dyn Journal>(|ports| ports.journal).await;
    conformance::journal::durable_journal().pass(new).await;
}

#[tokio::test]
async fn documents_in_postgres() {
    conformance::documents::documents().pass(async || fresh(|ports| ports.documents).await).await;
}

#[tokio::test]
async fn documents_in_postgres_are_durable() {
    let new = async || durable::<dyn Documents>(|ports| ports.documents).await;
    conformance::documents::durable_documents().pass(new).await;
}

/// One port, in a database of its own.
async fn fresh<P: ?Sized>(port: fn(Ports) -> Arc<P>) -> Subject<P> {
    let database = Database::new();
    let Store { ports, guard, folder } = Store::open(&database.url()).await;
    Subject { port: port(ports), keep: Box::new((guard, folder, database)) }
}

async fn durable<P: ?Sized + 'static>(port: fn(Ports) -> Arc<P>) -> Durable<P> {
    let database = Database::new();
    let store = Store::open(&database.url()).await;
    let first = port(store.ports.clone());
    let reopen = async move {
        let folder = store.close().await;
        let Store { ports, guard, folder } = Store::open_in(folder, &database.url()).await;
        Subject { port: port(ports), keep: Box::new((guard, folder, database)) }
    };
    Durable { port: first, reopen: Box::pin(reopen) }
}
