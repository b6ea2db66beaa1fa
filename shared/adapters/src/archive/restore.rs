//! From a backup into an empty store.
//!
//! The backup is read twice: first to see that all of it is sound, so that a damaged one changes
//! nothing. Blobs and logs are written first and rows in one transaction, which is committed last:
//! what fails before that leaves an empty store, into which it can be restored again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use shared_ports::shelf;
use tokio::sync::mpsc;

use super::check::{self, Decode};
use super::entry::{Batch, Entry, FORMAT, Summary};
use super::error::ArchiveError;
use super::file::{self, Piece};
use super::shelf::Putting;
use super::{AHEAD, local, not_copied, place};
use crate::blobs::FolderBlobs;
use crate::folder::DataFolder;
use crate::objects::ObjectBlobs;
use crate::open::{Config, OpenError};
use crate::sql::Database;
use crate::sql::copy::{BLOBS, Columns, Copy, tables};

const DOING: &str = "restoring rows";

/// Looks through a backup.
///
/// # Errors
/// [`ArchiveError`] says which entry is damaged or does not fit.
pub async fn check_file(file: &Path, decode: Decode<'_>) -> Result<Summary, ArchiveError> {
    let mut seen = Seen::new(file);
    read(file, async |entry| {
        let unsound = |why| ArchiveError::Unsound { place: seen.shown(), why };
        check::entry(&entry, decode).map_err(unsound)?;
        seen.note(&entry)
    })
    .await?;
    seen.whole()
}

/// Restores a backup into an empty store, which nobody may have in use.
///
/// # Errors
/// [`ArchiveError`] says what is in the way, and what to do; the store is as empty as before then.
pub async fn restore(
    config: &Config,
    from: &Path,
    decode: Decode<'_>,
) -> Result<Summary, ArchiveError> {
    let summary = check_file(from, decode).await?;
    let folder = Arc::new(DataFolder::hold(&local(config).data_dir)?);
    let filled = match config {
        Config::Embedded(embedded) => Database::fill_in_folder(&embedded.data_dir).await,
        Config::Distributed(distributed) => Database::fill_on_server(&distributed.store).await,
    };
    let mut rows = filled.map_err(|error| not_copied(config, error, DOING))?;
    let failed = |error| ArchiveError::from(Database::copy_failed(config, error, DOING));
    for table in tables() {
        if !rows.is_empty(table).await.map_err(failed)? {
            rows.abandon().await;
            return Err(ArchiveError::NotEmpty { store: place(config), table: table.name });
        }
    }
    let mut shelf = putting(config).await?;
    let written = read(from, async |entry| match entry {
        Entry::Executions(batch) | Entry::Documents(batch) => {
            insert(&mut rows, &batch).await.map_err(failed)
        }
        Entry::Blob(_, bytes) => Ok(shelf.blob(Bytes::from(bytes)).await.map(drop)?),
        Entry::Log(log, at, bytes) => Ok(shelf.log(&log, at, Bytes::from(bytes)).await?),
        Entry::Header(_) | Entry::End(_) => Ok(()),
    });
    if let Err(error) = written.await {
        rows.abandon().await;
        return Err(error);
    }
    rows.commit().await.map_err(failed)?;
    folder.sync().map_err(|error| OpenError::of_io(error, folder.path(), "syncing it"))?;
    Ok(summary)
}

async fn insert(rows: &mut Copy, batch: &Batch) -> Result<(), sqlx::Error> {
    for table in tables() {
        rows.insert(table, batch.get(table.name).map_or(&[], Vec::as_slice)).await?;
    }
    rows.insert(&BLOBS, &blobs(batch)).await
}

/// Rows that say to which blobs executions refer: a backup has none, since other rows tell it.
fn blobs(batch: &Batch) -> Vec<Columns> {
    let mut named = BTreeSet::new();
    for (table, column) in [("execution_document", "document"), ("stage_body", "body")] {
        for row in batch.get(table).into_iter().flatten() {
            let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
            let names = shelf::named_in(text(column)).into_iter();
            named.extend(names.map(|name| (text("execution").to_owned(), name.to_owned())));
        }
    }
    let row = |(execution, sha256): (String, String)| {
        Columns::from_iter([
            ("execution".into(), execution.into()),
            ("sha256".into(), sha256.into()),
        ])
    };
    named.into_iter().map(row).collect()
}

async fn putting(config: &Config) -> Result<Putting, ArchiveError> {
    let local = local(config);
    let limits = (local.blob_bytes_max, local.log_bytes_max);
    if let Config::Distributed(distributed) = config
        && let Some(settings) = &distributed.blobs
    {
        let opened = ObjectBlobs::open(settings, limits.0, limits.1).await?;
        return Ok(Putting::Objects(Box::new(opened)));
    }
    let folder = local.shared_dir.as_ref().unwrap_or(&local.data_dir);
    let opened = match &local.shared_dir {
        Some(shared) => FolderBlobs::share(shared, limits.0, limits.1),
        None => FolderBlobs::open(folder, limits.0, limits.1),
    };
    let opened =
        opened.map_err(|error| OpenError::of_io(error, folder, "preparing it for blobs"))?;
    Ok(Putting::Folder(folder.clone(), opened, None))
}

/// What of a backup came by.
struct Seen {
    file: PathBuf,
    found: Summary,
    end: Option<Summary>,
    has_begun: bool,
}

impl Seen {
    fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), found: Summary::default(), end: None, has_begun: false }
    }

    fn shown(&self) -> String {
        format!("backup `{}`", self.file.display())
    }

    fn note(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        if let Entry::Header(header) = entry {
            self.has_begun = true;
            if header.format > FORMAT {
                let (file, found) = (self.file.clone(), header.format);
                return Err(ArchiveError::Newer { file, found, known: FORMAT });
            }
        }
        if !self.has_begun {
            return Err(ArchiveError::not_one(&self.file));
        }
        if let Entry::End(end) = entry {
            self.end = Some(*end);
        }
        self.found.count(entry);
        Ok(())
    }

    fn whole(self) -> Result<Summary, ArchiveError> {
        let damaged = |why| ArchiveError::Damaged { file: self.file.clone(), why };
        let end = self.end.ok_or_else(|| damaged("it ends before its last entry".to_owned()))?;
        check::summary(self.found, end).map_err(damaged)?;
        Ok(end)
    }
}

/// Gives each entry to `each`, in order.
async fn read(
    file: &Path,
    mut each: impl AsyncFnMut(Entry) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let (pieces, mut given) = mpsc::channel::<Piece>(AHEAD);
    let place = file.to_owned();
    let reader = tokio::task::spawn_blocking(move || {
        file::read(&place, |piece| {
            pieces.blocking_send(piece).map_err(|_| ArchiveError::gone(&place))
        })
    });
    while let Some(piece) = given.recv().await {
        let name = piece.name.clone();
        let entry = Entry::read(piece).map_err(|why| ArchiveError::Damaged {
            file: file.to_owned(),
            why: format!("entry `{name}`: {why}"),
        })?;
        each(entry).await?;
    }
    reader.await.map_err(|_| ArchiveError::gone(file))?
}
