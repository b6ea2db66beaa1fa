#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod blobs;
pub mod broker;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod documents;
pub mod journal;
pub mod leases;
pub mod messages;
pub mod shelf;

use std::sync::Arc;

pub use blobs::{BlobRef, Blobs, LogName};
pub use broker::{Broker, Consumer, Delivery, Outgoing, Queue};
pub use clock::Clock;
pub use documents::{Document, Documents};
pub use journal::{Journal, Version};
pub use leases::{Claim, Heard, Heartbeat, Holder, Leases, Note};
pub use shelf::Shelf;

/// One value for each seam: what a role is started with.
#[derive(Clone)]
pub struct Ports {
    /// Rings the bell.
    pub broker: Arc<dyn Broker>,
    /// The only truth about executions.
    pub journal: Arc<dyn Journal>,
    /// Versioned documents.
    pub documents: Arc<dyn Documents>,
    /// Who works on what.
    pub leases: Arc<dyn Leases>,
    /// Bytes and logs.
    pub blobs: Arc<dyn Blobs>,
    /// Time and fresh ids.
    pub clock: Arc<dyn Clock>,
}

/// What a worker is started with: it needs no store (D4).
#[derive(Clone)]
pub struct WorkerPorts {
    /// Brings work, and takes reports.
    pub broker: Arc<dyn Broker>,
    /// Who works on what.
    pub leases: Arc<dyn Leases>,
    /// Bytes and logs.
    pub blobs: Arc<dyn Blobs>,
    /// Time and fresh ids.
    pub clock: Arc<dyn Clock>,
}

impl From<Ports> for WorkerPorts {
    fn from(ports: Ports) -> Self {
        let Ports { broker, journal: _, documents: _, leases, blobs, clock } = ports;
        Self { broker, leases, blobs, clock }
    }
}

/// What every port answers when the infrastructure behind it fails.
///
/// The class says what a caller may do: wait and repeat, or give up and say so.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It may work later: a connection was lost, a lock was busy, a time limit ran out.
    #[error("{doing} failed for now")]
    Unavailable {
        /// What was being done to what.
        doing: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no room. Nothing was changed.
    #[error(
        "{doing} failed: no space left on the device; free some room, the work goes on by itself"
    )]
    Full {
        /// What was being done to what.
        doing: String,
    },
    /// It will not work without somebody doing something.
    #[error("{doing} failed: {why}")]
    Refused {
        /// What was being done to what.
        doing: String,
        /// Why, and what to do.
        why: String,
    },
}

impl PortError {
    /// The error with its causes, in one line.
    pub fn with_causes(&self) -> String {
        let first: &dyn std::error::Error = self;
        let causes = std::iter::successors(Some(first), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }
}
