//! How a PostgreSQL server is reached.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection as _};
use tracing::log::LevelFilter;

use super::connection::{Connection, Row, limited};
use super::failure::Place;
use super::schema;
use super::statement::Sql;
use crate::open::{OpenError, Postgres, ServerError, TlsMode};

pub(super) const READERS_MAX: u32 = 8;
/// How long a read waits for a connection: long enough for a server to start again.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Readers that nobody needs are closed: a server has few connections for all of us.
const READER_IDLE_MAX: Duration = Duration::from_secs(300);
/// Statements differ by what a group writes, of which there are few sorts; see `write.rs`.
const STATEMENTS_KEPT: usize = 256;
/// A statement that takes longer is logged as a warning.
const SLOW_STATEMENT: Duration = Duration::from_secs(1);
/// The oldest server that the statements are tested with has this number or a later one.
const SERVER_VERSION_MIN: i64 = 130_000;

/// Settings of every session.
const SESSION: [(&str, &str); 2] = [
    // The server ends what a process of ours left open that is cut off or stopped: others wait for
    // its locks.
    ("idle_in_transaction_session_timeout", "15s"),
    ("tcp_keepalives_idle", "30"),
];
/// Settings of a session that writes.
const WRITER: [(&str, &str); 7] = [
    // What is acknowledged is on the disk, whatever the server's own setting is.
    ("synchronous_commit", "on"),
    // Planned once: the statements touch rows by key, always in the same way.
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // Less than what a caller of ours waits, so that the server says what was in the way.
    ("lock_timeout", "10s"),
    ("statement_timeout", "25s"),
];
/// Settings of a session that reads.
const READER: [(&str, &str); 2] =
    [("default_transaction_read_only", "on"), ("statement_timeout", "25s")];
/// Settings of a session that copies everything: it takes as long as it takes.
const COPIER: [(&str, &str); 2] =
    [("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "10min")];
/// Settings of a session that changes the schema, which may wait for another that does so.
const SCHEMA: [(&str, &str); 1] = [("lock_timeout", "60s")];

/// Knows where the server is and how to connect to it.
#[derive(Clone)]
pub(super) struct Server {
    options: PgConnectOptions,
    address: Arc<str>,
}

impl Server {
    pub(super) fn new(config: &Postgres) -> Result<Self, OpenError> {
        let bad = |why: String| OpenError::from(ServerError::BadUrl { why });
        let url = config.url.expose_secret();
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(bad("it does not begin with `postgres://`".to_owned()));
        }
        // Its errors do not repeat the URL.
        let options = PgConnectOptions::from_str(url).map_err(|error| bad(without(url, &error)))?;
        let options = secured(options, config, says_tls(url))
            .application_name("capstan")
            .statement_cache_capacity(STATEMENTS_KEPT)
            .log_statements(LevelFilter::Trace)
            .log_slow_statements(LevelFilter::Warn, SLOW_STATEMENT)
            .options(SESSION);
        let address = Arc::from(address(&options));
        Ok(Self { options, address })
    }

    pub(super) fn place(&self) -> Place {
        Place::Server(Arc::clone(&self.address))
    }

    /// Connects for the first time: looks at the server and brings the schema to the newest.
    pub(super) async fn prepare(&self) -> Result<(), OpenError> {
        let options = self.options.clone().options(SCHEMA);
        let connected = limited(options.connect()).await;
        let mut connection = connected.map_err(|error| self.refusal(error, "connecting"))?;
        let mut looking = Connection::Postgres(Box::new(connection));
        let found = looking.fetch(Sql::new(PROBE)).await;
        let checked = found.map_err(|error| self.refusal(error, "looking at the server"))?;
        self.check(&checked)?;
        connection = match looking {
            Connection::Postgres(connection) => *connection,
            Connection::Sqlite(_) => return Ok(()),
        };
        schema::migrate_postgres(&mut connection, &self.address)
            .await
            .map_err(|error| self.schema_refusal(error))?;
        drop(limited(connection.close()).await);
        Ok(())
    }

    /// Connects to write, for the first time.
    pub(super) async fn connect_first(&self) -> Result<PgConnection, OpenError> {
        self.connect().await.map_err(|error| self.refusal(error, "connecting to write"))
    }

    /// Connects to write.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        limited(self.options.clone().options(WRITER).connect()).await
    }

    /// Connects to read everything.
    pub(super) async fn connect_to_look(&self) -> Result<PgConnection, OpenError> {
        let options = self.options.clone().options(READER).options(COPIER);
        let connected = limited(options.connect()).await;
        connected.map_err(|error| self.refusal(error, "connecting to read"))
    }

    /// Connects to write everything.
    pub(super) async fn connect_to_fill(&self) -> Result<PgConnection, OpenError> {
        let options = self.options.clone().options(WRITER).options(COPIER);
        let connected = limited(options.connect()).await;
        connected.map_err(|error| self.refusal(error, "connecting to write"))
    }

    /// Connections to read, made when they are needed.
    pub(super) fn readers(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READ_TIMEOUT)
            .idle_timeout(READER_IDLE_MAX)
            // A read that finds a broken one begins again; asking first would double its trips.
            .test_before_acquire(false)
            .connect_lazy_with(self.options.clone().options(READER))
    }

    fn check(&self, rows: &[Row]) -> Result<(), OpenError> {
        let unreadable = |error| self.refusal(error, "looking at the server");
        let Some(row) = rows.first() else { return Ok(()) };
        let database = || self.address.to_string();
        let version: i64 = row.get("version").map_err(unreadable)?;
        if version < SERVER_VERSION_MIN {
            let (found, needed) = (version / 10_000, SERVER_VERSION_MIN / 10_000);
            return Err(ServerError::TooOld { database: database(), found, needed }.into());
        }
        let encoding: String = row.get("encoding").map_err(unreadable)?;
        if encoding != "UTF8" {
            return Err(ServerError::Encoding { database: database(), found: encoding }.into());
        }
        if row.get("is_read_only").map_err(unreadable)? {
            return Err(ServerError::ReadOnly { database: database() }.into());
        }
        if !row.get::<bool>("syncs").map_err(unreadable)? {
            let database = &self.address;
            tracing::warn!(%database, "the server runs with fsync=off: a crash of its machine loses what was acknowledged");
        }
        Ok(())
    }

    fn refusal(&self, error: sqlx::Error, doing: &'static str) -> OpenError {
        ServerError::of(error, self.address.to_string(), doing).into()
    }

    fn schema_refusal(&self, error: schema::SchemaError) -> OpenError {
        match error {
            schema::SchemaError::Open(error) => error,
            schema::SchemaError::Sql(error) => self.refusal(error, "preparing the schema"),
        }
    }
}

const PROBE: &str = "SELECT current_setting('server_version_num')::bigint AS version, \
     current_setting('server_encoding') AS encoding, \
     pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS is_read_only, \
     current_setting('fsync')::boolean AS syncs";

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options hold the password.
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// TLS as configured; else as the URL says; else with the server's name proven, unless the server is
/// on this machine.
fn secured(options: PgConnectOptions, config: &Postgres, is_said: bool) -> PgConnectOptions {
    let is_here = options.get_socket().is_some()
        || ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&options.get_host())
        || options.get_host().starts_with('/');
    let mode = match config.tls {
        Some(TlsMode::Disable) => Some(PgSslMode::Disable),
        Some(TlsMode::Require) => Some(PgSslMode::Require),
        Some(TlsMode::VerifyCa) => Some(PgSslMode::VerifyCa),
        Some(TlsMode::VerifyFull) => Some(PgSslMode::VerifyFull),
        None if is_said => None,
        None if is_here => Some(PgSslMode::Prefer),
        None => Some(PgSslMode::VerifyFull),
    };
    let options = match mode {
        Some(mode) => options.ssl_mode(mode),
        None => options,
    };
    let options = match &config.tls_ca {
        Some(file) => options.ssl_root_cert(file),
        None => options,
    };
    match &config.tls_client {
        Some(client) => options.ssl_client_cert(&client.certificate).ssl_client_key(&client.key),
        None => options,
    }
}

fn says_tls(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|pair| pair.starts_with("sslmode=") || pair.starts_with("ssl-mode="))
}

/// The address as it may be shown.
fn address(options: &PgConnectOptions) -> String {
    let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
    let database = options.get_database().unwrap_or(user);
    match options.get_socket() {
        Some(socket) => format!("postgres://{user}@/{database}?host={}", socket.display()),
        None => format!("postgres://{user}@{host}:{port}/{database}"),
    }
}

/// What an error says, unless it repeats what is secret.
fn without(url: &str, error: &sqlx::Error) -> String {
    let text = error.to_string();
    if text.contains(url) { "it cannot be read as a URL".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, tls: Option<TlsMode>) -> Server {
        Server::new(&Postgres { tls, ..Postgres::new(url) }).unwrap()
    }

    #[test]
    fn what_is_shown_holds_no_password() {
        let server = server("postgres://app:hunter2@db.example:6000/shop", None);
        assert_eq!(&*server.address, "postgres://app@db.example:6000/shop");
        assert!(!format!("{server:?}").contains("hunter2"));
        let refused = Server::new(&Postgres::new("postgres://app:hunter2@db:port/shop"));
        let error = refused.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn a_server_elsewhere_must_prove_its_name() {
        let mode = |url, tls| format!("{:?}", server(url, tls).options.get_ssl_mode());
        assert_eq!(mode("postgres://db.example/shop", None), "VerifyFull");
        assert_eq!(mode("postgres://127.0.0.1/shop", None), "Prefer");
        assert_eq!(mode("postgres://db.example/shop?sslmode=require", None), "Require");
        let verify = Some(TlsMode::VerifyCa);
        assert_eq!(mode("postgres://db.example/shop?sslmode=disable", verify), "VerifyCa");
    }
}
