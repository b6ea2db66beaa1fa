//! Connects to whichever database it is, again and again.

use super::connection::{Connection, Pool};
use super::failure::{Failure, Place};
use super::postgres::Server;
use super::sqlite::File;

/// Knows where the database is and how to connect to it.
#[derive(Debug, Clone)]
pub(super) enum Connector {
    File(File),
    Server(Box<Server>),
}

impl Connector {
    /// Connects to write.
    pub(super) async fn connect(&self) -> Result<Connection, sqlx::Error> {
        match self {
            Self::File(file) => file.connect().await.map(Connection::Sqlite),
            Self::Server(server) => server.connect().await.map(Box::new).map(Connection::Postgres),
        }
    }

    /// Connections to read, made when they are needed.
    pub(super) fn readers(&self) -> Pool {
        match self {
            Self::File(file) => Pool::Sqlite(file.readers()),
            Self::Server(server) => Pool::Postgres(server.readers()),
        }
    }

    pub(super) fn place(&self) -> Place {
        match self {
            Self::File(file) => file.place(),
            Self::Server(server) => server.place(),
        }
    }

    pub(super) fn failure(&self, error: sqlx::Error) -> Failure {
        Failure::of(error, &self.place())
    }
}
