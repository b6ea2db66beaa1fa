//! Rows as they are, out of one database and into another: for backups.
//!
//! Read from one state of the database, beside whoever writes; written all in one transaction, into
//! an empty one. A row is a JSON object by column; bytes are hexadecimal behind `\x`, which is how
//! PostgreSQL reads them out of JSON.

use serde_json::{Map, Value};

use super::connection::{Connection, Row};
use super::statement::{Dialect, Sql};
use crate::open::{OpenError, ServerError};

/// A row, by column.
pub(crate) type Columns = Map<String, Value>;

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Holds {
    Text,
    OptionalText,
    Number,
    OptionalNumber,
    Bytes,
}

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// What tells whose row it is: rows are read in its order.
    pub(crate) owner: &'static str,
    order: &'static str,
    columns: &'static [(&'static str, Holds)],
}

/// Executions, in the order in which rows may be written.
pub(crate) const EXECUTIONS: [Table; 5] = [
    Table {
        name: "execution",
        owner: "id",
        order: "id",
        columns: &[
            ("id", Holds::Text),
            ("version", Holds::Number),
            ("stage_count", Holds::Number),
            ("history_count", Holds::Number),
            ("kind", Holds::Number),
            ("application", Holds::Text),
            ("application_key", Holds::Text),
            ("name", Holds::Text),
            ("pipeline_config_id", Holds::OptionalText),
            ("status", Holds::Text),
            ("is_complete", Holds::Number),
            ("build_time", Holds::Number),
            ("start_time", Holds::OptionalNumber),
            ("end_time", Holds::OptionalNumber),
            ("state", Holds::Bytes),
        ],
    },
    Table {
        name: "execution_document",
        owner: "execution",
        order: "execution",
        columns: &[("execution", Holds::Text), ("document", Holds::Text)],
    },
    Table {
        name: "stage",
        owner: "execution",
        order: "execution, place",
        columns: &[("execution", Holds::Text), ("place", Holds::Number), ("state", Holds::Bytes)],
    },
    Table {
        name: "stage_body",
        owner: "execution",
        order: "execution, place",
        columns: &[("execution", Holds::Text), ("place", Holds::Number), ("body", Holds::Text)],
    },
    Table {
        name: "history",
        owner: "execution",
        order: "execution, number",
        columns: &[
            ("execution", Holds::Text),
            ("number", Holds::Number),
            ("at", Holds::Number),
            ("stage", Holds::OptionalText),
            ("kind", Holds::Text),
            ("message", Holds::Text),
        ],
    },
];

const VERSION: &[(&str, Holds)] = &[
    ("kind", Holds::Text),
    ("id", Holds::Text),
    ("version", Holds::Number),
    ("body", Holds::OptionalText),
    ("stored_at", Holds::Number),
    ("stored_by", Holds::Text),
];

/// Documents: the newest versions, and all of them.
pub(crate) const DOCUMENTS: [Table; 2] = [
    Table { name: "document", owner: "id", order: "kind, id", columns: VERSION },
    Table { name: "document_version", owner: "id", order: "kind, id, version", columns: VERSION },
];

/// What executions refer to: follows from the other rows, and is in no backup.
pub(crate) const BLOBS: Table = Table {
    name: "execution_blob",
    owner: "execution",
    order: "execution, sha256",
    columns: &[("execution", Holds::Text), ("sha256", Holds::Text)],
};

/// All tables of which there is something in a backup.
pub(crate) fn tables() -> impl Iterator<Item = &'static Table> {
    EXECUTIONS.iter().chain(&DOCUMENTS)
}

/// Why nothing can be copied.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// There is nothing.
    NoStore,
    /// An older version wrote it.
    Older { found: i64, known: i64 },
    /// A newer version wrote it.
    Newer { found: i64, known: i64 },
    /// It cannot be opened.
    Open(OpenError),
    /// A statement failed.
    Sql(sqlx::Error),
}

impl From<OpenError> for CopyError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<ServerError> for CopyError {
    fn from(error: ServerError) -> Self {
        Self::Open(error.into())
    }
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// A connection that reads, or writes, in one transaction.
pub(crate) struct Copy(Connection);

impl Copy {
    /// Begins to read: of a schema that is this version's own.
    pub(super) async fn begin(connection: Connection, known: i64) -> Result<Self, CopyError> {
        let mut copy = Self(connection);
        copy.0.begin_snapshot().await?;
        match copy.schema().await? {
            Some(found) if found == known => Ok(copy),
            Some(found) if found > known => Err(CopyError::Newer { found, known }),
            Some(found) => Err(CopyError::Older { found, known }),
            None => Err(CopyError::NoStore),
        }
    }

    /// Begins to write, alone.
    pub(super) async fn fill(connection: Connection) -> Result<Self, CopyError> {
        let mut copy = Self(connection);
        copy.0.begin().await?;
        copy.lock().await?;
        Ok(copy)
    }

    /// The version of the schema; `None` if there is none.
    async fn schema(&mut self) -> Result<Option<i64>, sqlx::Error> {
        let exists = match self.0.dialect() {
            Dialect::Sqlite => {
                "SELECT count(*) AS found FROM sqlite_master WHERE name = '_sqlx_migrations'"
            }
            Dialect::Postgres => {
                "SELECT count(*) AS found FROM pg_tables \
                 WHERE tablename = '_sqlx_migrations' AND schemaname = ANY(current_schemas(false))"
            }
        };
        if self.number(exists, "found").await? == Some(0) {
            return Ok(None);
        }
        self.number("SELECT max(version) AS newest FROM _sqlx_migrations", "newest").await
    }

    /// Ids after `after`, in order.
    pub(crate) async fn executions(
        &mut self,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<String>, sqlx::Error> {
        let mut sql = Sql::new("SELECT id FROM execution WHERE id > ");
        sql.bind(after.unwrap_or_default()).push(" ORDER BY id LIMIT ").bind(limit);
        let rows = self.0.fetch(sql).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// The rows of owners from `first` to `last`.
    pub(crate) async fn rows(
        &mut self,
        table: &Table,
        first: &str,
        last: &str,
    ) -> Result<Vec<Columns>, sqlx::Error> {
        let mut sql = select(table);
        sql.push(format_args!(" WHERE {} >= ", table.owner)).bind(first);
        sql.push(format_args!(" AND {} <= ", table.owner)).bind(last);
        sql.push(format_args!(" ORDER BY {}", table.order));
        self.fetch(table, sql).await
    }

    /// Rows of documents after the one at `after` (kind, id, version).
    pub(crate) async fn documents(
        &mut self,
        table: &Table,
        after: Option<(&str, &str, i64)>,
        limit: i64,
    ) -> Result<Vec<Columns>, sqlx::Error> {
        let mut sql = select(table);
        if let Some((kind, id, version)) = after {
            sql.push(" WHERE (kind, id, version) > (").bind(kind);
            sql.push(", ").bind(id).push(", ").bind(version).push(")");
        }
        sql.push(" ORDER BY kind, id, version LIMIT ").bind(limit);
        self.fetch(table, sql).await
    }

    /// How many rows a table has, counted up to 1.
    pub(crate) async fn is_empty(&mut self, table: &Table) -> Result<bool, sqlx::Error> {
        let text =
            format!("SELECT count(*) AS found FROM (SELECT 1 FROM {} LIMIT 1) t", table.name);
        Ok(self.number(text, "found").await? == Some(0))
    }

    /// Keeps everybody else from writing until the transaction ends.
    async fn lock(&mut self) -> Result<(), sqlx::Error> {
        match self.0.dialect() {
            // Its transaction began as one that writes, of which there is one.
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => {
                let names: Vec<&str> = tables().map(|table| table.name).collect();
                let text = format!("LOCK TABLE {} IN EXCLUSIVE MODE", names.join(", "));
                self.0.execute(Sql::new(text)).await
            }
        }
    }

    /// Writes rows, all of one table.
    pub(crate) async fn insert(
        &mut self,
        table: &Table,
        rows: &[Columns],
    ) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let json =
            serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let mut sql = Sql::new(format!("INSERT INTO {} ({names}) SELECT ", table.name));
        match self.0.dialect() {
            Dialect::Sqlite => {
                let values = table.columns.iter().map(|(name, holds)| match holds {
                    Holds::Bytes => format!("unhex(substr(value ->> '$.{name}', 3))"),
                    Holds::Text | Holds::OptionalText | Holds::Number | Holds::OptionalNumber => {
                        format!("value ->> '$.{name}'")
                    }
                });
                sql.push(values.collect::<Vec<_>>().join(", ")).push(" FROM json_each(");
                sql.bind(json).push(")");
            }
            Dialect::Postgres => {
                sql.push(names).push(format_args!(
                    " FROM json_populate_recordset(NULL::{}, CAST(",
                    table.name
                ));
                sql.bind(json).push(" AS json))");
            }
        }
        self.0.execute(sql).await
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.0.commit().await?;
        self.0.close().await
    }

    /// Lets go of everything that was not committed.
    pub(crate) async fn abandon(self) {
        self.0.abandon().await;
    }

    async fn fetch(&mut self, table: &Table, sql: Sql<'_>) -> Result<Vec<Columns>, sqlx::Error> {
        let rows = self.0.fetch(sql).await?;
        rows.iter().map(|row| columns(table, row)).collect()
    }

    async fn number(
        &mut self,
        text: impl Into<String>,
        column: &str,
    ) -> Result<Option<i64>, sqlx::Error> {
        let rows = self.0.fetch(Sql::new(text)).await?;
        rows.first().map_or(Ok(None), |row| row.get(column))
    }
}

fn select(table: &Table) -> Sql<'static> {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    Sql::new(format!("SELECT {} FROM {}", names.join(", "), table.name))
}

fn columns(table: &Table, row: &Row) -> Result<Columns, sqlx::Error> {
    let columns = table.columns.iter().map(|(name, holds)| {
        let value = match holds {
            Holds::Text => row.get::<String>(name)?.into(),
            Holds::OptionalText => row.get::<Option<String>>(name)?.into(),
            Holds::Number => row.get::<i64>(name)?.into(),
            Holds::OptionalNumber => row.get::<Option<i64>>(name)?.into(),
            Holds::Bytes => format!("\\x{}", hex::encode(row.get::<Vec<u8>>(name)?)).into(),
        };
        Ok(((*name).to_owned(), value))
    });
    columns.collect()
}

/// The bytes of a column that holds some.
pub(crate) fn bytes_of(row: &Columns, column: &str) -> Option<Vec<u8>> {
    hex::decode(row.get(column)?.as_str()?.strip_prefix("\\x")?).ok()
}
