use std::collections::BTreeSet;

use shared_model::ExecutionId;
use shared_ports::PortError;
use shared_ports::documents::Changed;
use shared_ports::journal::Appended;

use super::Request;
use crate::sql::connection::Connection;
use crate::sql::connector::Connector;
use crate::sql::failure::Failure;
use crate::sql::group::Group;
use crate::sql::prepare::PreparedAppend;
use crate::sql::{remove, write};

/// How often a group begins again because another process stored something at the same time.
const RACES_MAX: u32 = 10;

/// Commits groups of requests.
#[derive(Debug)]
pub(super) struct Committer {
    connector: Connector,
    /// `None` after a failure: what state it left the connection in is not worth knowing.
    connection: Option<Connection>,
}

/// What a transaction found out, to be told once it is committed.
enum Outcome {
    Appended(Result<Vec<Appended>, PortError>),
    Changed(Changed),
    Removed(Vec<bool>),
}

impl Committer {
    pub(super) fn new(connector: Connector, connection: Connection) -> Self {
        Self { connector, connection: Some(connection) }
    }

    /// Stores what the requests ask for in one transaction, and answers them; removals each in one of
    /// their own, after that.
    pub(super) async fn commit(&mut self, group: Vec<Request>) {
        let is_removal = |request: &Request| matches!(request, Request::Remove { .. });
        let (removals, others): (Vec<_>, Vec<_>) = group.into_iter().partition(is_removal);
        if !others.is_empty() {
            self.commit_one(others).await;
        }
        for removal in removals {
            self.commit_one(vec![removal]).await;
        }
    }

    async fn commit_one(&mut self, group: Vec<Request>) {
        let mut stored = self.transact(&group).await;
        for _ in 0..RACES_MAX {
            match &stored {
                // Whoever was first is stored by now, and found: who came second gets a conflict.
                Err(Failure::Race(_)) => stored = self.transact(&group).await,
                Ok(_) | Err(_) => break,
            }
        }
        match stored {
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
                match failure {
                    // Whoever asked tells of it, and tries again every moment.
                    Failure::Full(_) | Failure::Race(_) => {
                        tracing::debug!(?failure, "a transaction was rolled back");
                    }
                    Failure::ReadOnly(_)
                    | Failure::Damaged(_)
                    | Failure::ForNow(_)
                    | Failure::Content(_)
                    | Failure::Other(_) => {
                        tracing::error!(?failure, "a transaction failed and was rolled back");
                    }
                }
                connection.abandon().await;
                Err(failure)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
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
            (Self::Remove { removal: _, answer }, Outcome::Removed(removed)) => {
                drop(answer.send(Ok(removed)));
            }
            (Self::Append { .. }, Outcome::Changed(_) | Outcome::Removed(_))
            | (Self::Change { .. }, Outcome::Appended(_) | Outcome::Removed(_))
            | (Self::Remove { .. }, Outcome::Appended(_) | Outcome::Changed(_)) => {
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
            Self::Remove { removal: _, answer } => {
                drop(answer.send(Err(failure.into_port("removing".to_owned()))));
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
    connection: &mut Connection,
    requests: &[Request],
) -> Result<Vec<Outcome>, sqlx::Error> {
    connection.begin().await?;
    let room = write::find_room(connection, appends(requests)).await?;
    let found = write::find(connection, &executions(requests)).await?;
    let mut group = Group::new(found, room);
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in requests {
        outcomes.push(match request {
            Request::Append { batch, answer: _ } => Outcome::Appended(group.take(batch)),
            Request::Change { change, answer: _ } => {
                Outcome::Changed(write::change(connection, change).await?)
            }
            Request::Remove { removal, answer: _ } => {
                Outcome::Removed(remove::remove(connection, removal).await?)
            }
        });
    }
    write::write(connection, &group).await?;
    connection.commit().await?;
    Ok(outcomes)
}

fn executions(requests: &[Request]) -> BTreeSet<&ExecutionId> {
    appends(requests).map(|append| &append.execution).collect()
}

fn appends(requests: &[Request]) -> impl Iterator<Item = &PreparedAppend> {
    let batches = requests.iter().filter_map(|request| match request {
        Request::Append { batch, answer: _ } => Some(batch),
        Request::Change { .. } | Request::Remove { .. } => None,
    });
    batches.flatten()
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
