//! Ports in memory: queues and leases of the embedded mode; journal, documents and blobs for the
//! simulated world, which runs thousands of seeds and cannot wait for a disk.

mod blobs;
mod broker;
mod documents;
mod journal;
mod leases;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared_ports::{Clock, Ports};

pub use blobs::MemoryBlobs;
pub use broker::MemoryBroker;
pub use documents::MemoryDocuments;
pub use journal::MemoryJournal;
pub use leases::MemoryLeases;

/// Ports that hold everything in memory, on a clock of the caller's choice.
pub fn ports(clock: Arc<dyn Clock>, queue_len_max: usize) -> Ports {
    Ports {
        broker: Arc::new(MemoryBroker::new(queue_len_max)),
        journal: Arc::new(MemoryJournal::default()),
        documents: Arc::new(MemoryDocuments::default()),
        leases: Arc::new(MemoryLeases::new(Arc::clone(&clock))),
        blobs: Arc::new(MemoryBlobs::default()),
        clock,
    }
}

/// Locks; nothing below panics between two changes that belong together, so a lock that a panic
/// of a caller poisoned still guards sound data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
