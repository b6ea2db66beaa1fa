use std::io;

/// Why a database on a server cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The URL is none.
    #[error(
        "the store's URL is wrong: {why}; it reads `postgres://user:password@host:port/database`"
    )]
    BadUrl {
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers.
    #[error(
        "no PostgreSQL server answers at `{database}`: {why}; start it, or correct the host and the \
         port of the store's URL"
    )]
    NoServer {
        /// Its address.
        database: String,
        /// What the system said.
        why: String,
    },
    /// The password is wrong, or there is no such user, or the user may not come from here.
    #[error(
        "the server of `{database}` refused to let us in: {why}; correct the user and the password \
         of the store's URL, or let this machine in with a line in the server's pg_hba.conf"
    )]
    NotLetIn {
        /// Its address.
        database: String,
        /// What the server said.
        why: String,
    },
    /// It is not there.
    #[error(
        "there is no such database: `{database}`; make it with `CREATE DATABASE`, or correct the \
         store's URL"
    )]
    NoDatabase {
        /// Its address.
        database: String,
    },
    /// Tables cannot be made.
    #[error(
        "the user of database `{database}` may not make tables: {why}; make it the owner of the \
         database, or `GRANT CREATE, USAGE ON SCHEMA public` to it"
    )]
    NoRights {
        /// Its address.
        database: String,
        /// What the server said.
        why: String,
    },
    /// There is no room.
    #[error(
        "no space left on the device of database `{database}`; free some room there and start again"
    )]
    Full {
        /// Its address.
        database: String,
    },
    /// Nothing can be written.
    #[error(
        "database `{database}` is read-only: the server is a standby, or \
         `default_transaction_read_only` is on; connect to the primary"
    )]
    ReadOnly {
        /// Its address.
        database: String,
    },
    /// Others have all of them.
    #[error(
        "the server of `{database}` has no connection left: {why}; end some, or raise its \
         `max_connections` (each of our processes takes up to 9)"
    )]
    NoConnectionLeft {
        /// Its address.
        database: String,
        /// What the server said.
        why: String,
    },
    /// No protected connection comes about.
    #[error(
        "no protected connection to `{database}`: {why}; correct the certificates, or say with \
         `sslmode` in the store's URL how far the server is trusted"
    )]
    Tls {
        /// Its address.
        database: String,
        /// What is wrong.
        why: String,
    },
    /// Statements of ours do not run there.
    #[error("the server of `{database}` is PostgreSQL {found}; {needed} or newer is needed")]
    TooOld {
        /// Its address.
        database: String,
        /// Its major version.
        found: i64,
        /// The oldest that does.
        needed: i64,
    },
    /// It cannot hold every text.
    #[error(
        "database `{database}` has the encoding {found}, which cannot hold every text; make one with \
         `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`"
    )]
    Encoding {
        /// Its address.
        database: String,
        /// Its encoding.
        found: String,
    },
    /// It may work later.
    #[error("opening database `{database}` failed for now, {doing}")]
    Unavailable {
        /// Its address.
        database: String,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ServerError {
    /// Whether it may go away without anybody doing anything about it here.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            // A standby may be about to take over.
            Self::NoServer { .. }
            | Self::ReadOnly { .. }
            | Self::NoConnectionLeft { .. }
            | Self::Full { .. }
            | Self::Unavailable { .. } => true,
            Self::BadUrl { .. }
            | Self::NotLetIn { .. }
            | Self::NoDatabase { .. }
            | Self::NoRights { .. }
            | Self::Tls { .. }
            | Self::TooOld { .. }
            | Self::Encoding { .. } => false,
        }
    }

    /// Understands an error of a statement or of a connection.
    pub(crate) fn of(error: sqlx::Error, database: String, doing: &'static str) -> Self {
        let why = error.to_string();
        if let Some(code) = error.as_database_error().and_then(|error| error.code()) {
            return match &*code {
                "28000" | "28P01" => Self::NotLetIn { database, why: message(&error) },
                "3D000" => Self::NoDatabase { database },
                "42501" | "3F000" => Self::NoRights { database, why: message(&error) },
                "53100" => Self::Full { database },
                "25006" => Self::ReadOnly { database },
                "53300" => Self::NoConnectionLeft { database, why: message(&error) },
                _ => Self::Unavailable { database, doing, source: Box::new(error) },
            };
        }
        if let sqlx::Error::Tls(_) = error {
            return Self::Tls { database, why: cause(&error) };
        }
        if let sqlx::Error::Io(error) = error {
            let why = error.to_string();
            // What the TLS library refuses reads as data that is not valid.
            if error.kind() == io::ErrorKind::InvalidData {
                return Self::Tls { database, why };
            }
            return Self::NoServer { database, why };
        }
        if let sqlx::Error::Configuration(_) = error {
            return Self::BadUrl { why };
        }
        Self::Unavailable { database, doing, source: Box::new(error) }
    }
}

/// What is behind an error of sqlx's, in one line.
fn cause(error: &sqlx::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

/// What the server said, without what sqlx says around it.
fn message(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(String::new, |error| error.message().to_owned())
}
