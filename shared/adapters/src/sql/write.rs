//! The statements that write.

use std::collections::{BTreeMap, BTreeSet};

use shared_model::{ExecutionId, Status};
use shared_ports::documents::Changed;
use shared_ports::journal::{Kind, TAKES_ROOM};

use super::connection::Connection;
use super::group::{ExecutionRow, Found, Group};
use super::prepare::{PreparedAppend, PreparedChange};
use super::rows::{self, FOUND, signed};
use super::statement::{Dialect, List, Sql, Value};
use crate::room::{House, Room};

/// Rows that one statement of SQLite takes. Each number of rows is a statement of its own to
/// prepare, so there must be few of them; and a trip to the connection is to be shared by many rows.
const ROWS_MAX: usize = 32;

/// Tells the locks of pipelines apart from others that the database may hold; those of applications and
/// of all come next.
const ROOM_LOCK: i64 = 0x726f_6f6d;

/// Rows of one table, and the statement around them.
struct Part<'a> {
    before: &'static str,
    rows: Vec<Vec<Value<'a>>>,
    after: &'static str,
}

/// What is stored of these executions; nobody else changes it until the transaction ends.
pub(super) async fn find(
    connection: &mut Connection,
    executions: &BTreeSet<&ExecutionId>,
) -> Result<BTreeMap<ExecutionId, Found>, sqlx::Error> {
    let dialect = connection.dialect();
    let rows_max = match dialect {
        Dialect::Sqlite => ROWS_MAX,
        Dialect::Postgres => usize::MAX,
    };
    let executions: Vec<_> = executions.iter().map(|id| id.as_str()).collect();
    let mut all = BTreeMap::new();
    for some in executions.chunks(rows_max) {
        let mut sql = Sql::new(format!("SELECT {FOUND} FROM execution WHERE id "));
        match dialect {
            Dialect::Sqlite => sql.push("IN (").bind_all(some.iter().copied()).push(")"),
            // Locked in one order by all, so that none waits for one that waits for it.
            Dialect::Postgres => sql
                .push("= ANY(")
                .bind(List::Texts(some.iter().map(|id| Some((*id).into())).collect()))
                .push(format_args!(") ORDER BY id{}", dialect.for_update())),
        };
        for row in connection.fetch(sql).await? {
            all.extend([rows::found(&row)?]);
        }
    }
    Ok(all)
}

/// The executions that take up room where some is asked for; nobody else takes up any there until the
/// transaction ends.
///
/// It comes before [`find`]: so nobody who waits here has what another who waits here needs.
pub(super) async fn find_room(
    connection: &mut Connection,
    appends: impl Iterator<Item = &PreparedAppend>,
) -> Result<Room, sqlx::Error> {
    let mut room = Room::default();
    let asked = appends.flat_map(|append| room.asked_for(append.asked, &*append.head));
    // In one order by all.
    for house in asked.collect::<BTreeSet<_>>() {
        if connection.dialect() == Dialect::Postgres {
            let (name, kind) = lock(&house);
            let mut sql = Sql::new("SELECT pg_advisory_xact_lock(hashtextextended(");
            sql.bind(name).push(format_args!(", {kind}))"));
            connection.fetch(sql).await?;
        }
        let mut sql = Sql::new("SELECT id FROM execution WHERE kind = ");
        sql.bind(Kind::Pipeline.number());
        match &house {
            House::Pipeline(line) => sql.push(" AND pipeline_config_id = ").bind(line.as_str()),
            House::Application(name) => sql.push(" AND application_key = ").bind(name.as_str()),
            House::All => &mut sql,
        };
        sql.push(" AND status IN (").bind_all(TAKES_ROOM.map(Status::name)).push(")");
        let running = connection.fetch(sql).await?;
        let running = running.iter().map(rows::id).collect::<Result<_, _>>()?;
        room.found(house, running);
    }
    Ok(room)
}

/// By what a house is locked, and what tells its locks apart from others.
fn lock(house: &House) -> (&str, i64) {
    match house {
        House::Pipeline(line) => (line, ROOM_LOCK),
        House::Application(name) => (name, ROOM_LOCK + 1),
        House::All => ("", ROOM_LOCK + 2),
    }
}

/// Writes a group's rows: in PostgreSQL in one trip.
pub(super) async fn write(connection: &mut Connection, group: &Group) -> Result<(), sqlx::Error> {
    let mut parts = executions(group);
    parts.extend(of_executions(group));
    parts.retain(|part| !part.rows.is_empty());
    match connection.dialect() {
        Dialect::Sqlite => {
            for part in &parts {
                for some in part.rows.chunks(ROWS_MAX) {
                    connection.execute(part.with_values(some)).await?;
                }
            }
            Ok(())
        }
        Dialect::Postgres if parts.is_empty() => Ok(()),
        Dialect::Postgres => connection.execute(in_one(&parts)).await,
    }
}

/// Stores or deletes a document, unless its newest version is another than expected.
pub(super) async fn change(
    connection: &mut Connection,
    change: &PreparedChange,
) -> Result<Changed, sqlx::Error> {
    let PreparedChange { kind, id, expected, body, stored_at, stored_by } = change;
    let mut sql = Sql::new("SELECT version, body IS NULL AS gone FROM document WHERE kind = ");
    sql.bind(kind).push(" AND id = ").bind(id).push(connection.dialect().for_update());
    let found = connection.fetch(sql).await?;
    let found = found.first();
    let newest = found.map(|row| rows::count(row, "version")).transpose()?.unwrap_or(0);
    let is_gone = found.map(|row| row.get("gone")).transpose()?.unwrap_or(true);
    if *expected != newest && !(*expected == 0 && is_gone) {
        return Ok(Changed::Conflict { newest });
    }
    // If another process stores the first version at the same time, the second statement fails:
    // every version is stored once.
    for (table, after) in [
        (
            "document",
            " ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, \
             body = excluded.body, stored_at = excluded.stored_at, stored_by = excluded.stored_by",
        ),
        ("document_version", ""),
    ] {
        let mut sql = Sql::new(format!(
            "INSERT INTO {table} (kind, id, version, body, stored_at, stored_by) VALUES ("
        ));
        sql.bind(kind).push(", ").bind(id).push(", ").bind(signed(newest + 1)).push(", ");
        sql.bind(body.as_ref()).push(", ").bind(*stored_at).push(", ").bind(stored_by);
        sql.push(")").push(after);
        connection.execute(sql).await?;
    }
    Ok(Changed::Stored(newest + 1))
}

/// The executions' own rows. A new one that another process has made meanwhile fails the whole.
fn executions(group: &Group) -> Vec<Part<'_>> {
    let (mut new, mut listed, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for (id, row) in &group.executions {
        if group.is_new(id) {
            new.push(whole(id, row));
        } else if group.is_listed_anew(id, row) {
            listed.push(whole(id, row));
        } else {
            others.push(unlisted(id, row));
        }
    }
    let new = Part {
        before: "INSERT INTO execution (id, version, stage_count, history_count, start_time, \
                 end_time, state, kind, application, application_key, name, pipeline_config_id, \
                 status, is_complete, build_time) ",
        rows: new,
        after: "",
    };
    let listed = Part {
        before: "WITH fresh (id, version, stage_count, history_count, start_time, end_time, state, \
                 kind, application, application_key, name, pipeline_config_id, status, is_complete, \
                 build_time) AS (",
        rows: listed,
        after: ") UPDATE execution SET version = fresh.version, stage_count = fresh.stage_count, \
                history_count = fresh.history_count, start_time = fresh.start_time, \
                end_time = fresh.end_time, state = fresh.state, kind = fresh.kind, \
                application = fresh.application, application_key = fresh.application_key, \
                name = fresh.name, pipeline_config_id = fresh.pipeline_config_id, \
                status = fresh.status, is_complete = fresh.is_complete, \
                build_time = fresh.build_time FROM fresh WHERE execution.id = fresh.id",
    };
    let others = Part {
        before: "WITH fresh (id, version, stage_count, history_count, start_time, end_time, state) \
                 AS (",
        rows: others,
        after: ") UPDATE execution SET version = fresh.version, stage_count = fresh.stage_count, \
                history_count = fresh.history_count, start_time = fresh.start_time, \
                end_time = fresh.end_time, state = fresh.state FROM fresh \
                WHERE execution.id = fresh.id",
    };
    vec![new, listed, others]
}

/// What belongs to executions, in tables of its own.
fn of_executions(group: &Group) -> [Part<'_>; 5] {
    let documents = Part {
        before: "INSERT INTO execution_document (execution, document) ",
        rows: group
            .documents
            .iter()
            .map(|(id, text)| vec![id.as_str().into(), text.into()])
            .collect(),
        after: " ON CONFLICT (execution) DO UPDATE SET document = excluded.document",
    };
    let stages = Part {
        before: "INSERT INTO stage (execution, place, state) ",
        rows: group.stages.iter().map(|(key, state)| of_stage(key, &state[..])).collect(),
        after: " ON CONFLICT (execution, place) DO UPDATE SET state = excluded.state",
    };
    let bodies = Part {
        before: "INSERT INTO stage_body (execution, place, body) ",
        rows: group.bodies.iter().map(|(key, body)| of_stage(key, body)).collect(),
        after: " ON CONFLICT (execution, place) DO UPDATE SET body = excluded.body",
    };
    let history = group.history.iter().map(|((id, number), entry)| {
        vec![
            id.as_str().into(),
            signed(*number).into(),
            entry.at.into(),
            entry.stage.as_ref().into(),
            (&entry.kind).into(),
            (&entry.message).into(),
        ]
    });
    let history = Part {
        before: "INSERT INTO history (execution, number, at, stage, kind, message) ",
        rows: history.collect(),
        after: "",
    };
    let blobs = Part {
        before: "INSERT INTO execution_blob (execution, sha256) ",
        rows: group
            .blobs
            .iter()
            .map(|(id, sha256)| vec![id.as_str().into(), sha256.as_str().into()])
            .collect(),
        after: " ON CONFLICT (execution, sha256) DO NOTHING",
    };
    [documents, stages, bodies, history, blobs]
}

fn of_stage<'a>(
    (id, place): &'a (ExecutionId, u32),
    value: impl Into<Value<'a>>,
) -> Vec<Value<'a>> {
    vec![id.as_str().into(), (*place).into(), value.into()]
}

impl<'a> Part<'a> {
    /// The statement with some of the rows written out.
    fn with_values(&self, rows: &[Vec<Value<'a>>]) -> Sql<'a> {
        let mut sql = Sql::new(self.before);
        for (place, row) in rows.iter().enumerate() {
            sql.push(if place == 0 { "VALUES (" } else { ", (" });
            sql.bind_all(row.iter().cloned()).push(")");
        }
        sql.push(self.after);
        sql
    }

    /// The statement with a list for each column.
    fn push_with_lists(&self, sql: &mut Sql<'a>) {
        sql.push(self.before).push("SELECT * FROM unnest(");
        for (place, list) in List::of_columns(&self.rows).into_iter().enumerate() {
            let sql_type = list.sql_type();
            sql.push(if place == 0 { "" } else { ", " }).bind(list);
            sql.push(format_args!("::{sql_type}"));
        }
        sql.push(")").push(self.after);
    }
}

/// One statement that does what all the parts do: they write to different rows, so that no part
/// needs to see what another did.
fn in_one<'a>(parts: &[Part<'a>]) -> Sql<'a> {
    let mut sql = Sql::new("WITH ");
    for (place, part) in parts.iter().enumerate() {
        sql.push(if place == 0 { "" } else { ", " }).push(format_args!("part_{place} AS ("));
        part.push_with_lists(&mut sql);
        sql.push(")");
    }
    sql.push(" SELECT 1");
    sql
}

fn whole<'a>(id: &'a ExecutionId, execution: &'a ExecutionRow) -> Vec<Value<'a>> {
    let listed = &execution.head.listed;
    let is_complete = listed.status.parse::<Status>().is_ok_and(Status::is_complete);
    let mut row = unlisted(id, execution);
    row.extend([
        listed.kind.into(),
        listed.application.as_str().into(),
        listed.application.to_lowercase().into(),
        listed.name.as_str().into(),
        listed.pipeline_config_id.as_deref().into(),
        listed.status.as_str().into(),
        i64::from(is_complete).into(),
        listed.build_time.into(),
    ]);
    row
}

fn unlisted<'a>(id: &'a ExecutionId, execution: &'a ExecutionRow) -> Vec<Value<'a>> {
    let ExecutionRow { standing, history_count, head } = execution;
    vec![
        id.as_str().into(),
        signed(standing.version).into(),
        standing.stages.into(),
        signed(*history_count).into(),
        head.start_time.into(),
        head.end_time.into(),
        (&head.state[..]).into(),
    ]
}
