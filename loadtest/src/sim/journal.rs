//! A store that fails before it stores, and after.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use shared_adapters::memory::MemoryJournal;
use shared_model::{ExecutionId, Status};
use shared_ports::PortError;
use shared_ports::journal::{
    Append, Appended, Head, HistoryEntry, Journal, Kind, Line, Outlived, Query, Size, StageBody,
    Stored, TAKES_ROOM, Version,
};

use super::chance::Weather;
use super::life::Life;
use super::observer::{Observer, Wanted};
use super::setting::Mutation;

/// Appends of which one fails before, and one after.
const APPENDS: u64 = 30;
/// Reads of which one fails.
const READS: u64 = 40;

pub(crate) struct FaultyJournal {
    pub(crate) inner: Arc<MemoryJournal>,
    pub(crate) weather: Weather,
    pub(crate) life: Arc<Life>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) mutation: Mutation,
}

impl FaultyJournal {
    async fn read<T>(
        &self,
        doing: &str,
        read: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let read = async {
            self.weather.fail(READS, doing)?;
            read.await
        };
        self.life.call(read).await
    }

    /// Stores, and looks at what is stored from now on.
    async fn store(&self, mut batch: Vec<Append>) -> Result<Vec<Appended>, PortError> {
        let wanted: Vec<Wanted> = batch.iter().map(Wanted::of).collect();
        if self.mutation == Mutation::VersionIgnored {
            for append in &mut batch {
                append.expected = self.version(&append.execution).await?;
            }
        }
        let answers = self.inner.append(batch).await?;
        self.observer.stored(wanted, &answers);
        Ok(answers)
    }

    async fn version(&self, execution: &ExecutionId) -> Result<Version, PortError> {
        Ok(self.inner.load(execution).await?.map_or(0, |stored| stored.version))
    }
}

/// The same as if it had not ended.
fn reopened(mut stored: Stored) -> Stored {
    let mut state = stored.head.state.to_vec();
    // The format, then the status by its place in the enumeration.
    if let Some(status) = state.get_mut(1).filter(|_| stored.head.status.is_complete()) {
        *status = Status::Running as u8;
        stored.head.status = Status::Running;
        stored.head.state = Bytes::from(state);
    }
    stored
}

#[async_trait]
impl Journal for FaultyJournal {
    async fn append(&self, mut batch: Vec<Append>) -> Result<Vec<Appended>, PortError> {
        if matches!(self.mutation, Mutation::RoomNotCounted | Mutation::RoomNotHeld) {
            batch.iter_mut().for_each(|append| append.running_max = None);
        }
        let appended = async {
            self.weather.fail(APPENDS, "appending")?;
            if self.weather.strikes(APPENDS) {
                return Err(PortError::Full { doing: "appending".into() });
            }
            let answers = self.store(batch).await?;
            self.weather.fail(APPENDS, "hearing that it was appended")?;
            Ok(answers)
        };
        self.life.call(appended).await
    }

    async fn load(&self, execution: &ExecutionId) -> Result<Option<Stored>, PortError> {
        let loaded = self.read("loading", self.inner.load(execution)).await?;
        Ok(if self.mutation == Mutation::EndIgnored { loaded.map(reopened) } else { loaded })
    }

    async fn bodies(
        &self,
        execution: &ExecutionId,
        indexes: &[u32],
    ) -> Result<Vec<StageBody>, PortError> {
        self.read("reading bodies", self.inner.bodies(execution, indexes)).await
    }

    async fn unfinished(
        &self,
        after: Option<&ExecutionId>,
        limit: u32,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        self.read("listing what is unfinished", self.inner.unfinished(after, limit)).await
    }

    async fn search(&self, query: &Query) -> Result<Vec<(ExecutionId, Head)>, PortError> {
        if self.mutation == Mutation::RoomNotCounted && query.statuses == TAKES_ROOM {
            return Ok(Vec::new());
        }
        self.read("searching", self.inner.search(query)).await
    }

    async fn history(
        &self,
        execution: &ExecutionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, HistoryEntry)>, PortError> {
        self.read("reading history", self.inner.history(execution, after, limit)).await
    }

    async fn remove(
        &self,
        executions: &[(ExecutionId, Version)],
        at: Timestamp,
    ) -> Result<Vec<bool>, PortError> {
        let removal = async {
            let removed = self.inner.remove(executions, at).await?;
            self.observer.removed(executions, &removed);
            Ok(removed)
        };
        self.read("removing", removal).await
    }

    async fn removed(&self, until: Timestamp, limit: u32) -> Result<Vec<ExecutionId>, PortError> {
        self.read("looking for what was removed", self.inner.removed(until, limit)).await
    }

    async fn cleared(&self, executions: &[ExecutionId]) -> Result<(), PortError> {
        self.read("taking back notes", self.inner.cleared(executions)).await
    }

    async fn next_line(&self, kind: Kind, after: Option<&Line>) -> Result<Option<Line>, PortError> {
        self.read("looking for a line", self.inner.next_line(kind, after)).await
    }

    async fn outlived(
        &self,
        line: &Line,
        outlived: &Outlived,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        self.read("looking for what is too old", self.inner.outlived(line, outlived)).await
    }

    async fn size(&self) -> Result<Size, PortError> {
        self.read("measuring", self.inner.size()).await
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.read("looking whether it is ready", self.inner.ready()).await
    }
}
