use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared_ports::PortError;

use crate::folder::is_full;

/// Why a statement failed, as far as it matters; can be told to everybody who is concerned.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// No room in this folder.
    Full(PathBuf),
    /// Nothing can be written.
    ReadOnly(String),
    /// The file is not a sound database.
    Damaged(String),
    /// It may work later.
    ForNow(Arc<sqlx::Error>),
    /// What was to be stored cannot be stored.
    Content(String),
    /// Anything else: will not work by itself.
    Other(String),
}

// Primary result codes of SQLite (sqlite.org/rescode.html): the low byte of the extended ones.
const ERROR: i32 = 1;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
const NOTADB: i32 = 26;

impl Failure {
    /// Understands an error of a database in `folder`.
    pub(super) fn of(error: sqlx::Error, folder: &Path) -> Self {
        // What was written there is not what stands there.
        if let sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } = &error {
            return Self::Damaged(error.to_string());
        }
        let Some(code) = primary_code(&error) else {
            return Self::ForNow(Arc::new(error));
        };
        let text = error.to_string();
        match code {
            FULL => Self::Full(folder.to_owned()),
            // SQLite has no word of its own for no room in its shared memory file.
            IOERR | CANTOPEN if is_full(folder) => Self::Full(folder.to_owned()),
            IOERR | CANTOPEN | BUSY | LOCKED | NOMEM => Self::ForNow(Arc::new(error)),
            READONLY => Self::ReadOnly(text),
            CORRUPT | NOTADB => Self::Damaged(text),
            TOOBIG | CONSTRAINT | MISMATCH | ERROR => Self::Content(text),
            _ => Self::Other(text),
        }
    }

    /// Whether each of several that failed together may succeed alone.
    pub(super) fn may_be_of_one(&self) -> bool {
        matches!(self, Self::Content(_))
    }

    pub(super) fn into_port(self, doing: impl Into<String>) -> PortError {
        let doing = doing.into();
        match self {
            Self::Full(folder) => {
                PortError::Full { doing: format!("{doing} in `{}`", folder.display()) }
            }
            Self::ForNow(error) => PortError::Unavailable { doing, source: Box::new(error) },
            Self::ReadOnly(why) => {
                PortError::Refused { doing, why: format!("{why}; make the data folder writable") }
            }
            Self::Damaged(why) => PortError::Refused {
                doing,
                why: format!("the database is damaged: {why}; stop, and put back a copy of it"),
            },
            Self::Content(why) | Self::Other(why) => PortError::Refused { doing, why },
        }
    }
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
