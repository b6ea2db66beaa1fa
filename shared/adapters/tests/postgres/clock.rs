//! Durable instants are the database's.

use jiff::SignedDuration;
use shared_adapters::SystemClock;
use shared_ports::Clock;

use crate::scene::{Database, Store};

/// A database whose clock is an hour ahead: its `clock_timestamp` is found before the server's own.
#[tokio::test]
async fn the_databases_clock_is_the_one_that_is_stored() {
    let database = Database::new();
    database.sql(
        "CREATE SCHEMA shifted; \
         CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql \
         AS $$ SELECT pg_catalog.clock_timestamp() + interval '1 hour' $$",
    );
    let path = "SET search_path = shifted, public, pg_catalog";
    database.sql(&format!("ALTER DATABASE {} {path}", database.name()));
    let store = Store::open(&database.url()).await;
    let ahead = store.ports.clock.now().duration_since(SystemClock::default().now());
    let apart = (ahead - SignedDuration::from_hours(1)).abs();
    assert!(apart < SignedDuration::from_secs(2), "it is ahead by {ahead:#}");
}
