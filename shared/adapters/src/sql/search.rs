//! Lists of executions, newest first.
//!
//! Each list reads what it shows and nothing else, however much was ever run: an index gives it in
//! its order. An index gives the order of one status, or one pipeline, at a time; a list of several
//! takes the newest of each and sorts those. So that one statement does it in SQLite and in
//! PostgreSQL, the values are rows of a table that an `IN` with a limit of its own looks back at.

use shared_model::{ExecutionId, Status};
use shared_ports::PortError;
use shared_ports::journal::{Head, Kind, Query};
use sqlx::{QueryBuilder, Sqlite};
use strum::IntoEnumIterator;

use super::prepare::nanoseconds;
use super::rows::HEAD;

/// Values that one list of a statement may have.
pub(super) const LISTED_MAX: usize = 500;

/// Everything of an execution but its stages.
pub(super) const LOAD: &str = "SELECT id, kind, application, name, pipeline_config_id, status, \
     build_time, start_time, end_time, state, version, document \
     FROM execution JOIN execution_document ON execution = id WHERE id = ?";

/// What pipelines of an application are told apart by.
const PIPELINE: &str = "coalesce(pipeline_config_id, name)";

type Sql = QueryBuilder<Sqlite>;

/// The statement that finds executions. One that asks for some of each pipeline finds up to that
/// many of each status, and no fewer than are there.
pub(super) fn statement(query: &Query) -> Result<Sql, PortError> {
    check(query)?;
    let (order, _) = order(query);
    let lists = Lists::of(query);
    let mut sql = QueryBuilder::new("");
    if let (Some(_), Some(kind), Some(application)) = (query.of_each, query.kind, &query.application)
    {
        push_named(&mut sql, kind, application);
    }
    sql.push(format_args!("SELECT {HEAD} FROM "));
    lists.push_tables(&mut sql);
    sql.push("execution WHERE ");
    if lists.is_empty() {
        push_conditions(&mut sql, query, &lists)?;
    } else {
        sql.push("id IN (SELECT id FROM execution WHERE ");
        push_conditions(&mut sql, query, &lists)?;
        sql.push(format_args!(" ORDER BY build_time {order}, id {order} LIMIT "));
        sql.push_bind(query.of_each.unwrap_or(query.limit).min(query.limit)).push(")");
    }
    sql.push(format_args!(" ORDER BY build_time {order}, id {order}"));
    if query.of_each.is_none() {
        sql.push(" LIMIT ").push_bind(query.limit);
    }
    Ok(sql)
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
    fn push_tables(&self, sql: &mut Sql) {
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

fn push_values<'a, T>(sql: &mut Sql, table: &str, values: impl Iterator<Item = T>)
where
    T: sqlx::Encode<'a, Sqlite> + sqlx::Type<Sqlite>,
{
    let mut is_first = true;
    for value in values {
        sql.push(if is_first { "(VALUES (" } else { "), (" }).push_bind(value);
        is_first = false;
    }
    if !is_first {
        sql.push(format_args!(")) AS {table} CROSS JOIN "));
    }
}

/// Goes through an application's pipelines from one to the next in an index, past all that lies
/// between.
fn push_named(sql: &mut Sql, kind: Kind, application: &str) {
    sql.push(format_args!("WITH RECURSIVE named (pipeline) AS (SELECT (SELECT {PIPELINE} "));
    push_of_application(sql, kind, application);
    sql.push(format_args!(" ORDER BY {PIPELINE} LIMIT 1) UNION ALL SELECT (SELECT {PIPELINE} "));
    push_of_application(sql, kind, application);
    sql.push(format_args!(
        " AND {PIPELINE} > named.pipeline ORDER BY {PIPELINE} LIMIT 1) \
         FROM named WHERE named.pipeline IS NOT NULL) "
    ));
}

fn push_of_application(sql: &mut Sql, kind: Kind, application: &str) {
    sql.push("FROM execution WHERE kind = ").push_bind(kind.number());
    sql.push(" AND application_key = ").push_bind(application.to_lowercase());
}

fn push_conditions(sql: &mut Sql, query: &Query, lists: &Lists<'_>) -> Result<(), PortError> {
    let Query { ids, kind, application, name, statuses, pipeline_config_ids, .. } = query;
    sql.push("1 = 1");
    push_one_of(sql, "id", ids.iter().map(ExecutionId::as_str));
    if !lists.kinds.is_empty() {
        sql.push(" AND kind = kinds.column1");
    } else if let Some(kind) = kind {
        sql.push(" AND kind = ").push_bind(kind.number());
    }
    if let Some(application) = application {
        sql.push(" AND application_key = ").push_bind(application.to_lowercase());
    }
    if let Some(name) = name {
        sql.push(" AND name = ").push_bind(name.clone());
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
    push_times(sql, query)
}

fn push_times(sql: &mut Sql, query: &Query) -> Result<(), PortError> {
    let instant = |at| nanoseconds(at, || "searching executions".to_owned());
    if let Some(from) = query.from {
        sql.push(" AND build_time >= ").push_bind(instant(from)?);
    }
    if let Some(until) = query.until {
        sql.push(" AND build_time < ").push_bind(instant(until)?);
    }
    if let Some((time, id)) = &query.after {
        let (_, beyond) = order(query);
        sql.push(format_args!(" AND (build_time, id) {beyond} ("));
        sql.push_bind(instant(*time)?).push(", ").push_bind(id.as_str().to_owned()).push(")");
    }
    Ok(())
}

fn push_one_of<'a>(
    sql: &mut Sql,
    column: &'static str,
    values: impl ExactSizeIterator<Item = &'a str>,
) {
    if values.len() == 0 {
        return;
    }
    sql.push(format_args!(" AND {column} IN ("));
    let mut list = sql.separated(", ");
    for value in values {
        list.push_bind(value.to_owned());
    }
    sql.push(")");
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
