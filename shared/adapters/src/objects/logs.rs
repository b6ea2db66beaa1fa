use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use bytes::Bytes;
use shared_ports::{LogName, PortError};
use tokio::sync::Mutex;

use super::log::{self, Log};
use super::store::Store;
use crate::blobs::escape;

/// Logs of which it is known where their chunks begin; beyond that, those that nobody uses are
/// forgotten.
const KNOWN_LOGS_MAX: usize = 512;

/// All logs of an object store.
pub(super) struct Logs {
    log_bytes_max: u64,
    known: StdMutex<BTreeMap<LogName, Slot>>,
}

/// One log; fair, so that appends of one process keep their order.
type Slot = Arc<Mutex<Log>>;

impl Logs {
    pub(super) fn new(log_bytes_max: u64) -> Self {
        Self { log_bytes_max, known: StdMutex::default() }
    }

    pub(super) async fn append(
        &self,
        store: &Store,
        name: &LogName,
        chunk: &Bytes,
    ) -> Result<(), PortError> {
        // An empty chunk is nothing to keep.
        if chunk.is_empty() {
            return Ok(());
        }
        let slot = self.slot(store, name);
        let mut log = slot.lock().await;
        log.append(store, chunk, self.log_bytes_max).await
    }

    pub(super) async fn read(
        &self,
        store: &Store,
        name: &LogName,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Bytes, PortError> {
        for _ in 0..2 {
            let slot = self.slot(store, name);
            let parts = slot.lock().await.find(store, offset, bytes_max).await?;
            if let Some(bytes) = log::read(store, parts).await? {
                return Ok(bytes);
            }
            // Another process has removed it since we looked.
            self.known().remove(name);
        }
        Ok(Bytes::new())
    }

    pub(super) async fn remove(&self, store: &Store, execution: &str) -> Result<(), PortError> {
        const DOING: &str = "removing logs";
        self.known().retain(|name, _| name.execution != execution);
        let under = store.path(&["logs", &part(execution)]);
        let found = store.list(DOING, &under, None).await?;
        let paths: Vec<_> = found.into_iter().map(|meta| meta.location).collect();
        store.remove(DOING, &paths).await?;
        self.known().retain(|name, _| name.execution != execution);
        Ok(())
    }

    fn slot(&self, store: &Store, name: &LogName) -> Slot {
        let mut known = self.known();
        if known.len() >= KNOWN_LOGS_MAX && !known.contains_key(name) {
            known.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        let slot = known.entry(name.clone()).or_insert_with(|| {
            let under = store.path(&["logs", &part(&name.execution), &part(&name.stage)]);
            Arc::new(Mutex::new(Log::new(under)))
        });
        Arc::clone(slot)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<LogName, Slot>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a log lies whose name is escaped already.
pub(super) fn placed(store: &Store, execution: &str, stage: &str) -> object_store::path::Path {
    store.path(&["logs", &of_object(execution), &of_object(stage)])
}

/// A name in the form that folders have.
pub(super) fn of_folder(part: &str) -> String {
    part.replace('=', "%").replace('!', "~")
}

/// A part of an object's name. Object stores treat `%` and `~` as special.
fn part(text: &str) -> String {
    of_object(&escape(text))
}

fn of_object(escaped: &str) -> String {
    escaped.replace('%', "=").replace('~', "!")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_from_folders_to_objects_and_back() {
        let long = "é".repeat(200);
        for text in ["a", "", "a/b", "a%b=c", "..", "~", &long] {
            let escaped = escape(text);
            assert_eq!(of_folder(&of_object(&escaped)), escaped, "{text}");
            assert!(!part(text).contains(['%', '~', '/']));
        }
    }
}
