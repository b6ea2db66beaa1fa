mod server;

use std::io;
use std::path::{Path, PathBuf};

pub use self::server::ServerError;
use shared_ports::PortError;

use crate::folder::is_full;

/// Why what is behind the ports cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "data folder `{}` is in use by {}; wait until that ends, or choose another data folder",
        folder.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The data folder.
        folder: PathBuf,
        /// Who has it, if that could be read.
        pid: Option<u32>,
    },
    /// It belongs to another user.
    #[error(
        "data folder `{}` belongs to user {owner}, and this process runs as user {me}; run as its \
         owner, give it to user {me}, or choose another data folder",
        folder.display()
    )]
    OfAnother {
        /// The data folder.
        folder: PathBuf,
        /// The owner's user id.
        owner: u32,
        /// Our user id.
        me: u32,
    },
    /// Nothing can be written there.
    #[error(
        "data folder `{}` cannot be written to: {why}; make it writable, or choose another data \
         folder",
        folder.display()
    )]
    NotWritable {
        /// The data folder.
        folder: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Something else has its name, or that of a folder above it.
    #[error(
        "data folder `{}` cannot be made: it, or a folder above it, is a file; choose another data \
         folder, or move that file away",
        folder.display()
    )]
    NotAFolder {
        /// The data folder.
        folder: PathBuf,
    },
    /// There is no room.
    #[error(
        "no space left on the device of data folder `{}`; free some room and start again",
        folder.display()
    )]
    Full {
        /// The data folder.
        folder: PathBuf,
    },
    /// The database file is not a sound database.
    #[error(
        "database `{}` is damaged: {why}; put back a copy of it, or move it away to begin anew",
        file.display()
    )]
    Damaged {
        /// The database file.
        file: PathBuf,
        /// What SQLite said.
        why: String,
    },
    /// A newer version of the product has written it.
    #[error(
        "database `{database}` has schema version {found}, and this version of capstan knows only up \
         to {known}; use the version that wrote it, or a newer one"
    )]
    Newer {
        /// The database file, or its address on a server.
        database: String,
        /// Its schema version.
        found: i64,
        /// The newest schema version known here.
        known: i64,
    },
    /// The schema is not one that any version of the product has made.
    #[error(
        "database `{database}` cannot be brought to schema version {known}: {why}; put back a copy \
         of it, or move it away to begin anew"
    )]
    Schema {
        /// The database file, or its address on a server.
        database: String,
        /// The newest schema version known here.
        known: i64,
        /// What is wrong.
        why: String,
    },
    /// A database on a server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// RabbitMQ or Redis.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Anything else.
    #[error("opening data folder `{}` failed, {doing}", folder.display())]
    Io {
        /// The data folder.
        folder: PathBuf,
        /// What was being done, e.g. `creating it`.
        doing: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OpenError {
    /// Whether it may go away without anybody doing anything about it here.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Server(error) => error.may_pass(),
            Self::Port(PortError::Unavailable { .. } | PortError::Full { .. }) => true,
            Self::Port(PortError::Refused { .. })
            | Self::InUse { .. }
            | Self::OfAnother { .. }
            | Self::NotWritable { .. }
            | Self::NotAFolder { .. }
            | Self::Full { .. }
            | Self::Damaged { .. }
            | Self::Newer { .. }
            | Self::Schema { .. }
            | Self::Io { .. } => false,
        }
    }

    /// The variant that an error of the file system stands for.
    pub(crate) fn of_io(error: io::Error, folder: &Path, doing: &'static str) -> Self {
        let kind = error.kind();
        let folder = folder.to_owned();
        let not_writable = [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem];
        if [io::ErrorKind::NotADirectory, io::ErrorKind::AlreadyExists].contains(&kind) {
            return Self::NotAFolder { folder };
        }
        if not_writable.contains(&kind) {
            return Self::NotWritable { folder, why: error.to_string() };
        }
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        if full.contains(&kind) || is_full(&folder) {
            return Self::Full { folder };
        }
        Self::Io { folder, doing, source: Box::new(error) }
    }
}
