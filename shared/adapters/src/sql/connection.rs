//! Connections, whichever database is behind them.

use std::future::Future;
use std::io;
use std::time::Duration;

use sqlx::postgres::{PgPool, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Connection as _, Decode, PgConnection, Row as _, SqliteConnection, SqlitePool, Type};

use super::postgres::{READ_TIMEOUT, READERS_MAX};
use super::statement::{Dialect, Sql};

/// How long a server may take to answer one statement; without a limit, one that is cut off from
/// us would be waited for until the kernel gives up.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How often a read begins again on another connection: once for each that the pool may hold, all
/// of which a restart of the server breaks.
const READ_AGAIN_MAX: u32 = READERS_MAX + 1;

/// A connection to write.
#[derive(Debug)]
pub(super) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>),
}

/// Connections to read.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A row that was read.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Connection {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let sql = match self.dialect() {
            // Locked at once: a lock that is asked for later may be refused.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        self.simple(sql).await
    }

    /// Begins to read one state of the database.
    pub(super) async fn begin_snapshot(&mut self) -> Result<(), sqlx::Error> {
        let sql = match self.dialect() {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.simple(sql).await
    }

    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.simple("COMMIT").await
    }

    pub(super) async fn fetch(&mut self, sql: Sql<'_>) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(connection) => {
                let rows = sql.sqlite().fetch_all(connection).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(connection) => {
                let rows = limited(sql.postgres().fetch_all(&mut **connection)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    pub(super) async fn execute(&mut self, sql: Sql<'_>) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sql.sqlite().execute(connection).await.map(drop),
            Self::Postgres(connection) => {
                limited(sql.postgres().execute(&mut **connection)).await.map(drop)
            }
        }
    }

    /// Closes a connection in good order.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => limited((*connection).close()).await,
        }
    }

    /// Rolls back and lets go, in whatever state the connection is.
    pub(super) async fn abandon(self) {
        match self {
            Self::Sqlite(connection) => drop(connection.close().await),
            // The server rolls back once it sees that we are gone; it may not answer.
            Self::Postgres(connection) => drop(connection),
        }
    }

    async fn simple(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop),
            Self::Postgres(connection) => {
                limited(sqlx::raw_sql(sql).execute(&mut **connection)).await.map(drop)
            }
        }
    }
}

impl Pool {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Reads with the statement that `sql` makes. One statement sees one state of the database.
    pub(super) async fn fetch<'a>(
        &self,
        sql: impl Fn() -> Sql<'a> + Send,
    ) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => {
                let rows = sql().sqlite().fetch_all(pool).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(pool) => {
                let mut again = 0;
                loop {
                    match read(pool, sql()).await {
                        Err(error) if was_lost(&error) && again < READ_AGAIN_MAX => again += 1,
                        read => return read,
                    }
                }
            }
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

async fn read(pool: &PgPool, sql: Sql<'_>) -> Result<Vec<Row>, sqlx::Error> {
    let mut connection = pool.acquire().await.map_err(explain)?;
    let read = limited(sql.postgres().fetch_all(&mut *connection)).await;
    if read.as_ref().is_err_and(|error| was_lost(error) || is_timeout(error)) {
        // What an answer that nobody waits for any more is mixed up with is not worth knowing.
        drop(connection.detach());
    }
    Ok(read?.into_iter().map(Row::Postgres).collect())
}

/// Says what it means that the pool had no connection to lend.
fn explain(error: sqlx::Error) -> sqlx::Error {
    if let sqlx::Error::PoolTimedOut = error {
        let seconds = READ_TIMEOUT.as_secs();
        let why = format!(
            "no connection within {seconds} s: the server is down or has none left, or all of ours \
             are busy"
        );
        return sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, why));
    }
    error
}

/// Whether a connection is of no more use, while another one may be.
pub(super) fn was_lost(error: &sqlx::Error) -> bool {
    let ended = |code: &str| ["57P01", "57P02", "57P05"].contains(&code) || code.starts_with("08");
    match error.as_database_error() {
        Some(error) => error.code().is_some_and(|code| ended(&code)),
        // What took too long takes no shorter on another connection.
        None if is_timeout(error) => false,
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
    }
}

fn is_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Waits for a server, but not for ever.
pub(super) async fn limited<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>> + Send,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER_MAX, answer).await.unwrap_or_else(|_| {
        let why = format!("the server did not answer within {} s", ANSWER_MAX.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, why)))
    })
}

impl Row {
    pub(super) fn get<'r, T>(&'r self, column: &str) -> Result<T, sqlx::Error>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}
