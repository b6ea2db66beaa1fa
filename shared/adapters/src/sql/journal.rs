use async_trait::async_trait;
use bytes::Bytes;
use shared_model::ExecutionId;
use shared_ports::PortError;
use shared_ports::journal::{
    Append, Appended, Head, HistoryEntry, Journal, Query, StageBody, Stored,
};
use sqlx::{QueryBuilder, Row, SqliteConnection};

use super::prepare::PreparedAppend;
use super::rows::{self, signed};
use super::writer::Writer;
use super::{Readers, search};
use crate::folder::room;

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
        let loaded = async {
            // In one transaction, so that all of it is of one version.
            let mut transaction = self.readers.pool.begin().await?;
            load(&mut transaction, execution).await
        };
        let loaded = loaded.await;
        loaded.map_err(|error| self.readers.failed(error, format!("reading execution {execution}")))
    }

    async fn bodies(
        &self,
        execution: &ExecutionId,
        indexes: &[u32],
    ) -> Result<Vec<StageBody>, PortError> {
        let doing = || format!("reading stages {indexes:?} of execution {execution}");
        let found = async {
            let mut transaction = self.readers.pool.begin().await?;
            bodies(&mut transaction, execution, indexes).await
        };
        let found = found.await.map_err(|error| self.readers.failed(error, doing()))?;
        found.ok_or_else(|| PortError::Refused {
            doing: doing(),
            why: "one of them does not exist".to_owned(),
        })
    }

    async fn unfinished(
        &self,
        after: Option<&ExecutionId>,
        limit: u32,
    ) -> Result<Vec<ExecutionId>, PortError> {
        let found = sqlx::query(
            "SELECT id FROM execution WHERE is_complete = 0 AND id > ? ORDER BY id LIMIT ?",
        )
        .bind(after.map_or("", ExecutionId::as_str))
        .bind(limit)
        .fetch_all(&self.readers.pool)
        .await;
        let ids = found.and_then(|found| found.iter().map(rows::id).collect());
        ids.map_err(|error| self.readers.failed(error, "listing unfinished executions"))
    }

    async fn search(&self, query: &Query) -> Result<Vec<(ExecutionId, Head)>, PortError> {
        let mut statement = search::statement(query)?;
        let found = statement.build().fetch_all(&self.readers.pool).await;
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
        let found = sqlx::query(
            "SELECT number, at, stage, kind, message FROM history \
             WHERE execution = ? AND number > ? ORDER BY number LIMIT ?",
        )
        .bind(execution.as_str())
        .bind(signed(after))
        .bind(limit)
        .fetch_all(&self.readers.pool)
        .await;
        let entries = found.and_then(|found| found.iter().map(rows::entry).collect());
        let doing = || format!("reading the history of execution {execution}");
        entries.map_err(|error| self.readers.failed(error, doing()))
    }

    async fn ready(&self) -> Result<(), PortError> {
        room(&self.readers.folder, "storing executions")
    }
}

async fn load(
    connection: &mut SqliteConnection,
    execution: &ExecutionId,
) -> Result<Option<Stored>, sqlx::Error> {
    let head =
        sqlx::query(search::LOAD).bind(execution.as_str()).fetch_optional(&mut *connection).await?;
    let Some(head) = head else { return Ok(None) };
    let stages = sqlx::query("SELECT state FROM stage WHERE execution = ? ORDER BY place")
        .bind(execution.as_str())
        .fetch_all(&mut *connection)
        .await?;
    let stages: Result<Vec<Bytes>, _> =
        stages.iter().map(|stage| rows::bytes(stage, "state")).collect();
    Ok(Some(Stored {
        version: rows::count(&head, "version")?,
        document: rows::json(&head, "document")?.unwrap_or_default(),
        head: rows::head(&head)?.1,
        stages: stages?,
    }))
}

/// `None` if one of them does not exist.
async fn bodies(
    connection: &mut SqliteConnection,
    execution: &ExecutionId,
    indexes: &[u32],
) -> Result<Option<Vec<StageBody>>, sqlx::Error> {
    let stages = sqlx::query("SELECT stage_count FROM execution WHERE id = ?")
        .bind(execution.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(stages) = stages else { return Ok(None) };
    let count: u32 = stages.try_get("stage_count")?;
    if indexes.iter().any(|index| *index >= count) {
        return Ok(None);
    }
    let mut query = QueryBuilder::new("SELECT place, body FROM stage_body WHERE execution = ");
    query.push_bind(execution.as_str());
    // Many are read as all: the statement would become longer than what it saves.
    if (1..=search::LISTED_MAX).contains(&indexes.len()) {
        query.push(" AND place IN (");
        let mut places = query.separated(", ");
        for index in indexes {
            places.push_bind(*index);
        }
        query.push(")");
    }
    let mut found = std::collections::BTreeMap::<u32, StageBody>::new();
    for row in query.build().fetch_all(&mut *connection).await? {
        found.insert(row.try_get("place")?, rows::json(&row, "body")?.unwrap_or_default());
    }
    let body = |index: u32| found.get(&index).cloned().unwrap_or_default();
    Ok(Some(match indexes {
        [] => (0..count).map(body).collect(),
        some => some.iter().copied().map(body).collect(),
    }))
}
