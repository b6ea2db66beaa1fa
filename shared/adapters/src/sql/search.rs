use shared_ports::PortError;
use shared_ports::journal::Query;
use sqlx::{QueryBuilder, Sqlite};

use super::prepare::nanoseconds;
use super::rows::HEAD;

/// Values that one list of a statement may have.
pub(super) const LISTED_MAX: usize = 500;

/// Everything of an execution but its stages.
pub(super) const LOAD: &str = "SELECT id, application, name, pipeline_config_id, status, \
     build_time, start_time, end_time, state, version, document \
     FROM execution JOIN execution_document ON execution = id WHERE id = ?";

/// The statement that finds executions, newest first.
pub(super) fn statement(query: &Query) -> Result<QueryBuilder<Sqlite>, PortError> {
    let Query { application, pipeline_config_ids, name, statuses, from, until, after, limit } =
        query;
    let instant = |at| nanoseconds(at, || "searching executions".to_owned());
    let mut sql = QueryBuilder::new(format!("SELECT {HEAD} FROM execution WHERE 1 = 1"));
    if let Some(application) = application {
        sql.push(" AND application_key = ").push_bind(application.to_lowercase());
    }
    if let Some(name) = name {
        sql.push(" AND name = ").push_bind(name.as_str());
    }
    push_list(&mut sql, "pipeline_config_id", pipeline_config_ids.iter().map(String::as_str))?;
    push_list(&mut sql, "status", statuses.iter().map(|status| status.name()))?;
    if let Some(from) = from {
        sql.push(" AND build_time >= ").push_bind(instant(*from)?);
    }
    if let Some(until) = until {
        sql.push(" AND build_time < ").push_bind(instant(*until)?);
    }
    if let Some((time, id)) = after {
        sql.push(" AND (build_time, id) < (").push_bind(instant(*time)?);
        sql.push(", ").push_bind(id.as_str()).push(")");
    }
    sql.push(" ORDER BY build_time DESC, id DESC LIMIT ").push_bind(*limit);
    Ok(sql)
}

fn push_list<'a>(
    sql: &mut QueryBuilder<Sqlite>,
    column: &'static str,
    values: impl ExactSizeIterator<Item = &'a str>,
) -> Result<(), PortError> {
    if values.len() > LISTED_MAX {
        return Err(PortError::Refused {
            doing: format!("searching executions by {} values of `{column}`", values.len()),
            why: format!("at most {LISTED_MAX} can be named at once; name fewer"),
        });
    }
    if values.len() == 0 {
        return Ok(());
    }
    sql.push(format_args!(" AND {column} IN ("));
    let mut list = sql.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    sql.push(")");
    Ok(())
}
