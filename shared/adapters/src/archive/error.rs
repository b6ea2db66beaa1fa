use std::io;
use std::path::{Path, PathBuf};

use shared_ports::PortError;

use crate::open::OpenError;

/// Why a backup could not be made, restored or checked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is not whole, or not what was written.
    #[error("backup `{}` is damaged: {why}; use another one", file.display())]
    Damaged {
        /// The backup.
        file: PathBuf,
        /// Which entry, and what is wrong with it.
        why: String,
    },
    /// It is something else.
    #[error("`{}` is no backup of capstan; give the file that `capstan store backup` wrote", file.display())]
    NotOne {
        /// The file.
        file: PathBuf,
    },
    /// A newer version of the product has written it.
    #[error(
        "backup `{}` has format {found}, and this version of capstan knows only up to {known}; use \
         the version that wrote it, or a newer one",
        file.display()
    )]
    Newer {
        /// The backup.
        file: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format known here.
        known: u64,
    },
    /// There is no room for it.
    #[error(
        "no space left on the device of backup `{}`; free some room, or write it elsewhere",
        file.display()
    )]
    Full {
        /// The backup.
        file: PathBuf,
    },
    /// Its file could not be written or read.
    #[error("backup `{}`: {doing} failed", file.display())]
    Io {
        /// The backup.
        file: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// There is nothing to back up.
    #[error("there is no store in {store}; correct where it is, or start capstan there once")]
    NoStore {
        /// Where.
        store: String,
    },
    /// What is restored would mix with what is there.
    #[error(
        "the store in {store} is not empty: it has rows in `{table}`; restore into a new data \
         folder or a new database, or empty this one first"
    )]
    NotEmpty {
        /// Where.
        store: String,
        /// The first table that has rows.
        table: &'static str,
    },
    /// It was made by an older version of the product.
    #[error(
        "the store in {store} has schema version {found}, and this version of capstan writes \
         {known}; start this version on it once, which brings it there, or use the version that \
         wrote it"
    )]
    Older {
        /// Where.
        store: String,
        /// Its schema version.
        found: i64,
        /// The one that this version writes.
        known: i64,
    },
    /// What is stored does not fit together.
    #[error("{place} is not sound: {why}")]
    Unsound {
        /// The store or the backup.
        place: String,
        /// What is wrong, and where.
        why: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl ArchiveError {
    pub(super) fn of_io(error: io::Error, file: &Path, doing: &'static str) -> Self {
        let file = file.to_owned();
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        if full.contains(&error.kind()) {
            return Self::Full { file };
        }
        Self::Io { file, doing, source: error }
    }

    /// Whoever worked on it is gone.
    pub(super) fn gone(file: &Path) -> Self {
        let source = io::Error::other("the work on it ended early");
        Self::Io { file: file.to_owned(), doing: "working on it", source }
    }

    pub(super) fn not_one(file: &Path) -> Self {
        Self::NotOne { file: file.to_owned() }
    }
}
