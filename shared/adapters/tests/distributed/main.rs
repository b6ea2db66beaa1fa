//! RabbitMQ, Redis and MinIO behind their ports: the conformance suites, and what goes wrong with servers.
//!
//! Tests that disturb a server start one of their own; the others share the test stack, each in a
//! virtual host or under a prefix of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod broker;
mod broker_faults;
mod lease_faults;
mod leases;
mod load;
mod mode;
mod object_faults;
mod objects;
mod proxy;
#[path = "../archive/scene.rs"]
mod scene;
mod tls;

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shared_ports::PortError;

/// A name that no other test has.
fn own_name() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("test-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed))
}

/// An error with its causes.
fn text(error: &PortError) -> String {
    let causes = std::iter::successors(Some(error as &dyn Error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Looks until there is something; fails after `limit`.
async fn within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(limit, found).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

fn is_refused(error: &PortError) -> bool {
    matches!(error, PortError::Refused { .. })
}

fn is_unavailable(error: &PortError) -> bool {
    matches!(error, PortError::Unavailable { .. })
}
