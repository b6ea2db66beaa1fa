//! Journal and documents in SQL.
//!
//! One task writes: what callers hand in while it commits makes up its next transaction (group
//! commit, by what is at hand and not by a timer), so a sync of the disk is shared by all who wait
//! for it. Rows of one table are written by one statement, many at a time, because each statement
//! is a trip to the connection's thread. Reads run beside it, on connections of their own, each
//! seeing everything that was committed before it began.
//!
//! Two dialects: SQLite's and PostgreSQL's. Statements are one text for both where they can be
//! (`$1`, `ON CONFLICT`, `WITH … UPDATE … FROM`, row values, partial indexes); `Dialect` is asked where
//! they differ: rows are written out in SQLite and handed over as one list per column in PostgreSQL,
//! where one statement writes to all tables, because each is a trip to a server. Rows of a statement
//! are unique by key, as PostgreSQL wants it.
//!
//! In PostgreSQL other processes write too. What an append is compared with is locked; what two make
//! at the same time the keys tell apart: the second one's transaction begins again, and finds it.

mod connection;
mod connector;
pub(crate) mod copy;
mod documents;
mod failure;
mod group;
mod journal;
mod postgres;
mod prepare;
mod remove;
mod retained;
mod rows;
mod schema;
mod search;
mod sqlite;
mod statement;
mod write;
mod writer;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use shared_ports::PortError;

use self::connection::{Connection, Pool};
use self::connector::Connector;
use self::copy::{Copy, CopyError};
use self::documents::SqlDocuments;
use self::failure::{Failure, Place};
use self::journal::SqlJournal;
use self::postgres::Server;
use self::sqlite::File;
use self::statement::Sql;
pub(crate) use self::writer::Stop;
use self::writer::Writer;
use crate::folder::{DataFolder, room};
use crate::open::{Config, OpenError, Postgres};

/// An open database: one writer, several readers.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    writer: Writer,
    readers: Readers,
}

/// Connections to read from.
#[derive(Debug, Clone)]
struct Readers {
    pool: Pool,
    place: Place,
}

impl Database {
    /// Opens the database of a data folder, made or brought to the newest schema if need be. It
    /// holds the folder until it has ended.
    pub(crate) async fn in_folder(folder: Arc<DataFolder>) -> Result<(Self, Stop), OpenError> {
        let file = File::new(folder.path());
        let connection = file.prepare().await?;
        Ok(Self::start(Connector::File(file), Connection::Sqlite(connection), folder))
    }

    /// Opens a database on a server, brought to the newest schema if need be.
    pub(crate) async fn on_server(
        config: &Postgres,
        folder: Arc<DataFolder>,
    ) -> Result<(Self, Stop), OpenError> {
        let server = Server::new(config)?;
        server.prepare().await?;
        let connection = Connection::Postgres(Box::new(server.connect_first().await?));
        Ok(Self::start(Connector::Server(Box::new(server)), connection, folder))
    }

    /// Everything of a data folder's database as it is now, for reading; whoever has the folder open
    /// goes on.
    pub(crate) async fn snapshot_in_folder(folder: &Path) -> Result<Copy, CopyError> {
        let file = File::new(folder);
        if !file.exists() {
            return Err(CopyError::NoStore);
        }
        let connection = file.connect_to_look().await;
        let connection = connection.map_err(|error| file.not_opened(error))?;
        Copy::begin(Connection::Sqlite(connection), schema::SQLITE_NEWEST).await
    }

    /// Everything of a server's database as it is now, for reading.
    pub(crate) async fn snapshot_on_server(config: &Postgres) -> Result<Copy, CopyError> {
        let server = Server::new(config)?;
        let connection = server.connect_to_look().await?;
        Copy::begin(Connection::Postgres(Box::new(connection)), schema::POSTGRES_NEWEST).await
    }

    /// The database of a data folder, made if need be, to write rows into.
    pub(crate) async fn fill_in_folder(folder: &Path) -> Result<Copy, CopyError> {
        let connection = File::new(folder).prepare().await?;
        Copy::fill(Connection::Sqlite(connection)).await
    }

    /// A server's database, prepared if need be, to write rows into.
    pub(crate) async fn fill_on_server(config: &Postgres) -> Result<Copy, CopyError> {
        let server = Server::new(config)?;
        server.prepare().await?;
        let connection = server.connect_to_fill().await?;
        Copy::fill(Connection::Postgres(Box::new(connection))).await
    }

    /// A database on a server, for people.
    pub(crate) fn shown(config: &Postgres) -> String {
        Server::new(config)
            .map_or_else(|_| "the store".to_owned(), |server| server.place().to_string())
    }

    /// What an error of copied rows means to whoever copies.
    pub(crate) fn copy_failed(config: &Config, error: sqlx::Error, doing: &str) -> PortError {
        let place = match config {
            Config::Embedded(embedded) => File::new(&embedded.data_dir).place(),
            Config::Distributed(distributed) => match Server::new(&distributed.store) {
                Ok(server) => server.place(),
                Err(_) => Place::Server(Arc::from("the store")),
            },
        };
        Failure::of(error, &place).into_port(doing)
    }

    fn start(
        connector: Connector,
        connection: Connection,
        folder: Arc<DataFolder>,
    ) -> (Self, Stop) {
        let readers = Readers { pool: connector.readers(), place: connector.place() };
        let (writer, stop) = Writer::start(connector, connection, readers.pool.clone(), folder);
        (Self { writer, readers }, stop)
    }

    pub(crate) fn journal(&self) -> SqlJournal {
        SqlJournal::new(self.writer.clone(), self.readers.clone())
    }

    pub(crate) fn documents(&self) -> SqlDocuments {
        SqlDocuments::new(self.writer.clone(), self.readers.clone())
    }

    /// The server's clock.
    pub(crate) async fn now(&self) -> Result<Timestamp, PortError> {
        let doing = "asking the database for the time";
        let sql =
            || Sql::new("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now");
        let found = self.readers.pool.fetch(sql).await;
        let microseconds = found.and_then(|rows| match rows.first() {
            Some(row) => row.get::<i64>("now"),
            None => Err(sqlx::Error::RowNotFound),
        });
        let microseconds = microseconds.map_err(|error| self.readers.failed(error, doing))?;
        Timestamp::from_microsecond(microseconds).map_err(|error| PortError::Refused {
            doing: doing.to_owned(),
            why: format!("{error}; set the clock of the server's machine"),
        })
    }
}

impl Readers {
    /// What an error while reading means to a caller.
    fn failed(&self, error: sqlx::Error, doing: impl Into<String>) -> PortError {
        Failure::of(error, &self.place).into_port(doing)
    }

    /// Whether something could be stored, as far as that shows without storing.
    async fn ready(&self, doing: &str) -> Result<(), PortError> {
        match &self.place {
            Place::Folder(folder) => room(folder, doing),
            Place::Server(_) => {
                let answered = self.pool.fetch(|| Sql::new("SELECT 1")).await;
                answered.map(drop).map_err(|error| self.failed(error, doing))
            }
        }
    }
}
