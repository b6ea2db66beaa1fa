//! The schema's versions: one file each, never changed once released.

use std::borrow::Cow;
use std::path::Path;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{PgConnection, SqlSafeStr, SqliteConnection};

use crate::open::OpenError;

/// One version of the schema.
struct Version {
    number: i64,
    description: &'static str,
    /// The oldest version whose programs may go on, and start, beside this one: a change that only
    /// adds what they leave alone keeps it; one that takes something away raises it. That is what
    /// lets an upgrade roll from process to process, and back.
    beside: i64,
    sql: &'static str,
}

/// Ascending.
const SQLITE: [Version; 4] = [
    Version {
        number: 1,
        description: "executions and documents",
        beside: 1,
        sql: include_str!("migrations/sqlite/0001_executions_and_documents.sql"),
    },
    Version {
        number: 2,
        description: "lists",
        beside: 1,
        sql: include_str!("migrations/sqlite/0002_lists.sql"),
    },
    Version {
        number: 3,
        description: "removed executions",
        beside: 1,
        sql: include_str!("migrations/sqlite/0003_removed.sql"),
    },
    Version {
        number: 4,
        description: "blobs of executions",
        beside: 1,
        sql: include_str!("migrations/sqlite/0004_blobs.sql"),
    },
];
/// Ascending. Versions are counted for each dialect on its own.
const POSTGRES: [Version; 3] = [
    Version {
        number: 1,
        description: "executions and documents",
        beside: 1,
        sql: include_str!("migrations/postgres/0001_executions_and_documents.sql"),
    },
    Version {
        number: 2,
        description: "removed executions",
        beside: 1,
        sql: include_str!("migrations/postgres/0002_removed.sql"),
    },
    Version {
        number: 3,
        description: "blobs of executions",
        beside: 1,
        sql: include_str!("migrations/postgres/0003_blobs.sql"),
    },
];

/// What stands before [`Version::beside`] in the description that a database keeps.
const BESIDE: &str = "; beside ";
/// The newest version that a database has, and its description.
const NEWEST: &str = "SELECT version, description FROM _sqlx_migrations \
                      ORDER BY version DESC LIMIT 1";

/// The newest version for SQLite.
pub(super) const SQLITE_NEWEST: i64 = SQLITE[SQLITE.len() - 1].number;
/// The newest version for PostgreSQL.
pub(super) const POSTGRES_NEWEST: i64 = POSTGRES[POSTGRES.len() - 1].number;

/// Why a schema could not be brought to the newest version.
pub(super) enum SchemaError {
    /// It is not one of ours.
    Open(OpenError),
    /// A statement failed.
    Sql(sqlx::Error),
}

/// Brings a database to the newest schema; refuses a newer one that leaves no room beside it.
pub(super) async fn migrate_sqlite(
    connection: &mut SqliteConnection,
    file: &Path,
) -> Result<(), SchemaError> {
    let database = file.display().to_string();
    migrate(connection, &SQLITE, &database).await?;
    let newest = sqlx::query_as(NEWEST).fetch_one(connection).await.map_err(SchemaError::Sql)?;
    check_newest(newest, SQLITE_NEWEST, database)
}

/// Brings a database to the newest schema; refuses a newer one that leaves no room beside it.
/// Several may ask for it at once: an advisory lock lets one after the other look.
pub(super) async fn migrate_postgres(
    connection: &mut PgConnection,
    address: &str,
) -> Result<(), SchemaError> {
    migrate(connection, &POSTGRES, address).await?;
    let newest = sqlx::query_as(NEWEST).fetch_one(connection).await.map_err(SchemaError::Sql)?;
    check_newest(newest, POSTGRES_NEWEST, address.to_owned())
}

/// Versions that are not known here are left as they are.
async fn migrate<C: Migrate>(
    connection: &mut C,
    versions: &[Version],
    database: &str,
) -> Result<(), SchemaError> {
    let migrations = versions.iter().map(|version| {
        let description = Cow::Owned(format!("{}{BESIDE}{}", version.description, version.beside));
        let sql = version.sql.into_sql_str();
        Migration::new(version.number, description, MigrationType::Simple, sql, false)
    });
    let known = versions.last().map_or(0, |version| version.number);
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.set_ignore_missing(true);
    // What `run` does once it has a connection; `run` itself makes a future that cannot be sent
    // between threads.
    let migrated = migrator.run_direct(None, connection, false).await;
    migrated.map_err(|error| {
        if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
            return SchemaError::Sql(error);
        }
        let why = error.to_string();
        SchemaError::Open(OpenError::Schema { database: database.to_owned(), known, why })
    })
}

/// A newer program may have been here already, and says by its last version who may stay.
fn check_newest(
    (found, description): (i64, String),
    known: i64,
    database: String,
) -> Result<(), SchemaError> {
    let beside = description.rsplit_once(BESIDE).and_then(|(_, oldest)| oldest.parse().ok());
    if found > known && beside.is_none_or(|oldest: i64| oldest > known) {
        return Err(SchemaError::Open(OpenError::Newer { database, found, known }));
    }
    if found > known {
        tracing::info!(found, known, "a newer schema, which this version can go on with");
    }
    Ok(())
}
