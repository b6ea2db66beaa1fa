//! The journal with its long texts in blobs: rows hold references, and whoever reads sees none of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use shared_model::ExecutionId;
use shared_ports::journal::{
    Append, Appended, Head, HistoryEntry, Journal, Kind, Line, Outlived, Query, Size, StageBody,
    Stored, Version,
};
use shared_ports::{PortError, Ports, Shelf};

use super::writes::Writes;

/// A journal that keeps long texts elsewhere.
pub(crate) struct ShelvedJournal {
    journal: Arc<dyn Journal>,
    shelf: Arc<Shelf>,
    writes: Writes,
}

impl ShelvedJournal {
    /// The same ports, with this journal in the place of theirs.
    pub(crate) fn over(ports: Ports, shelf: &Arc<Shelf>, writes: &Writes) -> Ports {
        let (journal, shelf, writes) = (ports.journal, Arc::clone(shelf), writes.clone());
        Ports { journal: Arc::new(Self { journal, shelf, writes }), ..ports }
    }
}

#[async_trait]
impl Journal for ShelvedJournal {
    async fn append(&self, mut batch: Vec<Append>) -> Result<Vec<Appended>, PortError> {
        if self.writes.references() {
            self.shelf.put_away(&mut batch).await?;
        }
        self.journal.append(batch).await
    }

    async fn load(&self, execution: &ExecutionId) -> Result<Option<Stored>, PortError> {
        let mut found = self.journal.load(execution).await?;
        if let Some(stored) = &mut found {
            self.shelf.take_out(&mut stored.document).await?;
        }
        Ok(found)
    }

    async fn bodies(
        &self,
        execution: &ExecutionId,
        indexes: &[u32],
    ) -> Result<Vec<StageBody>, PortError> {
        let mut found = self.journal.bodies(execution, indexes).await?;
        self.shelf.take_out(&mut found).await?;
        Ok(found)
    }

    async fn unfinished(
        &self,
        after: Option<&ExecutionId>,
        limit: u32,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        self.journal.unfinished(after, limit).await
    }

    async fn search(&self, query: &Query) -> Result<Vec<(ExecutionId, Head)>, PortError> {
        self.journal.search(query).await
    }

    async fn history(
        &self,
        execution: &ExecutionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, HistoryEntry)>, PortError> {
        self.journal.history(execution, after, limit).await
    }

    async fn remove(
        &self,
        executions: &[(ExecutionId, Version)],
        at: Timestamp,
    ) -> Result<Vec<bool>, PortError> {
        self.journal.remove(executions, at).await
    }

    async fn removed(&self, until: Timestamp, limit: u32) -> Result<Vec<ExecutionId>, PortError> {
        self.journal.removed(until, limit).await
    }

    async fn cleared(&self, executions: &[ExecutionId]) -> Result<(), PortError> {
        self.journal.cleared(executions).await
    }

    async fn next_line(&self, kind: Kind, after: Option<&Line>) -> Result<Option<Line>, PortError> {
        self.journal.next_line(kind, after).await
    }

    async fn outlived(
        &self,
        line: &Line,
        outlived: &Outlived,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        self.journal.outlived(line, outlived).await
    }

    async fn blobs_in_use(&self, of: &[String]) -> Result<BTreeSet<String>, PortError> {
        self.journal.blobs_in_use(of).await
    }

    async fn size(&self) -> Result<Size, PortError> {
        self.journal.size().await
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.journal.ready().await
    }
}
