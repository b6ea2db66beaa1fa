//! Reads rows back.

use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use shared_model::{ExecutionId, Status};
use shared_ports::journal::{Head, HistoryEntry, Kind};

use super::connection::Row;
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

pub(super) fn found(row: &Row) -> Result<(ExecutionId, Found), sqlx::Error> {
    let standing = Standing { version: count(row, "version")?, stages: place(row, "stage_count")? };
    let listed = Listed {
        kind: row.get("kind")?,
        application: row.get("application")?,
        name: row.get("name")?,
        pipeline_config_id: row.get("pipeline_config_id")?,
        status: row.get("status")?,
        build_time: row.get("build_time")?,
    };
    let history_count = count(row, "history_count")?;
    Ok((id(row)?, Found { standing, history_count, listed }))
}

pub(super) fn head(row: &Row) -> Result<(ExecutionId, Head), sqlx::Error> {
    let status: String = row.get("status")?;
    let optional = |column| row.get::<Option<i64>>(column)?.map(instant).transpose();
    let kind: i64 = row.get("kind")?;
    let kind = [Kind::Pipeline, Kind::Task].into_iter().find(|known| known.number() == kind);
    let head = Head {
        kind: kind.ok_or_else(|| unreadable("kind", "it is neither 0 nor 1".to_owned()))?,
        application: row.get("application")?,
        name: row.get("name")?,
        pipeline_config_id: row.get("pipeline_config_id")?,
        status: Status::from_str(&status)
            .map_err(|_| unreadable("status", format!("`{status}`")))?,
        build_time: instant(row.get("build_time")?)?,
        start_time: optional("start_time")?,
        end_time: optional("end_time")?,
        state: bytes(row, "state")?,
    };
    Ok((id(row)?, head))
}

/// A line of history and its number.
pub(super) fn entry(row: &Row) -> Result<(u64, HistoryEntry), sqlx::Error> {
    let entry = HistoryEntry {
        at: instant(row.get("at")?)?,
        stage: row.get("stage")?,
        kind: row.get("kind")?,
        text: row.get("message")?,
    };
    Ok((count(row, "number")?, entry))
}

pub(super) fn id(row: &Row) -> Result<ExecutionId, sqlx::Error> {
    Ok(ExecutionId::new(row.get::<String>("id")?))
}

pub(super) fn count(row: &Row, column: &'static str) -> Result<u64, sqlx::Error> {
    let count: i64 = row.get(column)?;
    u64::try_from(count).map_err(|_| unreadable(column, format!("{count} is negative")))
}

/// A stage's place, or how many stages there are.
pub(super) fn place(row: &Row, column: &'static str) -> Result<u32, sqlx::Error> {
    let place: i64 = row.get(column)?;
    u32::try_from(place).map_err(|_| unreadable(column, format!("{place} is no place of a stage")))
}

pub(super) fn bytes(row: &Row, column: &'static str) -> Result<Bytes, sqlx::Error> {
    Ok(Bytes::from(row.get::<Vec<u8>>(column)?))
}

pub(super) fn instant(nanoseconds: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_nanosecond(nanoseconds.into())
        .map_err(|error| unreadable("an instant", error.to_string()))
}

pub(super) fn json<T: DeserializeOwned>(
    row: &Row,
    column: &'static str,
) -> Result<Option<T>, sqlx::Error> {
    let Some(text) = row.get::<Option<&str>>(column)? else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| unreadable(column, error.to_string()))
}

/// A number that SQL knows with a sign.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unreadable(column: &'static str, why: String) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(Unreadable { column, why }))
}
