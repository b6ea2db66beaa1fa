//! What retention asks: which lines there are, what of them is too old, how much there is.
//!
//! Lines are gone through from one to the next in an index, past all that lies between; the old ones
//! of a line are read from an index alone.

use shared_model::{ExecutionId, Status};
use shared_ports::journal::{Kind, Line, Outlived, Size, Version};
use strum::IntoEnumIterator;

use super::connection::Row;
use super::rows;
use super::search::PIPELINE;
use super::statement::{Dialect, Sql};

/// The next line of the application of another one.
pub(super) fn next_in_application(after: &Line) -> Sql<'_> {
    let mut sql = first_of(after.kind);
    sql.push(" AND application_key = ").bind(after.application.as_str());
    sql.push(format_args!(" AND {PIPELINE} > ")).bind(after.pipeline.as_deref());
    sql.push(format_args!(" ORDER BY {PIPELINE} LIMIT 1"));
    sql
}

/// The first line of the application after another one's; of the first application after none.
pub(super) fn first_of_next(kind: Kind, after: Option<&Line>) -> Sql<'_> {
    let mut sql = first_of(kind);
    if let Some(after) = after {
        sql.push(" AND application_key > ").bind(after.application.as_str());
    }
    sql.push(format_args!(" ORDER BY application_key, {PIPELINE} LIMIT 1"));
    sql
}

fn first_of(kind: Kind) -> Sql<'static> {
    let mut sql = Sql::new(format!(
        "SELECT application_key, {PIPELINE} AS pipeline FROM execution WHERE kind = "
    ));
    sql.bind(kind.number());
    sql
}

/// Reads what they find.
pub(super) fn line(kind: Kind, found: &[Row]) -> Result<Option<Line>, sqlx::Error> {
    let Some(row) = found.first() else { return Ok(None) };
    let pipeline = match kind {
        Kind::Pipeline => Some(row.get("pipeline")?),
        Kind::Task => None,
    };
    Ok(Some(Line { kind, application: row.get("application_key")?, pipeline }))
}

/// The executions of a line that have ended, without the newest.
pub(super) fn outlived<'a>(
    dialect: Dialect,
    line: &'a Line,
    outlived: &Outlived,
    until: i64,
) -> Sql<'a> {
    let no_limit = match dialect {
        Dialect::Sqlite => "-1",
        Dialect::Postgres => "ALL",
    };
    let mut sql =
        Sql::new("SELECT id, version FROM execution WHERE id IN (SELECT id FROM execution ");
    sql.push("WHERE kind = ").bind(line.kind.number());
    sql.push(" AND application_key = ").bind(line.application.as_str());
    if let Some(pipeline) = &line.pipeline {
        sql.push(format_args!(" AND {PIPELINE} = ")).bind(pipeline.as_str());
    }
    let complete = Status::iter().filter(|status| status.is_complete());
    let complete = complete.map(|status| -> &'a str { status.name() });
    sql.push(" AND status IN (").bind_all(complete).push(")");
    // The plus keeps an index away that has this order, but holds all of the application.
    sql.push(format_args!(" ORDER BY +build_time DESC, id DESC LIMIT {no_limit} OFFSET "));
    sql.bind(outlived.kept).push(") AND build_time < ").bind(until);
    sql.push(" ORDER BY build_time, id LIMIT ").bind(outlived.limit);
    sql
}

/// Reads what it finds.
pub(super) fn listed(found: &[Row]) -> Result<Vec<(ExecutionId, Version)>, sqlx::Error> {
    found.iter().map(|row| Ok((rows::id(row)?, rows::count(row, "version")?))).collect()
}

/// Removed executions that are noted.
pub(super) fn removed(until: i64, limit: u32) -> Sql<'static> {
    let mut sql = Sql::new("SELECT execution AS id FROM removed WHERE removed_at < ");
    sql.bind(until).push(" ORDER BY removed_at, execution LIMIT ").bind(limit);
    sql
}

/// Blobs that one statement asks for.
pub(super) const BLOBS_MAX: usize = 32;

/// Those of some blobs to which an execution refers.
pub(super) fn blobs_in_use(of: &[String]) -> Sql<'_> {
    let mut sql = Sql::new("SELECT DISTINCT sha256 FROM execution_blob WHERE sha256 IN (");
    sql.bind_all(of.iter().map(String::as_str)).push(")");
    // Whoever does not know of this table leaves what is in it.
    sql.push(" AND EXISTS (SELECT 1 FROM execution WHERE id = execution_blob.execution)");
    sql
}

/// Reads what it finds.
pub(super) fn names(found: &[Row]) -> Result<Vec<String>, sqlx::Error> {
    found.iter().map(|row| row.get("sha256")).collect()
}

/// How much there is.
pub(super) fn size(dialect: Dialect) -> Sql<'static> {
    let bytes = match dialect {
        Dialect::Sqlite => {
            "(SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())"
        }
        Dialect::Postgres => "pg_database_size(current_database())",
    };
    Sql::new(format!("SELECT (SELECT count(*) FROM execution) AS executions, {bytes} AS bytes"))
}

/// Reads what it finds.
pub(super) fn sized(found: &[Row]) -> Result<Size, sqlx::Error> {
    let row = found.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(Size { executions: rows::count(row, "executions")?, bytes: rows::count(row, "bytes")? })
}
