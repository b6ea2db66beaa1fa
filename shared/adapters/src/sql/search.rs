//! Lists of executions, newest first.
//!
//! Each list reads what it shows and nothing else, however much was ever run: an index gives it in
//! its order. An index gives the order of one status, or one pipeline, at a time; a list of several
//! takes the newest of each and sorts those. The values are rows of tables that a `SELECT` with a
//! limit of its own looks back at: in SQLite from an `IN`, in PostgreSQL from a `LATERAL`. Neither
//! has, or is quick with, the other's way.

use shared_model::{ExecutionId, Status};
use shared_ports::PortError;
use shared_ports::journal::{Head, Kind, Query};
use strum::IntoEnumIterator;

use super::prepare::nanoseconds;
use super::rows::HEAD;
use super::statement::{Dialect, Sql, Value};

/// Values that one list of a statement may have.
pub(super) const LISTED_MAX: usize = 500;

/// What pipelines of an application are told apart by.
pub(super) const PIPELINE: &str = "coalesce(pipeline_config_id, name)";

/// What a search asks for, checked and as it is stored.
pub(super) struct Conditions<'a> {
    query: &'a Query,
    dialect: Dialect,
    lists: Lists<'a>,
    from: Option<i64>,
    until: Option<i64>,
    after: Option<(i64, &'a str)>,
}

impl<'a> Conditions<'a> {
    pub(super) fn of(query: &'a Query, dialect: Dialect) -> Result<Self, PortError> {
        check(query)?;
        let instant = |at| nanoseconds(at, || "searching executions".to_owned());
        let after = |(time, id): &'a (_, ExecutionId)| Ok((instant(*time)?, id.as_str()));
        Ok(Self {
            query,
            dialect,
            lists: Lists::of(query),
            from: query.from.map(instant).transpose()?,
            until: query.until.map(instant).transpose()?,
            after: query.after.as_ref().map(after).transpose()?,
        })
    }
}

/// The statement that finds executions. One that asks for some of each pipeline finds up to that
/// many of each status, and no fewer than are there.
pub(super) fn statement<'a>(conditions: &'a Conditions<'a>) -> Sql<'a> {
    let Conditions { query, lists, .. } = conditions;
    let (order, _) = order(query);
    let mut sql = Sql::new("");
    if let (Some(_), Some(kind), Some(application)) =
        (query.of_each, query.kind, &query.application)
    {
        push_named(&mut sql, kind, application);
    }
    sql.push(format_args!("SELECT {HEAD} FROM "));
    lists.push_tables(&mut sql);
    if lists.is_empty() {
        sql.push("execution WHERE ");
        push_conditions(&mut sql, conditions);
    } else {
        push_each(&mut sql, conditions);
    }
    sql.push(format_args!(" ORDER BY build_time {order}, id {order}"));
    if query.of_each.is_none() {
        sql.push(" LIMIT ").bind(query.limit);
    }
    sql
}

/// The newest executions for each row of the tables of values before it.
fn push_each<'a>(sql: &mut Sql<'a>, conditions: &'a Conditions<'a>) {
    let (order, _) = order(conditions.query);
    let (before, after) = match conditions.dialect {
        Dialect::Sqlite => {
            ("execution WHERE id IN (SELECT id FROM execution WHERE ".to_owned(), ")")
        }
        Dialect::Postgres => {
            (format!("LATERAL (SELECT {HEAD} FROM execution WHERE "), ") AS execution")
        }
    };
    sql.push(before);
    push_conditions(sql, conditions);
    let limit = conditions.query.limit;
    sql.push(format_args!(" ORDER BY build_time {order}, id {order} LIMIT "));
    sql.bind(conditions.query.of_each.unwrap_or(limit).min(limit)).push(after);
}

/// Everything of an execution but the bodies of its stages: its own row, then its stages by place.
/// In one statement, so that all of it is of one version.
pub(super) fn load(execution: &ExecutionId) -> Sql<'_> {
    let mut sql = Sql::new(format!(
        "SELECT -1 AS place, version, document, {HEAD} \
         FROM execution JOIN execution_document ON execution = id WHERE id = "
    ));
    sql.bind(execution.as_str()).push(
        " UNION ALL SELECT place, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
         state FROM stage WHERE execution = $1 ORDER BY place",
    );
    sql
}

/// How many stages an execution has, then bodies by place: those of `indexes`, or all.
pub(super) fn bodies<'a>(execution: &'a ExecutionId, indexes: &[u32]) -> Sql<'a> {
    let mut sql =
        Sql::new("SELECT -1 AS place, NULL AS body, stage_count FROM execution WHERE id = ");
    sql.bind(execution.as_str())
        .push(" UNION ALL SELECT place, body, NULL FROM stage_body WHERE execution = $1");
    // Many are read as all: the statement would become longer than what it saves.
    if (1..=LISTED_MAX).contains(&indexes.len()) {
        sql.push(" AND place IN (").bind_all(indexes.iter().copied()).push(")");
    }
    sql.push(" ORDER BY place");
    sql
}

/// What an index can give only one after the other.
struct Lists<'a> {
    kinds: Vec<i64>,
    statuses: Vec<&'static str>,
    pipelines: &'a [String],
    of_each: bool,
}

impl<'a> Lists<'a> {
    fn of(query: &'a Query) -> Self {
        let by_id = !query.ids.is_empty();
        // The indexes of pipelines have the status before the time.
        let by_pipeline = !query.pipeline_config_ids.is_empty() || query.of_each.is_some();
        let kinds = match query.kind {
            None if !by_id => vec![Kind::Pipeline.number(), Kind::Task.number()],
            None | Some(_) => Vec::new(),
        };
        let statuses = match query.statuses.len() {
            _ if by_id => Vec::new(),
            0 if by_pipeline => Status::iter().map(Status::name).collect(),
            0 | 1 => Vec::new(),
            _ => query.statuses.iter().map(|status| status.name()).collect(),
        };
        let several = query.pipeline_config_ids.len() > 1 && !by_id;
        let pipelines = if several { &query.pipeline_config_ids[..] } else { &[] };
        Self { kinds, statuses, pipelines, of_each: query.of_each.is_some() }
    }

    fn is_empty(&self) -> bool {
        self.kinds.is_empty()
            && self.statuses.is_empty()
            && self.pipelines.is_empty()
            && !self.of_each
    }

    /// The tables whose rows are the values, one column each, before that of executions.
    fn push_tables(&self, sql: &mut Sql<'a>) {
        if self.of_each {
            sql.push("named CROSS JOIN ");
        }
        push_values(sql, "kinds", self.kinds.iter().copied());
        push_values(sql, "statuses", self.statuses.iter().copied());
        push_values(sql, "pipelines", self.pipelines.iter().map(String::as_str));
    }
}

/// The order in which executions are listed, and where a list goes on.
fn order(query: &Query) -> (&'static str, char) {
    if query.oldest_first { ("ASC", '>') } else { ("DESC", '<') }
}

fn push_values<'a, V: Into<Value<'a>>>(
    sql: &mut Sql<'a>,
    table: &str,
    values: impl ExactSizeIterator<Item = V>,
) {
    if values.len() == 0 {
        return;
    }
    for (place, value) in values.enumerate() {
        sql.push(if place == 0 { "(VALUES (" } else { "), (" }).bind(value);
    }
    sql.push(format_args!(")) AS {table} CROSS JOIN "));
}

/// Goes through an application's pipelines from one to the next in an index, past all that lies
/// between.
fn push_named(sql: &mut Sql<'_>, kind: Kind, application: &str) {
    sql.push(format_args!("WITH RECURSIVE named (pipeline) AS (SELECT (SELECT {PIPELINE} "));
    push_of_application(sql, kind, application);
    sql.push(format_args!(" ORDER BY {PIPELINE} LIMIT 1) UNION ALL SELECT (SELECT {PIPELINE} "));
    push_of_application(sql, kind, application);
    sql.push(format_args!(
        " AND {PIPELINE} > named.pipeline ORDER BY {PIPELINE} LIMIT 1) \
         FROM named WHERE named.pipeline IS NOT NULL) "
    ));
}

fn push_of_application(sql: &mut Sql<'_>, kind: Kind, application: &str) {
    sql.push("FROM execution WHERE kind = ").bind(kind.number());
    sql.push(" AND application_key = ").bind(application.to_lowercase());
}

fn push_conditions<'a>(sql: &mut Sql<'a>, conditions: &'a Conditions<'a>) {
    let Conditions { query, lists, .. } = conditions;
    let Query { ids, kind, application, name, statuses, pipeline_config_ids, .. } = query;
    sql.push("1 = 1");
    push_one_of(sql, "id", ids.iter().map(ExecutionId::as_str));
    if !lists.kinds.is_empty() {
        sql.push(" AND kind = kinds.column1");
    } else if let Some(kind) = kind {
        sql.push(" AND kind = ").bind(kind.number());
    }
    if let Some(application) = application {
        sql.push(" AND application_key = ").bind(application.to_lowercase());
    }
    if let Some(name) = name {
        sql.push(" AND name = ").bind(name.as_str());
    }
    if lists.of_each {
        sql.push(format_args!(" AND {PIPELINE} = named.pipeline"));
    }
    if lists.pipelines.is_empty() {
        push_one_of(sql, "pipeline_config_id", pipeline_config_ids.iter().map(String::as_str));
    } else {
        sql.push(" AND pipeline_config_id = pipelines.column1");
    }
    if lists.statuses.is_empty() {
        push_one_of(sql, "status", statuses.iter().map(|status| status.name()));
    } else {
        sql.push(" AND status = statuses.column1");
    }
    push_times(sql, conditions);
}

fn push_times<'a>(sql: &mut Sql<'a>, conditions: &'a Conditions<'a>) {
    if let Some(from) = conditions.from {
        sql.push(" AND build_time >= ").bind(from);
    }
    if let Some(until) = conditions.until {
        sql.push(" AND build_time < ").bind(until);
    }
    if let Some((time, id)) = conditions.after {
        let (_, beyond) = order(conditions.query);
        sql.push(format_args!(" AND (build_time, id) {beyond} ("));
        sql.bind(time).push(", ").bind(id).push(")");
    }
}

fn push_one_of<'a>(
    sql: &mut Sql<'a>,
    column: &'static str,
    values: impl ExactSizeIterator<Item = &'a str>,
) {
    if values.len() > 0 {
        sql.push(format_args!(" AND {column} IN (")).bind_all(values).push(")");
    }
}

/// Refuses what no statement can be made of.
fn check(query: &Query) -> Result<(), PortError> {
    let refused = |doing: String, why: String| Err(PortError::Refused { doing, why });
    for (column, count) in
        [("id", query.ids.len()), ("pipeline_config_id", query.pipeline_config_ids.len())]
    {
        if count > LISTED_MAX {
            return refused(
                format!("searching executions by {count} values of `{column}`"),
                format!("at most {LISTED_MAX} can be named at once; name fewer"),
            );
        }
    }
    let is_named = query.kind.is_some() && query.application.is_some();
    if query.of_each.is_some() && !is_named {
        return refused(
            "searching executions of each pipeline".to_owned(),
            "it needs a kind and an application; name them".to_owned(),
        );
    }
    Ok(())
}

/// Keeps as many of each pipeline as a query asks for, and as many in all.
pub(super) fn keep_of_each(query: &Query, found: &mut Vec<(ExecutionId, Head)>) {
    let Some(of_each) = query.of_each else { return };
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    found.retain(|(_, head)| {
        let count = counts.entry(head.pipeline().to_owned()).or_default();
        *count += 1;
        *count <= of_each
    });
    found.truncate(query.limit as usize);
}

#[cfg(test)]
mod tests;
