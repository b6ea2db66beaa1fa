//! How the database file is opened.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};
use tracing::log::LevelFilter;

use super::failure::{Failure, Place};
use super::schema;
use crate::open::OpenError;

const FILE_NAME: &str = "capstan.db";
/// Nobody else writes, so a lock is held only while a failed connection still closes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const READERS_MAX: u32 = 4;
/// Statements differ by their number of rows, of which there are few; see `write.rs`.
const STATEMENTS_KEPT: usize = 256;
/// Pages of 4 KiB in the write-ahead log before they are copied into the database: what a page is
/// written to many times in between is copied once, and the log stays small enough to be read
/// quickly after a crash.
const CHECKPOINT_PAGES: &str = "4000";
/// A page cache of 16 MiB per connection, in SQLite's negative KiB.
const CACHE_SIZE: &str = "-16384";
/// A statement that takes longer is logged as a warning.
const SLOW_STATEMENT: Duration = Duration::from_secs(1);

/// Knows where the database is and how to connect to it.
#[derive(Debug, Clone)]
pub(super) struct File {
    folder: PathBuf,
    file: PathBuf,
}

impl File {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), file: folder.join(FILE_NAME) }
    }

    /// Connects for the first time: makes the file and brings it to the newest schema.
    pub(super) async fn prepare(&self) -> Result<SqliteConnection, OpenError> {
        self.make_file()?;
        let connected = self.connect().await;
        let mut connection = connected.map_err(|error| {
            open_failed(self.failure(error), &self.file, "opening the database")
        })?;
        schema::migrate_sqlite(&mut connection, &self.file)
            .await
            .map_err(|error| self.schema_refusal(error))?;
        Ok(connection)
    }

    /// Connects to write.
    pub(super) async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        // WAL with full sync: a commit returns once its pages are on the disk.
        self.options()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .connect()
            .await
    }

    /// Connections to read, made when they are needed.
    pub(super) fn readers(&self) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READ_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            // A connection to a file does not go away; asking it each time would cost a trip.
            .test_before_acquire(false)
            .connect_lazy_with(self.options().read_only(true))
    }

    pub(super) fn place(&self) -> Place {
        Place::Folder(Arc::from(self.folder.as_path()))
    }

    fn failure(&self, error: sqlx::Error) -> Failure {
        Failure::of(error, &self.place())
    }

    fn schema_refusal(&self, error: schema::SchemaError) -> OpenError {
        match error {
            schema::SchemaError::Open(error) => error,
            schema::SchemaError::Sql(error) => {
                open_failed(self.failure(error), &self.file, "preparing the database's schema")
            }
        }
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.file)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS_KEPT)
            .pragma("cache_size", CACHE_SIZE)
            .pragma("temp_store", "memory")
            .log_statements(LevelFilter::Trace)
            .log_slow_statements(LevelFilter::Warn, SLOW_STATEMENT)
    }

    /// Makes the file ourselves, for its owner alone; SQLite gives its other files the same rights.
    fn make_file(&self) -> Result<(), OpenError> {
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(false).mode(0o600);
        let made = how.open(&self.file).map(drop);
        made.map_err(|error| OpenError::of_io(error, &self.folder, "creating the database"))
    }
}

/// What a failure means for opening a data folder.
fn open_failed(failure: Failure, file: &Path, doing: &'static str) -> OpenError {
    let folder = file.parent().unwrap_or(file).to_owned();
    match failure {
        Failure::Full(_) => OpenError::Full { folder },
        Failure::ReadOnly(why) => OpenError::NotWritable { folder, why },
        Failure::Damaged(why) => OpenError::Damaged { file: file.to_owned(), why },
        Failure::ForNow(error) | Failure::Race(error) => {
            OpenError::Io { folder, doing, source: Box::new(error) }
        }
        Failure::Content(why) | Failure::Other(why) => {
            OpenError::Io { folder, doing, source: why.into() }
        }
    }
}
