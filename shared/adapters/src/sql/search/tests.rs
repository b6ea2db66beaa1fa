use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row};

use super::*;
use crate::folder::DataFolder;
use crate::sql::Database;
use crate::sql::connection::Pool;

fn all() -> Query {
    Query { kind: Some(Kind::Pipeline), limit: 10, ..Query::default() }
}

fn shop() -> Query {
    Query { application: Some("Shop".to_owned()), ..all() }
}

fn pipelines(ids: &[&str]) -> Query {
    Query { pipeline_config_ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..all() }
}

/// Each list, and the index that it is read from.
fn lists() -> Vec<(Query, &'static str)> {
    let after = Some((Timestamp::UNIX_EPOCH, ExecutionId::new("e")));
    let (running, two) = (vec![Status::Running], vec![Status::Running, Status::Succeeded]);
    let name = Some("release".to_owned());
    vec![
        (all(), "by_time"),
        (Query { oldest_first: true, ..all() }, "by_time"),
        (Query { kind: None, ..all() }, "by_time"),
        (Query { after: after.clone(), ..all() }, "by_time"),
        (Query { from: Some(Timestamp::UNIX_EPOCH), ..all() }, "by_time"),
        (shop(), "by_application"),
        (Query { kind: None, ..shop() }, "by_application"),
        (Query { after: after.clone(), ..shop() }, "by_application"),
        (Query { statuses: running.clone(), ..shop() }, "by_application_and_status"),
        (Query { statuses: two.clone(), ..shop() }, "by_application_and_status"),
        (Query { statuses: two.clone(), after, ..shop() }, "by_application_and_status"),
        (Query { name: name.clone(), ..shop() }, "by_application_and_name"),
        (Query { statuses: running.clone(), ..all() }, "by_status"),
        (Query { statuses: two.clone(), ..all() }, "by_status"),
        (Query { name, ..all() }, "by_name"),
        (pipelines(&["p"]), "by_pipeline"),
        (pipelines(&["p", "q"]), "by_pipeline"),
        (Query { kind: None, ..pipelines(&["p"]) }, "by_pipeline"),
        (Query { statuses: running, ..pipelines(&["p"]) }, "by_pipeline"),
        (Query { statuses: two.clone(), ..pipelines(&["p", "q"]) }, "by_pipeline"),
        (Query { of_each: Some(2), ..shop() }, "by_pipeline_of_application"),
        (Query { of_each: Some(2), statuses: two, ..shop() }, "by_pipeline_of_application"),
    ]
}

/// A list that reads more than it shows gets slower with every execution that was ever run.
#[tokio::test]
async fn every_list_reads_an_index_in_its_order() {
    let (database, _folder) = database().await;
    for (query, index) in lists() {
        let plan = plan(&database, &query).await;
        let uses = |step: &String| {
            [" INDEX ", " COVERING INDEX "]
                .iter()
                .any(|using| step.contains(&format!("{using}execution_{index} (")))
        };
        assert!(plan.iter().any(uses), "{query:?}: {plan:#?}");
        let scans = |step: &&String| step.starts_with("SCAN execution");
        assert_eq!(plan.iter().find(scans), None, "{query:?}: {plan:#?}");
        // What several lists give is sorted once, at the end; a list of one comes in its order.
        let sorts = plan.iter().filter(|step| step.contains("FOR ORDER BY")).count();
        let is_one = Lists::of(&query).is_empty();
        assert_eq!(sorts, usize::from(!is_one), "{query:?}: {plan:#?}");
    }
}

#[tokio::test]
async fn executions_that_are_named_are_found_by_their_key() {
    let (database, _folder) = database().await;
    let query = Query { ids: vec![ExecutionId::new("e"), ExecutionId::new("f")], ..shop() };
    let plan = plan(&database, &query).await;
    assert!(plan[0].starts_with("SEARCH execution USING PRIMARY KEY (id=?)"), "{plan:#?}");
}

#[tokio::test]
async fn what_retention_asks_is_read_from_indexes() {
    use shared_ports::journal::{Line, Outlived};

    use crate::sql::retained;
    let (database, _folder) = database().await;
    let line = |pipeline: Option<&str>| Line {
        kind: Kind::Pipeline,
        application: "shop".to_owned(),
        pipeline: pipeline.map(str::to_owned),
    };
    let (of_pipeline, of_application) = (line(Some("p")), line(None));
    let outlived = Outlived { kept: 5, until: Timestamp::UNIX_EPOCH, limit: 10 };
    let old = |line| retained::outlived(Dialect::Sqlite, line, &outlived, 0);
    for (sql, index) in [
        (retained::next_in_application(&of_pipeline), "execution_by_pipeline_of_application"),
        (retained::first_of_next(Kind::Pipeline, Some(&of_pipeline)), "execution_by_"),
        (retained::first_of_next(Kind::Pipeline, None), "execution_by_"),
        (old(&of_pipeline), "execution_by_pipeline_of_application"),
        (old(&of_application), "execution_by_application_and_status"),
        (retained::removed(0, 10), "removed_by_time"),
    ] {
        let plan = explained(&database, sql).await;
        assert!(plan.iter().any(|step| step.contains(index)), "{plan:#?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN ")), "{plan:#?}");
    }
}

async fn database() -> (Database, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let held = Arc::new(DataFolder::hold(folder.path()).unwrap());
    let (database, stop) = Database::in_folder(held).await.unwrap();
    std::mem::forget(stop);
    (database, folder)
}

async fn plan(database: &Database, query: &Query) -> Vec<String> {
    let conditions = Conditions::of(query, Dialect::Sqlite).unwrap();
    explained(database, statement(&conditions)).await
}

async fn explained(database: &Database, sql: Sql<'_>) -> Vec<String> {
    let mut built = sql.sqlite();
    let arguments = sqlx::Execute::take_arguments(&mut built).unwrap().unwrap();
    let explained = format!("EXPLAIN QUERY PLAN {}", sqlx::Execute::sql(built).as_str());
    let Pool::Sqlite(pool) = &database.readers.pool else { panic!("it is in a folder") };
    let rows = sqlx::query_with(AssertSqlSafe(explained), arguments).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}
