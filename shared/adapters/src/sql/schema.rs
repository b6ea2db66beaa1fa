//! The schema's versions: one file each, never changed once released.

use std::borrow::Cow;
use std::path::Path;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqliteConnection};

use super::failure::Failure;
use super::sqlite::open_failed;
use crate::open::OpenError;

/// Version, description, statements; ascending.
const SQLITE: [(i64, &str, &str); 2] = [
    (
        1,
        "executions and documents",
        include_str!("migrations/sqlite/0001_executions_and_documents.sql"),
    ),
    (2, "lists", include_str!("migrations/sqlite/0002_lists.sql")),
];

/// Brings a database to the newest schema; refuses one that is newer.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    file: &Path,
) -> Result<(), OpenError> {
    let migrations = SQLITE.map(|(version, description, sql)| {
        let (description, sql) = (Cow::Borrowed(description), sql.into_sql_str());
        Migration::new(version, description, MigrationType::Simple, sql, false)
    });
    let known = SQLITE[SQLITE.len() - 1].0;
    let migrator = Migrator::with_migrations(migrations.to_vec());
    // What `run` does once it has a connection; `run` itself makes a future that cannot be sent
    // between threads.
    let migrated = migrator.run_direct(None, connection, false).await;
    migrated.map_err(|error| {
        let file = file.to_owned();
        if let MigrateError::VersionMissing(found) = error {
            return OpenError::Newer { file, found, known };
        }
        if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
            let failure = Failure::of(error, file.parent().unwrap_or(&file));
            return open_failed(failure, &file, "preparing the database's schema");
        }
        OpenError::Schema { file, known, why: error.to_string() }
    })
}
