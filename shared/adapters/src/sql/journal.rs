use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use shared_model::ExecutionId;
use shared_ports::PortError;
use shared_ports::journal::{
    Append, Appended, Head, HistoryEntry, Journal, Kind, Line, Outlived, Query, Size, StageBody,
    Stored, Version,
};

use super::connection::Row;
use super::prepare::{PreparedAppend, nanoseconds};
use super::remove::Removal;
use super::rows::{self, signed};
use super::statement::Sql;
use super::writer::Writer;
use super::{Readers, retained, search};

/// The journal in SQL.
#[derive(Debug, Clone)]
pub(crate) struct SqlJournal {
    writer: Writer,
    readers: Readers,
}

impl SqlJournal {
    pub(super) fn new(writer: Writer, readers: Readers) -> Self {
        Self { writer, readers }
    }
}

#[async_trait]
impl Journal for SqlJournal {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Appended>, PortError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let batch = batch.into_iter().map(PreparedAppend::new).collect::<Result<_, _>>()?;
        self.writer.append(batch).await
    }

    async fn load(&self, execution: &ExecutionId) -> Result<Option<Stored>, PortError> {
        let found = self.readers.pool.fetch(|| search::load(execution)).await;
        let stored = found.and_then(|found| stored(&found));
        stored.map_err(|error| self.readers.failed(error, format!("reading execution {execution}")))
    }

    async fn bodies(
        &self,
        execution: &ExecutionId,
        indexes: &[u32],
    ) -> Result<Vec<StageBody>, PortError> {
        let doing = || format!("reading stages {indexes:?} of execution {execution}");
        let found = self.readers.pool.fetch(|| search::bodies(execution, indexes)).await;
        let found = found.and_then(|found| bodies(&found, indexes));
        found.map_err(|error| self.readers.failed(error, doing()))?.ok_or_else(|| {
            PortError::Refused { doing: doing(), why: "one of them does not exist".to_owned() }
        })
    }

    async fn unfinished(
        &self,
        after: Option<&ExecutionId>,
        limit: u32,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        let sql = || {
            let mut sql =
                Sql::new("SELECT id, version FROM execution WHERE is_complete = 0 AND id > ");
            sql.bind(after.map_or("", ExecutionId::as_str)).push(" ORDER BY id LIMIT ").bind(limit);
            sql
        };
        let found = self.readers.pool.fetch(sql).await;
        let listed = |row: &Row| Ok((rows::id(row)?, rows::count(row, "version")?));
        let all = found.and_then(|found| found.iter().map(listed).collect());
        all.map_err(|error| self.readers.failed(error, "listing unfinished executions"))
    }

    async fn search(&self, query: &Query) -> Result<Vec<(ExecutionId, Head)>, PortError> {
        let conditions = search::Conditions::of(query, self.readers.pool.dialect())?;
        let found = self.readers.pool.fetch(|| search::statement(&conditions)).await;
        let heads = found.and_then(|found| found.iter().map(rows::head).collect());
        let mut heads: Vec<_> =
            heads.map_err(|error| self.readers.failed(error, "searching executions"))?;
        search::keep_of_each(query, &mut heads);
        Ok(heads)
    }

    async fn history(
        &self,
        execution: &ExecutionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, HistoryEntry)>, PortError> {
        let sql = || {
            let mut sql =
                Sql::new("SELECT number, at, stage, kind, message FROM history WHERE execution = ");
            sql.bind(execution.as_str()).push(" AND number > ").bind(signed(after));
            sql.push(" ORDER BY number LIMIT ").bind(limit);
            sql
        };
        let found = self.readers.pool.fetch(sql).await;
        let entries = found.and_then(|found| found.iter().map(rows::entry).collect());
        let doing = || format!("reading the history of execution {execution}");
        entries.map_err(|error| self.readers.failed(error, doing()))
    }

    async fn remove(
        &self,
        executions: &[(ExecutionId, Version)],
        at: Timestamp,
    ) -> Result<Vec<bool>, PortError> {
        let at = nanoseconds(at, || "removing executions".to_owned())?;
        self.writer.remove(Removal::Executions(executions.to_vec(), at)).await
    }

    async fn removed(&self, until: Timestamp, limit: u32) -> Result<Vec<ExecutionId>, PortError> {
        let doing = "looking for removed executions";
        let until = nanoseconds(until, || doing.to_owned())?;
        let found = self.readers.pool.fetch(|| retained::removed(until, limit)).await;
        let ids = found.and_then(|found| found.iter().map(rows::id).collect());
        ids.map_err(|error| self.readers.failed(error, doing))
    }

    async fn cleared(&self, executions: &[ExecutionId]) -> Result<(), PortError> {
        self.writer.remove(Removal::Notes(executions.to_vec())).await.map(drop)
    }

    async fn next_line(&self, kind: Kind, after: Option<&Line>) -> Result<Option<Line>, PortError> {
        let failed = |error| self.readers.failed(error, "looking for a pipeline's executions");
        if let Some(after) = after.filter(|after| after.pipeline.is_some()) {
            let found = self.readers.pool.fetch(|| retained::next_in_application(after)).await;
            let line = found.and_then(|found| retained::line(kind, &found)).map_err(failed)?;
            if line.is_some() {
                return Ok(line);
            }
        }
        let found = self.readers.pool.fetch(|| retained::first_of_next(kind, after)).await;
        found.and_then(|found| retained::line(kind, &found)).map_err(failed)
    }

    async fn outlived(
        &self,
        line: &Line,
        outlived: &Outlived,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        let doing = "looking for executions that are too old";
        let until = nanoseconds(outlived.until, || doing.to_owned())?;
        let dialect = self.readers.pool.dialect();
        let sql = || retained::outlived(dialect, line, outlived, until);
        let found = self.readers.pool.fetch(sql).await;
        let listed = found.and_then(|found| retained::listed(&found));
        listed.map_err(|error| self.readers.failed(error, doing))
    }

    async fn blobs_in_use(&self, of: &[String]) -> Result<BTreeSet<String>, PortError> {
        let mut named = BTreeSet::new();
        for some in of.chunks(retained::BLOBS_MAX) {
            let found = self.readers.pool.fetch(|| retained::blobs_in_use(some)).await;
            let names = found.and_then(|found| retained::names(&found));
            let failed = |error| self.readers.failed(error, "looking for blobs in use");
            named.extend(names.map_err(failed)?);
        }
        Ok(named)
    }

    async fn size(&self) -> Result<Size, PortError> {
        let dialect = self.readers.pool.dialect();
        let found = self.readers.pool.fetch(|| retained::size(dialect)).await;
        let size = found.and_then(|found| retained::sized(&found));
        size.map_err(|error| self.readers.failed(error, "measuring the store"))
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.readers.ready("storing executions").await
    }
}

/// Reads what [`search::load`] finds: the execution, then its stages.
fn stored(found: &[Row]) -> Result<Option<Stored>, sqlx::Error> {
    let [head, stages @ ..] = found else { return Ok(None) };
    let stages: Result<Vec<Bytes>, _> =
        stages.iter().map(|stage| rows::bytes(stage, "state")).collect();
    Ok(Some(Stored {
        version: rows::count(head, "version")?,
        document: rows::json(head, "document")?.unwrap_or_default(),
        head: rows::head(head)?.1,
        stages: stages?,
    }))
}

/// Reads what [`search::bodies`] finds: the number of stages, then bodies. `None` if one that is
/// asked for does not exist.
fn bodies(found: &[Row], indexes: &[u32]) -> Result<Option<Vec<StageBody>>, sqlx::Error> {
    let [execution, stages @ ..] = found else { return Ok(None) };
    let count = rows::place(execution, "stage_count")?;
    if indexes.iter().any(|index| *index >= count) {
        return Ok(None);
    }
    let mut found = std::collections::BTreeMap::<u32, StageBody>::new();
    for row in stages {
        found.insert(rows::place(row, "place")?, rows::json(row, "body")?.unwrap_or_default());
    }
    let body = |index: u32| found.get(&index).cloned().unwrap_or_default();
    Ok(Some(match indexes {
        [] => (0..count).map(body).collect(),
        some => some.iter().copied().map(body).collect(),
    }))
}
