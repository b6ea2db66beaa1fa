//! The schema's versions: one file each, never changed once released.

use std::borrow::Cow;
use std::path::Path;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{PgConnection, SqlSafeStr, SqliteConnection};

use crate::open::OpenError;

/// Version, description, statements.
type Version = (i64, &'static str, &'static str);

/// Ascending.
const SQLITE: [Version; 2] = [
    (
        1,
        "executions and documents",
        include_str!("migrations/sqlite/0001_executions_and_documents.sql"),
    ),
    (2, "lists", include_str!("migrations/sqlite/0002_lists.sql")),
];
/// Ascending. Versions are counted for each dialect on its own.
const POSTGRES: [Version; 1] = [(
    1,
    "executions and documents",
    include_str!("migrations/postgres/0001_executions_and_documents.sql"),
)];

/// The newest version for SQLite.
pub(super) const SQLITE_NEWEST: i64 = SQLITE[SQLITE.len() - 1].0;
/// The newest version for PostgreSQL.
pub(super) const POSTGRES_NEWEST: i64 = POSTGRES[POSTGRES.len() - 1].0;

/// Why a schema could not be brought to the newest version.
pub(super) enum SchemaError {
    /// It is not one of ours.
    Open(OpenError),
    /// A statement failed.
    Sql(sqlx::Error),
}

/// Brings a database to the newest schema; refuses one that is newer.
pub(super) async fn migrate_sqlite(
    connection: &mut SqliteConnection,
    file: &Path,
) -> Result<(), SchemaError> {
    migrate(connection, &SQLITE, &file.display().to_string()).await
}

/// Brings a database to the newest schema; refuses one that is newer. Several may ask for it at
/// once: an advisory lock lets one after the other look.
pub(super) async fn migrate_postgres(
    connection: &mut PgConnection,
    address: &str,
) -> Result<(), SchemaError> {
    migrate(connection, &POSTGRES, address).await
}

async fn migrate<C: Migrate>(
    connection: &mut C,
    versions: &[Version],
    database: &str,
) -> Result<(), SchemaError> {
    let migrations = versions.iter().map(|(version, description, sql)| {
        let (description, sql) = (Cow::Borrowed(*description), sql.into_sql_str());
        Migration::new(*version, description, MigrationType::Simple, sql, false)
    });
    let known = versions.last().map_or(0, |(version, _, _)| *version);
    let migrator = Migrator::with_migrations(migrations.collect());
    // What `run` does once it has a connection; `run` itself makes a future that cannot be sent
    // between threads.
    let migrated = migrator.run_direct(None, connection, false).await;
    migrated.map_err(|error| {
        let database = database.to_owned();
        if let MigrateError::VersionMissing(found) = error {
            return SchemaError::Open(OpenError::Newer { database, found, known });
        }
        if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
            return SchemaError::Sql(error);
        }
        SchemaError::Open(OpenError::Schema { database, known, why: error.to_string() })
    })
}
