//! Everything of a store, as it was at one instant.
//!
//! Rows are read first, from one state of the database; blobs and logs are listed afterwards, so
//! that whatever a row refers to is among them: it was stored before the row. All blobs are taken,
//! whether a row refers to them or not: messages refer to them too, and there are few. Of logs
//! those of the executions are taken, and what was appended since the rows were read with them.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Batch, Entry};
use super::error::ArchiveError;
use super::shelf::{PIECE_BYTES, Shelf};
use crate::blobs::escape;
use crate::sql::copy::{Columns, Copy, DOCUMENTS, EXECUTIONS, Table};

/// Executions that are read at once: what belongs to one may be megabytes.
const EXECUTIONS_AT_ONCE: i64 = 16;
const DOCUMENTS_AT_ONCE: i64 = 100;

/// Gives every entry but the first and the last to `each`.
pub(super) async fn read(
    mut rows: Copy,
    shelf: &Shelf,
    mut each: impl AsyncFnMut(Entry) -> Result<(), ArchiveError>,
    failed: impl Fn(sqlx::Error) -> ArchiveError,
) -> Result<(), ArchiveError> {
    let mut executions = BTreeSet::new();
    let mut after: Option<String> = None;
    loop {
        let ids = rows.executions(after.as_deref(), EXECUTIONS_AT_ONCE).await.map_err(&failed)?;
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { break };
        let mut batch = Batch::new();
        for table in &EXECUTIONS {
            let found = rows.rows(table, first, last).await.map_err(&failed)?;
            batch.insert(table.name.to_owned(), found);
        }
        each(Entry::Executions(batch)).await?;
        after = Some(last.clone());
        executions.extend(ids.iter().map(|id| escape(id)));
    }
    for table in &DOCUMENTS {
        read_documents(&mut rows, table, &mut each, &failed).await?;
    }
    rows.abandon().await;
    read_shelf(shelf, &executions, &mut each).await
}

async fn read_documents(
    rows: &mut Copy,
    table: &Table,
    each: &mut impl AsyncFnMut(Entry) -> Result<(), ArchiveError>,
    failed: &impl Fn(sqlx::Error) -> ArchiveError,
) -> Result<(), ArchiveError> {
    let mut after: Option<(String, String, i64)> = None;
    loop {
        let last = after.as_ref().map(|(kind, id, version)| (&**kind, &**id, *version));
        let found = rows.documents(table, last, DOCUMENTS_AT_ONCE).await.map_err(failed)?;
        let Some(last) = found.last() else { return Ok(()) };
        after = Some((text(last, "kind"), text(last, "id"), number(last, "version")));
        each(Entry::Documents(BTreeMap::from([(table.name.to_owned(), found)]))).await?;
    }
}

async fn read_shelf(
    shelf: &Shelf,
    executions: &BTreeSet<String>,
    each: &mut impl AsyncFnMut(Entry) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    for name in shelf.blobs().await? {
        let bytes = shelf.blob(&name).await?;
        each(Entry::Blob(name, bytes.to_vec())).await?;
    }
    for log in shelf.logs().await? {
        if !executions.contains(&log.execution) {
            continue;
        }
        let bytes = shelf.log(&log).await?;
        for (number, piece) in (0..).zip(bytes.chunks(PIECE_BYTES)) {
            let at = number * PIECE_BYTES as u64;
            each(Entry::Log(log.clone(), at, piece.to_vec())).await?;
        }
    }
    Ok(())
}

fn text(row: &Columns, column: &str) -> String {
    row.get(column).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
}

fn number(row: &Columns, column: &str) -> i64 {
    row.get(column).and_then(serde_json::Value::as_i64).unwrap_or_default()
}
