//! Takes rows away. Each removal is a transaction of its own: what appends lock, it locks in the same
//! order and nothing else, so that neither waits for the other for ever.

use std::collections::{BTreeMap, BTreeSet};

use shared_model::{ExecutionId, Status};
use shared_ports::journal::Version;

use super::connection::Connection;
use super::group::Found;
use super::statement::Sql;
use super::write;

/// Rows that one statement names.
const NAMED_MAX: usize = 32;

/// What is to be taken away.
#[derive(Debug)]
pub(super) enum Removal {
    /// Executions that have ended and have this version, at an instant in nanoseconds.
    Executions(Vec<(ExecutionId, Version)>, i64),
    /// Notes of removed executions.
    Notes(Vec<ExecutionId>),
    /// Documents of a kind, with every version.
    Documents(String, Vec<String>),
}

/// Takes it away; says of each whether it was there.
pub(super) async fn remove(
    connection: &mut Connection,
    removal: &Removal,
) -> Result<Vec<bool>, sqlx::Error> {
    match removal {
        Removal::Executions(all, at) => executions(connection, all, *at).await,
        Removal::Notes(all) => {
            let all: Vec<_> = all.iter().map(ExecutionId::as_str).collect();
            delete(connection, "DELETE FROM removed WHERE execution IN (", &all).await?;
            Ok(vec![true; all.len()])
        }
        Removal::Documents(kind, all) => documents(connection, kind, all).await,
    }
}

async fn executions(
    connection: &mut Connection,
    all: &[(ExecutionId, Version)],
    at: i64,
) -> Result<Vec<bool>, sqlx::Error> {
    let asked: BTreeSet<_> = all.iter().map(|(id, _)| id).collect();
    let found = write::find(connection, &asked).await?;
    let mut gone = BTreeSet::new();
    let answers = all.iter().map(|one| may_go(&found, one) && gone.insert(one.0.as_str()));
    let answers: Vec<bool> = answers.collect();
    let gone: Vec<&str> = gone.into_iter().collect();
    for before in [
        "DELETE FROM execution_blob WHERE execution IN (",
        "DELETE FROM history WHERE execution IN (",
        "DELETE FROM stage_body WHERE execution IN (",
        "DELETE FROM stage WHERE execution IN (",
        "DELETE FROM execution_document WHERE execution IN (",
        "DELETE FROM execution WHERE id IN (",
    ] {
        delete(connection, before, &gone).await?;
    }
    for some in gone.chunks(NAMED_MAX) {
        let mut sql = Sql::new("INSERT INTO removed (execution, removed_at) VALUES ");
        for (place, id) in some.iter().enumerate() {
            sql.push(if place == 0 { "(" } else { ", (" }).bind(*id).push(", ").bind(at).push(")");
        }
        sql.push(" ON CONFLICT (execution) DO UPDATE SET removed_at = excluded.removed_at");
        connection.execute(sql).await?;
    }
    Ok(answers)
}

fn may_go(found: &BTreeMap<ExecutionId, Found>, (id, version): &(ExecutionId, Version)) -> bool {
    found.get(id).is_some_and(|found| {
        let status = found.listed.status.parse::<Status>();
        found.standing.version == *version && status.is_ok_and(Status::is_complete)
    })
}

async fn documents(
    connection: &mut Connection,
    kind: &str,
    all: &[String],
) -> Result<Vec<bool>, sqlx::Error> {
    for table in ["document_version", "document"] {
        for some in all.chunks(NAMED_MAX) {
            let mut sql = Sql::new(format!("DELETE FROM {table} WHERE kind = "));
            sql.bind(kind).push(" AND id IN (");
            sql.bind_all(some.iter().map(String::as_str)).push(")");
            connection.execute(sql).await?;
        }
    }
    Ok(vec![true; all.len()])
}

async fn delete(
    connection: &mut Connection,
    before: &str,
    all: &[&str],
) -> Result<(), sqlx::Error> {
    for some in all.chunks(NAMED_MAX) {
        let mut sql = Sql::new(before);
        sql.bind_all(some.iter().copied()).push(")");
        connection.execute(sql).await?;
    }
    Ok(())
}
