//! What the errors of databases mean to whoever asked.

mod postgres;
mod sqlite;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use shared_ports::PortError;

/// Where a database is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In this data folder.
    Folder(Arc<Path>),
    /// At this address, which holds no password.
    Server(Arc<str>),
}

/// Why a statement failed, as far as it matters; can be told to everybody who is concerned.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// No room there.
    Full(Place),
    /// Nothing can be written.
    ReadOnly(String),
    /// It is not a sound database.
    Damaged(String),
    /// Another process stored something at the same time: beginning again settles it.
    Race(Arc<sqlx::Error>),
    /// It may work later.
    ForNow(Arc<sqlx::Error>),
    /// What was to be stored cannot be stored.
    Content(String),
    /// Anything else: will not work by itself.
    Other(String),
}

impl Failure {
    /// Understands an error of a database.
    pub(super) fn of(error: sqlx::Error, place: &Place) -> Self {
        // What was written there is not what stands there.
        if let sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } = &error {
            return Self::Damaged(error.to_string());
        }
        match place {
            Place::Folder(folder) => sqlite::failure(error, folder),
            Place::Server(_) => postgres::failure(error, place),
        }
    }

    /// Whether each of several that failed together may succeed alone.
    pub(super) fn may_be_of_one(&self) -> bool {
        matches!(self, Self::Content(_))
    }

    pub(super) fn into_port(self, doing: impl Into<String>) -> PortError {
        let doing = doing.into();
        match self {
            Self::Full(place) => PortError::Full { doing: format!("{doing} in {place}") },
            Self::Race(error) | Self::ForNow(error) => {
                PortError::Unavailable { doing, source: Box::new(error) }
            }
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "`{}`", folder.display()),
            Self::Server(address) => write!(f, "database `{address}`"),
        }
    }
}
