use async_trait::async_trait;
use jiff::Timestamp;
use shared_ports::PortError;
use shared_ports::documents::{Change, Changed, Document, Documents};

use super::Readers;
use super::connection::Row;
use super::prepare::{PreparedChange, nanoseconds};
use super::remove::Removal;
use super::rows;
use super::statement::Sql;
use super::writer::Writer;

const COLUMNS: &str = "kind, id, version, body, stored_at, stored_by";

/// Versioned documents in SQL.
#[derive(Debug, Clone)]
pub(crate) struct SqlDocuments {
    writer: Writer,
    readers: Readers,
}

impl SqlDocuments {
    pub(super) fn new(writer: Writer, readers: Readers) -> Self {
        Self { writer, readers }
    }

    async fn read<'a>(
        &self,
        sql: impl Fn() -> Sql<'a> + Send,
        doing: String,
    ) -> Result<Vec<Document>, PortError> {
        let found = self.readers.pool.fetch(sql).await;
        let documents = found.and_then(|found| found.iter().map(document).collect());
        documents.map_err(|error| self.readers.failed(error, doing))
    }
}

#[async_trait]
impl Documents for SqlDocuments {
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Document>, PortError> {
        let sql = || {
            let mut sql = Sql::new(format!("SELECT {COLUMNS} FROM document WHERE kind = "));
            sql.bind(kind).push(" AND id = ").bind(id).push(" AND body IS NOT NULL");
            sql
        };
        Ok(self.read(sql, format!("reading {kind} `{id}`")).await?.pop())
    }

    async fn change(&self, change: Change) -> Result<Changed, PortError> {
        self.writer.change(PreparedChange::new(change)?).await
    }

    async fn list(
        &self,
        kind: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Document>, PortError> {
        let sql = || {
            let mut sql = Sql::new(format!("SELECT {COLUMNS} FROM document WHERE kind = "));
            sql.bind(kind).push(" AND body IS NOT NULL AND id >= ").bind(prefix);
            if let Some(end) = end_of(prefix) {
                sql.push(" AND id < ").bind(end);
            }
            if let Some(after) = after {
                sql.push(" AND id > ").bind(after);
            }
            sql.push(" ORDER BY id LIMIT ").bind(limit);
            sql
        };
        self.read(sql, format!("listing documents of kind {kind}")).await
    }

    async fn history(&self, kind: &str, id: &str, limit: u32) -> Result<Vec<Document>, PortError> {
        let sql = || {
            let mut sql = Sql::new(format!("SELECT {COLUMNS} FROM document_version WHERE kind = "));
            sql.bind(kind).push(" AND id = ").bind(id);
            sql.push(" ORDER BY version DESC LIMIT ").bind(limit);
            sql
        };
        self.read(sql, format!("reading the history of {kind} `{id}`")).await
    }

    async fn stored_before(
        &self,
        kind: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>, PortError> {
        let doing = || format!("looking for old documents `{kind}`");
        let until = nanoseconds(until, doing)?;
        let sql = || {
            let mut sql = Sql::new("SELECT id FROM document WHERE kind = ");
            sql.bind(kind).push(" AND stored_at < ").bind(until).push(" ORDER BY id LIMIT ");
            sql.bind(limit);
            sql
        };
        let found = self.readers.pool.fetch(sql).await;
        let ids = found.and_then(|found| found.iter().map(|row| row.get("id")).collect());
        ids.map_err(|error| self.readers.failed(error, doing()))
    }

    async fn forget(&self, kind: &str, ids: &[String]) -> Result<(), PortError> {
        self.writer.remove(Removal::Documents(kind.to_owned(), ids.to_vec())).await.map(drop)
    }
}

fn document(row: &Row) -> Result<Document, sqlx::Error> {
    Ok(Document {
        kind: row.get("kind")?,
        id: row.get("id")?,
        version: rows::count(row, "version")?,
        body: rows::json(row, "body")?.unwrap_or_default(),
        at: rows::instant(row.get("stored_at")?)?,
        by: row.get("stored_by")?,
    })
}

/// The smallest text after all that begin with `prefix`; `None` if there is none.
fn end_of(prefix: &str) -> Option<String> {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        // The next scalar value; there is none after the last, and a gap after U+D7FF.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_comes_after_all_that_begin_with_it() {
        assert_eq!(end_of("shop/"), Some("shop0".to_owned()));
        assert_eq!(end_of("a\u{d7ff}"), Some("a\u{e000}".to_owned()));
        assert_eq!(end_of("a\u{10ffff}"), Some("b".to_owned()));
        assert_eq!(end_of("\u{10ffff}"), None);
        assert_eq!(end_of(""), None);
    }
}
