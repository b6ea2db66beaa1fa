use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use bytes::Bytes;
use shared_ports::{LogName, PortError};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::log::Log;
use super::name::escape;
use super::store::folders;
use super::{blocking, failed};
use crate::folder::make_private;

/// Logs whose chunks are known in memory; beyond that, those that nobody uses are forgotten.
const OPEN_LOGS_MAX: usize = 512;

/// All logs of a folder.
#[derive(Debug)]
pub(super) struct Logs {
    folder: PathBuf,
    log_bytes_max: u64,
    open: StdMutex<BTreeMap<LogName, Slot>>,
}

/// One log; fair, so that appends keep their order. `None` until it was read.
type Slot = Arc<Mutex<Option<Log>>>;

impl Logs {
    pub(super) fn open(folder: &Path, log_bytes_max: u64) -> io::Result<Self> {
        make_private(folder)?;
        Ok(Self { folder: folder.to_owned(), log_bytes_max, open: StdMutex::default() })
    }

    pub(super) async fn append(&self, name: &LogName, chunk: Bytes) -> Result<(), PortError> {
        let log_bytes_max = self.log_bytes_max;
        self.with(name, "appending to a log", move |log| {
            log.catch_up().map_err(|error| failed(error, "reading a log", log.path()))?;
            if log.bytes().saturating_add(chunk.len() as u64) > log_bytes_max {
                return Err(full_log(log, chunk.len(), log_bytes_max));
            }
            // An empty chunk is nothing to keep.
            if chunk.is_empty() {
                return Ok(());
            }
            log.append(&chunk).map_err(|error| failed(error, "appending to a log", log.path()))
        })
        .await
    }

    pub(super) async fn read(
        &self,
        name: &LogName,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Bytes, PortError> {
        self.with(name, "reading a log", move |log| {
            let read = log.catch_up().and_then(|()| log.read(offset, bytes_max));
            read.map(Bytes::from).map_err(|error| failed(error, "reading a log", log.path()))
        })
        .await
    }

    pub(super) async fn remove(&self, execution: &str) -> Result<(), PortError> {
        self.slots().retain(|name, _| name.execution != execution);
        let folder = self.folder.join(escape(execution));
        blocking("removing logs", move || match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(error, "removing logs", &folder))
            }
            Ok(()) | Err(_) => Ok(()),
        })
        .await
    }

    /// Bytes of all logs, as the files have them.
    pub(super) fn bytes(&self) -> Result<u64, PortError> {
        let measured = folders(&self.folder).map(|all| {
            // What is removed meanwhile is gone.
            let files = all.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
            files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
        });
        measured.map_err(|error| failed(error, "measuring logs", &self.folder))
    }

    /// Works on a log, alone.
    async fn with<T: Send + 'static>(
        &self,
        name: &LogName,
        doing: &'static str,
        work: impl FnOnce(&mut Log) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let mut slot = self.slot(name).lock_owned().await;
        let file = format!("{}.log", escape(&name.stage));
        let path = self.folder.join(escape(&name.execution)).join(file);
        blocking(doing, move || work(known(&mut slot, path)?)).await
    }

    fn slot(&self, name: &LogName) -> Slot {
        let mut slots = self.slots();
        if slots.len() >= OPEN_LOGS_MAX && !slots.contains_key(name) {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(name.clone()).or_default())
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, BTreeMap<LogName, Slot>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(slot: &mut OwnedMutexGuard<Option<Log>>, path: PathBuf) -> Result<&mut Log, PortError> {
    match &mut **slot {
        Some(log) => Ok(log),
        unread @ None => {
            let log = Log::open(path.clone());
            Ok(unread.insert(log.map_err(|error| failed(error, "reading a log", &path))?))
        }
    }
}

fn full_log(log: &Log, chunk_bytes: usize, log_bytes_max: u64) -> PortError {
    PortError::Refused {
        doing: format!("appending {chunk_bytes} bytes to a log (`{}`)", log.path().display()),
        why: format!(
            "it has {} bytes and its limit `log_bytes_max` is {log_bytes_max}; write less, or \
             raise the limit",
            log.bytes()
        ),
    }
}
