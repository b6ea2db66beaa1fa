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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use shared_model::{ExecutionId, Status};
    use sqlx::{AssertSqlSafe, Row};

    use super::*;
    use crate::folder::DataFolder;
    use crate::sql::Database;

    /// A list that reads more than it shows gets slower with every execution that was ever run.
    #[tokio::test]
    async fn every_usual_list_reads_an_index_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let held = Arc::new(DataFolder::hold(folder.path()).unwrap());
        let (database, _stop) = Database::open(held).await.unwrap();
        let all = || Query { limit: 10, ..Query::default() };
        let shop = || Query { application: Some("Shop".to_owned()), ..all() };
        let after = Some((Timestamp::UNIX_EPOCH, ExecutionId::new("e")));
        let two = vec![Status::Running, Status::Succeeded];
        for (query, index) in [
            (all(), "by_time"),
            (Query { after: after.clone(), ..all() }, "by_time"),
            (Query { from: Some(Timestamp::UNIX_EPOCH), ..all() }, "by_time"),
            (shop(), "by_application"),
            (Query { after, ..shop() }, "by_application"),
            (Query { statuses: two, ..shop() }, "by_application"),
            (Query { statuses: vec![Status::Running], ..shop() }, "by_application_and_status"),
            (Query { statuses: vec![Status::Running], ..all() }, "by_status"),
            (Query { name: Some("release".to_owned()), ..all() }, "by_name"),
            (Query { pipeline_config_ids: vec!["p".to_owned()], ..all() }, "by_pipeline"),
        ] {
            let plan = plan(&database, &query).await;
            assert!(plan.contains(&format!("USING INDEX execution_{index} ")), "{query:?}: {plan}");
            assert!(!plan.contains("ORDER BY"), "it sorts: {plan}");
        }
    }

    async fn plan(database: &Database, query: &Query) -> String {
        let mut sql = statement(query).unwrap();
        let explained = format!("EXPLAIN QUERY PLAN {}", sql.sql().as_str());
        let mut built = sql.build();
        let arguments = sqlx::Execute::take_arguments(&mut built).unwrap().unwrap();
        let rows = sqlx::query_with(AssertSqlSafe(explained), arguments)
            .fetch_all(&database.readers.pool)
            .await
            .unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        steps.join(" / ") + " "
    }
}
