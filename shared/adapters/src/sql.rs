//! Journal and documents in SQL.
//!
//! One task writes: what callers hand in while it commits makes up its next transaction (group
//! commit, by what is at hand and not by a timer), so a sync of the disk is shared by all who wait
//! for it. Rows of one table are written by one statement, many at a time, because each statement
//! is a trip to the connection's thread. Reads run beside it, on connections of their own, each
//! seeing everything that was committed before it began.
//!
//! The dialect is SQLite's; the statements keep to what PostgreSQL has too: `ON CONFLICT`,
//! `WITH … (VALUES …) UPDATE … FROM`, row values, partial indexes. Rows of a statement are unique by
//! key, as PostgreSQL wants it.

mod documents;
mod failure;
mod group;
mod journal;
mod prepare;
mod rows;
mod schema;
mod search;
mod sqlite;
mod write;
mod writer;

use std::path::Path;
use std::sync::Arc;

use sqlx::SqlitePool;

use self::documents::SqlDocuments;
use self::failure::Failure;
use self::journal::SqlJournal;
use self::sqlite::Connector;
pub(crate) use self::writer::Stop;
use self::writer::Writer;
use crate::folder::DataFolder;
use crate::open::OpenError;

/// An open database: one writer, several readers.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    writer: Writer,
    readers: Readers,
}

/// Connections to read from.
#[derive(Debug, Clone)]
struct Readers {
    pool: SqlitePool,
    folder: Arc<Path>,
}

impl Database {
    /// Opens the database of a data folder, made or brought to the newest schema if need be. It
    /// holds the folder until it has ended.
    pub(crate) async fn open(folder: Arc<DataFolder>) -> Result<(Self, Stop), OpenError> {
        let connector = Connector::new(folder.path());
        let connection = connector.prepare().await?;
        let readers = Readers { pool: connector.readers(), folder: Arc::from(folder.path()) };
        let (writer, stop) = Writer::start(connector, connection, readers.pool.clone(), folder);
        Ok((Self { writer, readers }, stop))
    }

    pub(crate) fn journal(&self) -> SqlJournal {
        SqlJournal::new(self.writer.clone(), self.readers.clone())
    }

    pub(crate) fn documents(&self) -> SqlDocuments {
        SqlDocuments::new(self.writer.clone(), self.readers.clone())
    }
}

impl Readers {
    /// What an error while reading means to a caller.
    fn failed(&self, error: sqlx::Error, doing: impl Into<String>) -> shared_ports::PortError {
        Failure::of(error, &self.folder).into_port(doing)
    }
}
