//! How the database file is opened.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tracing::log::LevelFilter;

use super::failure::{Failure, Place};
use super::schema;
use crate::folder::sync_folder;
use crate::open::OpenError;

const FILE_NAME: &str = "capstan.db";
/// The database while it is made.
const FRESH_FILE: &str = "capstan.db.new";
/// A database up to this size is looked through at each start, which takes a tenth of a second;
/// what is wrong with a larger one shows when it is used.
const CHECKED_BYTES_MAX: u64 = 32 * 1024 * 1024;
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

    /// Connects for the first time: makes the database if there is none, looks whether it is sound,
    /// and brings it to the newest schema.
    pub(super) async fn prepare(&self) -> Result<SqliteConnection, OpenError> {
        let bytes = match std::fs::metadata(&self.file) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make().await?;
                std::fs::metadata(&self.file).map_or(1, |file| file.len())
            }
            Err(error) => {
                return Err(OpenError::of_io(error, &self.folder, "looking at the database"));
            }
        };
        if bytes == 0 {
            let why = "the file is empty".to_owned();
            return Err(OpenError::Damaged { file: self.file.clone(), why });
        }
        self.look_at(bytes).await?;
        let mut connection = self.connect().await.map_err(|error| self.not_opened(error))?;
        match self.migrate(&mut connection).await {
            Ok(()) => Ok(connection),
            Err(error) => {
                // Closed well, it leaves no files behind.
                drop(connection.close().await);
                Err(error)
            }
        }
    }

    /// Looks whether the database is sound, by a connection without settings, which is made without
    /// reading the file: one that fails while it is made is not closed well and leaves files behind.
    async fn look_at(&self, bytes: u64) -> Result<(), OpenError> {
        let options = SqliteConnectOptions::new().filename(&self.file).busy_timeout(BUSY_TIMEOUT);
        let connected = options.connect().await;
        let mut connection = connected.map_err(|error| self.not_opened(error))?;
        let sound = match bytes <= CHECKED_BYTES_MAX {
            true => self.check(&mut connection).await,
            false => self.read_first_page(&mut connection).await,
        };
        let closed = connection.close().await.map_err(|error| self.not_opened(error));
        sound.and(closed)
    }

    async fn read_first_page(&self, connection: &mut SqliteConnection) -> Result<(), OpenError> {
        let read = sqlx::query("PRAGMA schema_version").execute(connection).await;
        read.map(drop).map_err(|error| self.not_opened(error))
    }

    pub(super) fn not_opened(&self, error: sqlx::Error) -> OpenError {
        open_failed(self.failure(error), &self.file, "opening the database")
    }

    /// Makes an empty database beside its place, whole, before it gets its name: so that one that
    /// is cut off is known to have been more.
    async fn make(&self) -> Result<(), OpenError> {
        let fresh = self.folder.join(FRESH_FILE);
        let failed = |error| OpenError::of_io(error, &self.folder, "creating the database");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        make_file(&fresh).map_err(failed)?;
        // A file that a full disk cut off is not left behind.
        let made = self.make_whole(&fresh).await;
        made.inspect_err(|_| drop(std::fs::remove_file(&fresh)))?;
        std::fs::rename(&fresh, &self.file).and_then(|()| sync_folder(&self.folder)).map_err(failed)
    }

    async fn make_whole(&self, fresh: &Path) -> Result<(), OpenError> {
        let failed = |error| open_failed(self.failure(error), &self.file, "creating the database");
        let options = self.options().filename(fresh).journal_mode(SqliteJournalMode::Delete);
        let mut connection =
            options.synchronous(SqliteSynchronous::Full).connect().await.map_err(failed)?;
        self.migrate(&mut connection).await?;
        connection.close().await.map_err(failed)
    }

    /// Looks through every page of the database.
    async fn check(&self, connection: &mut SqliteConnection) -> Result<(), OpenError> {
        let failed = |error| open_failed(self.failure(error), &self.file, "checking the database");
        let found = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_all(connection).await;
        let found: Vec<String> = found.map_err(failed)?;
        if found == ["ok"] {
            return Ok(());
        }
        let why = found.join("; ").replace('\n', " ");
        Err(OpenError::Damaged { file: self.file.clone(), why })
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

    /// Whether there is one.
    pub(super) fn exists(&self) -> bool {
        self.file.is_file()
    }

    /// Connects to read, beside whoever writes.
    pub(super) async fn connect_to_look(&self) -> Result<SqliteConnection, sqlx::Error> {
        // Not as one who may only read: whoever reads a write-ahead log notes how far.
        self.options().pragma("query_only", "on").connect().await
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

    async fn migrate(&self, connection: &mut SqliteConnection) -> Result<(), OpenError> {
        let migrated = schema::migrate_sqlite(connection, &self.file).await;
        migrated.map_err(|error| match error {
            schema::SchemaError::Open(error) => error,
            schema::SchemaError::Sql(error) => {
                open_failed(self.failure(error), &self.file, "preparing the database's schema")
            }
        })
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
}

/// Makes a file ourselves, for its owner alone; SQLite gives its other files the same rights.
fn make_file(file: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map(drop)
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
