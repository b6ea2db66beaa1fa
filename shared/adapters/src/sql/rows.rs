//! Reads rows back.

use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use shared_model::{ExecutionId, Status};
use shared_ports::journal::{Head, HistoryEntry, Kind};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::group::Found;
use super::prepare::Listed;
use crate::standing::Standing;

/// The columns that [`found`] reads.
pub(super) const FOUND: &str = "id, version, stage_count, history_count, kind, application, \
     name, pipeline_config_id, status, build_time";
/// The columns that [`head`] reads.
pub(super) const HEAD: &str = "id, kind, application, name, pipeline_config_id, status, build_time, \
     start_time, end_time, state";

/// What stands in a column is not what was ever written there.
#[derive(Debug, thiserror::Error)]
#[error("column `{column}` holds what this version cannot read: {why}")]
struct Unreadable {
    column: &'static str,
    why: String,
}

pub(super) fn found(row: &SqliteRow) -> Result<(ExecutionId, Found), sqlx::Error> {
    let standing =
        Standing { version: count(row, "version")?, stages: row.try_get("stage_count")? };
    let listed = Listed {
        kind: row.try_get("kind")?,
        application: row.try_get("application")?,
        name: row.try_get("name")?,
        pipeline_config_id: row.try_get("pipeline_config_id")?,
        status: row.try_get("status")?,
        build_time: row.try_get("build_time")?,
    };
    let history_count = count(row, "history_count")?;
    Ok((id(row)?, Found { standing, history_count, listed }))
}

pub(super) fn head(row: &SqliteRow) -> Result<(ExecutionId, Head), sqlx::Error> {
    let status: String = row.try_get("status")?;
    let optional = |column| row.try_get::<Option<i64>, _>(column)?.map(instant).transpose();
    let kind: i64 = row.try_get("kind")?;
    let kind = [Kind::Pipeline, Kind::Task].into_iter().find(|known| known.number() == kind);
    let head = Head {
        kind: kind.ok_or_else(|| unreadable("kind", "it is neither 0 nor 1".to_owned()))?,
        application: row.try_get("application")?,
        name: row.try_get("name")?,
        pipeline_config_id: row.try_get("pipeline_config_id")?,
        status: Status::from_str(&status)
            .map_err(|_| unreadable("status", format!("`{status}`")))?,
        build_time: instant(row.try_get("build_time")?)?,
        start_time: optional("start_time")?,
        end_time: optional("end_time")?,
        state: bytes(row, "state")?,
    };
    Ok((id(row)?, head))
}

/// A line of history and its number.
pub(super) fn entry(row: &SqliteRow) -> Result<(u64, HistoryEntry), sqlx::Error> {
    let entry = HistoryEntry {
        at: instant(row.try_get("at")?)?,
        stage: row.try_get("stage")?,
        kind: row.try_get("kind")?,
        text: row.try_get("message")?,
    };
    Ok((count(row, "number")?, entry))
}

pub(super) fn id(row: &SqliteRow) -> Result<ExecutionId, sqlx::Error> {
    Ok(ExecutionId::new(row.try_get::<String, _>("id")?))
}

pub(super) fn count(row: &SqliteRow, column: &'static str) -> Result<u64, sqlx::Error> {
    let count: i64 = row.try_get(column)?;
    u64::try_from(count).map_err(|_| unreadable(column, format!("{count} is negative")))
}

pub(super) fn bytes(row: &SqliteRow, column: &'static str) -> Result<Bytes, sqlx::Error> {
    Ok(Bytes::from(row.try_get::<Vec<u8>, _>(column)?))
}

pub(super) fn instant(nanoseconds: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_nanosecond(nanoseconds.into())
        .map_err(|error| unreadable("an instant", error.to_string()))
}

pub(super) fn json<T: DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<T>, sqlx::Error> {
    let Some(text) = row.try_get::<Option<&str>, _>(column)? else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| unreadable(column, error.to_string()))
}

/// A number that SQL knows with a sign.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unreadable(column: &'static str, why: String) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(Unreadable { column, why }))
}
