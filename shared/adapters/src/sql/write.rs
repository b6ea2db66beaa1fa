//! The statements that write.

use std::collections::{BTreeMap, BTreeSet};

use shared_model::{ExecutionId, Status};
use shared_ports::documents::Changed;
use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::group::{ExecutionRow, Found, Group};
use super::prepare::PreparedChange;
use super::rows::{self, FOUND, signed};

/// Rows that one statement takes. Each number of rows is a statement of its own to prepare, so
/// there must be few of them; and a trip to the connection is to be shared by many rows.
const ROWS_MAX: usize = 32;

type RowOf<'a> = Separated<'a, Sqlite, &'static str>;

/// What is stored of these executions.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    executions: &BTreeSet<&ExecutionId>,
) -> Result<BTreeMap<ExecutionId, Found>, sqlx::Error> {
    let executions: Vec<_> = executions.iter().collect();
    let mut all = BTreeMap::new();
    for some in executions.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::new(format!("SELECT {FOUND} FROM execution WHERE id IN ("));
        let mut ids = query.separated(", ");
        for id in some {
            ids.push_bind(id.as_str());
        }
        query.push(")");
        for row in query.build().fetch_all(&mut *connection).await? {
            all.extend([rows::found(&row)?]);
        }
    }
    Ok(all)
}

/// Writes a group's rows.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    group: &Group,
) -> Result<(), sqlx::Error> {
    let (listed, others): (Vec<_>, Vec<_>) =
        group.executions.iter().partition(|(id, row)| group.is_listed_anew(id, row));
    put(
        connection,
        "INSERT INTO execution (id, version, stage_count, history_count, kind, application, \
         application_key, name, pipeline_config_id, status, is_complete, build_time, start_time, \
         end_time, state) ",
        &listed,
        |row, (id, execution)| bind_whole(row, id, execution),
        " ON CONFLICT (id) DO UPDATE SET version = excluded.version, \
         stage_count = excluded.stage_count, history_count = excluded.history_count, \
         kind = excluded.kind, application = excluded.application, application_key = excluded.application_key, \
         name = excluded.name, pipeline_config_id = excluded.pipeline_config_id, \
         status = excluded.status, is_complete = excluded.is_complete, \
         build_time = excluded.build_time, start_time = excluded.start_time, \
         end_time = excluded.end_time, state = excluded.state",
    )
    .await?;
    put(
        connection,
        "WITH fresh (id, version, stage_count, history_count, start_time, end_time, state) AS (",
        &others,
        |row, (id, execution)| bind_unlisted(row, id, execution),
        ") UPDATE execution SET version = fresh.version, stage_count = fresh.stage_count, \
         history_count = fresh.history_count, start_time = fresh.start_time, \
         end_time = fresh.end_time, state = fresh.state FROM fresh WHERE execution.id = fresh.id",
    )
    .await?;
    write_parts(connection, group).await
}

async fn write_parts(connection: &mut SqliteConnection, group: &Group) -> Result<(), sqlx::Error> {
    put(
        connection,
        "INSERT INTO execution_document (execution, document) ",
        &Vec::from_iter(&group.documents),
        |mut row, (id, document)| {
            row.push_bind(id.as_str()).push_bind((*document).clone());
        },
        " ON CONFLICT (execution) DO UPDATE SET document = excluded.document",
    )
    .await?;
    put(
        connection,
        "INSERT INTO stage (execution, place, state) ",
        &Vec::from_iter(&group.stages),
        |mut row, ((id, place), state)| {
            row.push_bind(id.as_str()).push_bind(*place).push_bind(&state[..]);
        },
        " ON CONFLICT (execution, place) DO UPDATE SET state = excluded.state",
    )
    .await?;
    put(
        connection,
        "INSERT INTO stage_body (execution, place, body) ",
        &Vec::from_iter(&group.bodies),
        |mut row, ((id, place), body)| {
            row.push_bind(id.as_str()).push_bind(*place).push_bind((*body).clone());
        },
        " ON CONFLICT (execution, place) DO UPDATE SET body = excluded.body",
    )
    .await?;
    put(
        connection,
        "INSERT INTO history (execution, number, at, stage, kind, message) ",
        &Vec::from_iter(&group.history),
        |mut row, ((id, number), entry)| {
            row.push_bind(id.as_str()).push_bind(signed(*number)).push_bind(entry.at);
            row.push_bind(entry.stage.clone()).push_bind(entry.kind.clone());
            row.push_bind(entry.message.clone());
        },
        "",
    )
    .await
}

/// Stores or deletes a document, unless its newest version is another than expected.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    change: &PreparedChange,
) -> Result<Changed, sqlx::Error> {
    let PreparedChange { kind, id, expected, body, stored_at, stored_by } = change;
    let found =
        sqlx::query("SELECT version, body IS NULL AS gone FROM document WHERE kind = ? AND id = ?")
            .bind(kind.clone())
            .bind(id.clone())
            .fetch_optional(&mut *connection)
            .await?;
    let newest = found.as_ref().map(|row| rows::count(row, "version")).transpose()?.unwrap_or(0);
    let is_gone = found.map(|row| row.try_get("gone")).transpose()?.unwrap_or(true);
    if *expected != newest && !(*expected == 0 && is_gone) {
        return Ok(Changed::Conflict { newest });
    }
    for sql in [
        "INSERT INTO document (kind, id, version, body, stored_at, stored_by) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET \
         version = excluded.version, body = excluded.body, stored_at = excluded.stored_at, \
         stored_by = excluded.stored_by",
        "INSERT INTO document_version (kind, id, version, body, stored_at, stored_by) \
         VALUES (?, ?, ?, ?, ?, ?)",
    ] {
        let query = sqlx::query(sql).bind(kind.clone()).bind(id.clone()).bind(signed(newest + 1));
        let query = query.bind(body.clone()).bind(*stored_at).bind(stored_by.clone());
        query.execute(&mut *connection).await?;
    }
    Ok(Changed::Stored(newest + 1))
}

/// Runs `before`, rows of values and `after`, with as many rows at a time as a statement takes.
async fn put<T: Copy>(
    connection: &mut SqliteConnection,
    before: &str,
    all: &[T],
    bind: impl Fn(RowOf<'_>, T),
    after: &str,
) -> Result<(), sqlx::Error> {
    for some in all.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::new(before);
        query.push_values(some, |row, value| bind(row, *value));
        query.push(after);
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn bind_whole(mut row: RowOf<'_>, id: &ExecutionId, execution: &ExecutionRow) {
    let ExecutionRow { standing, history_count, head } = execution;
    let listed = &head.listed;
    let is_complete = listed.status.parse::<Status>().is_ok_and(Status::is_complete);
    row.push_bind(id.as_str()).push_bind(signed(standing.version)).push_bind(standing.stages);
    row.push_bind(signed(*history_count)).push_bind(listed.kind);
    row.push_bind(listed.application.as_str()).push_bind(listed.application.to_lowercase()).push_bind(listed.name.as_str());
    row.push_bind(listed.pipeline_config_id.as_deref()).push_bind(listed.status.as_str());
    row.push_bind(is_complete).push_bind(listed.build_time).push_bind(head.start_time);
    row.push_bind(head.end_time).push_bind(&head.state[..]);
}

fn bind_unlisted(mut row: RowOf<'_>, id: &ExecutionId, execution: &ExecutionRow) {
    let ExecutionRow { standing, history_count, head } = execution;
    row.push_bind(id.as_str()).push_bind(signed(standing.version)).push_bind(standing.stages);
    row.push_bind(signed(*history_count)).push_bind(head.start_time).push_bind(head.end_time);
    row.push_bind(&head.state[..]);
}
