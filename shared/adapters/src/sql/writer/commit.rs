use std::collections::BTreeSet;

use shared_model::ExecutionId;
use shared_ports::PortError;
use shared_ports::documents::Changed;
use shared_ports::journal::Appended;
use sqlx::{Connection, SqliteConnection};

use super::Request;
use crate::sql::failure::Failure;
use crate::sql::group::Group;
use crate::sql::prepare::PreparedAppend;
use crate::sql::sqlite::Connector;
use crate::sql::write;

/// Commits groups of requests.
#[derive(Debug)]
pub(super) struct Committer {
    connector: Connector,
    /// `None` after a failure: what state it left the connection in is not worth knowing.
    connection: Option<SqliteConnection>,
}

/// What a transaction found out, to be told once it is committed.
enum Outcome {
    Appended(Result<Vec<Appended>, PortError>),
    Changed(Changed),
}

impl Committer {
    pub(super) fn new(connector: Connector, connection: SqliteConnection) -> Self {
        Self { connector, connection: Some(connection) }
    }

    /// Stores what the requests ask for in one transaction, and answers them.
    pub(super) async fn commit(&mut self, group: Vec<Request>) {
        match self.transact(&group).await {
            // One caller's content must not fail those that happened to come with it.
            Err(failure) if failure.may_be_of_one() && group.len() > 1 => {
                for request in group {
                    let alone = vec![request];
                    let stored = self.transact(&alone).await;
                    settle(alone, stored);
                }
            }
            stored => settle(group, stored),
        }
    }

    pub(super) async fn close(self) {
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database did not close well; what was acknowledged is stored");
        }
    }

    async fn transact(&mut self, group: &[Request]) -> Result<Vec<Outcome>, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match store(&mut connection, group).await {
            Ok(outcomes) => {
                self.connection = Some(connection);
                Ok(outcomes)
            }
            Err(error) => {
                let failure = self.connector.failure(error);
                if let Failure::Full(_) = failure {
                    // Whoever asked tells of it, and tries again every moment.
                    tracing::debug!(?failure, "a transaction was rolled back");
                } else {
                    tracing::error!(?failure, "a transaction failed and was rolled back");
                }
                // Closing it rolls back, whatever state it is in.
                drop(connection.close().await);
                Err(failure)
            }
        }
    }

    async fn connect(&self) -> Result<SqliteConnection, Failure> {
        self.connector.connect().await.map_err(|error| self.connector.failure(error))
    }
}

impl Request {
    fn tell(self, outcome: Outcome) {
        // Whoever asked may have gone away; the answer is for nobody then.
        match (self, outcome) {
            (Self::Append { batch: _, answer }, Outcome::Appended(appended)) => {
                drop(answer.send(appended));
            }
            (Self::Change { change: _, answer }, Outcome::Changed(changed)) => {
                drop(answer.send(Ok(changed)));
            }
            (Self::Append { .. }, Outcome::Changed(_))
            | (Self::Change { .. }, Outcome::Appended(_)) => {
                tracing::error!("an answer was about something else; the caller gets none");
            }
        }
    }

    fn fail(self, failure: Failure) {
        match self {
            Self::Append { batch, answer } => {
                drop(answer.send(Err(failure.into_port(doing(&batch)))));
            }
            Self::Change { change, answer } => {
                let doing = format!("storing {} `{}`", change.kind, change.id);
                drop(answer.send(Err(failure.into_port(doing))));
            }
        }
    }
}

fn settle(group: Vec<Request>, stored: Result<Vec<Outcome>, Failure>) {
    match stored {
        Ok(outcomes) => {
            group.into_iter().zip(outcomes).for_each(|(request, outcome)| request.tell(outcome));
        }
        Err(failure) => group.into_iter().for_each(|request| request.fail(failure.clone())),
    }
}

async fn store(
    connection: &mut SqliteConnection,
    requests: &[Request],
) -> Result<Vec<Outcome>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut group = Group::new(write::find(&mut transaction, &executions(requests)).await?);
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in requests {
        outcomes.push(match request {
            Request::Append { batch, answer: _ } => Outcome::Appended(group.take(batch)),
            Request::Change { change, answer: _ } => {
                Outcome::Changed(write::change(&mut transaction, change).await?)
            }
        });
    }
    write::write(&mut transaction, &group).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

fn executions(requests: &[Request]) -> BTreeSet<&ExecutionId> {
    let batches = requests.iter().filter_map(|request| match request {
        Request::Append { batch, answer: _ } => Some(batch),
        Request::Change { .. } => None,
    });
    batches.flatten().map(|append| &append.execution).collect()
}

fn doing(batch: &[PreparedAppend]) -> String {
    match batch {
        [] => "storing nothing".to_owned(),
        [one] => format!("storing execution {}", one.execution),
        [first, others @ ..] => {
            format!("storing execution {} and {} more", first.execution, others.len())
        }
    }
}
