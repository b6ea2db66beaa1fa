//! Backups: everything of a store in one file, and back, while it is in use.

mod check;
mod entry;
mod error;
mod file;
mod restore;
mod shelf;
mod source;

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

pub use self::check::Decode;
pub use self::entry::Summary;
use self::entry::{Entry, FORMAT, Header};
pub use self::error::ArchiveError;
use self::file::Writing;
pub use self::restore::{check_file, restore};
use self::shelf::Shelf;
use crate::open::{Config, Embedded, OpenError};
use crate::sql::Database;
use crate::sql::copy::{Copy, CopyError};

/// Entries between whoever reads and whoever writes.
const AHEAD: usize = 4;

/// Writes everything of a store into a file, as it is at one instant; it may be in use. The file
/// gets its name when it is whole.
///
/// # Errors
/// [`ArchiveError`] says what is in the way, and what to do.
pub async fn backup(config: &Config, to: &Path) -> Result<Summary, ArchiveError> {
    let rows = snapshot(config).await?;
    let shelf = shelf(config).await?;
    let header = Header {
        format: FORMAT,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        store: place(config),
    };
    let (entries, given) = mpsc::channel(AHEAD);
    let file = to.to_owned();
    let writer = tokio::task::spawn_blocking(move || Pen::write(&file, header, given));
    let gone = || ArchiveError::gone(to);
    let give = async |entry: Entry| entries.send(Some(entry)).await.map_err(|_| gone());
    let failed = |error| Database::copy_failed(config, error, "reading the store").into();
    let read = source::read(rows, &shelf, give, failed).await;
    if read.is_ok() {
        // Without this word nothing gets its name.
        let _ended = entries.send(None).await;
    }
    drop(entries);
    let written = writer.await.map_err(|_| gone())?;
    // Whoever reads fails too once nobody writes: what the writer says is the cause.
    let written = written?;
    read?;
    written.ok_or_else(gone)
}

/// Looks through a store, which may be in use.
///
/// # Errors
/// [`ArchiveError::Unsound`] says what does not fit together; the others, what is in the way.
pub async fn check_store(config: &Config, decode: Decode<'_>) -> Result<Summary, ArchiveError> {
    let rows = snapshot(config).await?;
    let shelf = shelf(config).await?;
    let mut summary = Summary::default();
    let look = async |entry: Entry| {
        let unsound = |why| ArchiveError::Unsound { place: place(config), why };
        check::entry(&entry, decode).map_err(unsound)?;
        summary.count(&entry);
        Ok(())
    };
    let failed = |error| Database::copy_failed(config, error, "reading the store").into();
    source::read(rows, &shelf, look, failed).await?;
    Ok(summary)
}

/// Writes entries, one after the other.
struct Pen {
    file: PathBuf,
    writing: Writing,
    number: u64,
    summary: Summary,
}

impl Pen {
    /// Writes until it is told that it was all; `None` if it never is.
    fn write(
        file: &Path,
        header: Header,
        mut given: mpsc::Receiver<Option<Entry>>,
    ) -> Result<Option<Summary>, ArchiveError> {
        let (file, writing) = (file.to_owned(), Writing::begin(file)?);
        let mut pen = Self { file, writing, number: 0, summary: Summary::default() };
        pen.add(Entry::Header(header))?;
        while let Some(entry) = given.blocking_recv() {
            let Some(entry) = entry else {
                let summary = pen.summary;
                pen.add(Entry::End(summary))?;
                pen.writing.end()?;
                return Ok(Some(summary));
            };
            pen.add(entry)?;
        }
        Ok(None)
    }

    fn add(&mut self, entry: Entry) -> Result<(), ArchiveError> {
        self.number += 1;
        self.summary.count(&entry);
        let piece = entry.write(self.number);
        let piece = piece
            .map_err(|error| ArchiveError::of_io(error.into(), &self.file, "writing to it"))?;
        self.writing.add(&piece)
    }
}

async fn snapshot(config: &Config) -> Result<Copy, ArchiveError> {
    let snapshot = match config {
        Config::Embedded(embedded) => Database::snapshot_in_folder(&embedded.data_dir).await,
        Config::Distributed(distributed) => Database::snapshot_on_server(&distributed.store).await,
    };
    snapshot.map_err(|error| not_copied(config, error, "reading the store"))
}

async fn shelf(config: &Config) -> Result<Shelf, ArchiveError> {
    let local = local(config);
    let folder = local.shared_dir.as_ref().unwrap_or(&local.data_dir);
    let objects = match config {
        Config::Embedded(_) => None,
        Config::Distributed(distributed) => distributed.blobs.as_deref(),
    };
    let limits = (local.blob_bytes_max, local.log_bytes_max);
    Ok(Shelf::open(folder, objects, limits).await?)
}

fn local(config: &Config) -> &Embedded {
    match config {
        Config::Embedded(embedded) => embedded,
        Config::Distributed(distributed) => &distributed.local,
    }
}

/// Where a store is, for people.
fn place(config: &Config) -> String {
    match config {
        Config::Embedded(embedded) => format!("data folder `{}`", embedded.data_dir.display()),
        Config::Distributed(distributed) => Database::shown(&distributed.store),
    }
}

fn not_copied(config: &Config, error: CopyError, doing: &str) -> ArchiveError {
    let store = place(config);
    match error {
        CopyError::NoStore => ArchiveError::NoStore { store },
        CopyError::Older { found, known } => ArchiveError::Older { store, found, known },
        CopyError::Newer { found, known } => {
            OpenError::Newer { database: store, found, known }.into()
        }
        CopyError::Open(error) => error.into(),
        CopyError::Sql(error) => Database::copy_failed(config, error, doing).into(),
    }
}
