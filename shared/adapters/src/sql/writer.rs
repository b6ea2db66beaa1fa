//! The one task that writes.

mod commit;

use std::sync::Arc;

use shared_ports::PortError;
use shared_ports::documents::Changed;
use shared_ports::journal::Appended;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::commit::Committer;
use super::connection::{Connection, Pool};
use super::connector::Connector;
use super::prepare::{PreparedAppend, PreparedChange};
use super::remove::Removal;
use crate::folder::DataFolder;

/// Callers that may wait to be taken in; more of them wait at the door.
const REQUESTS_WAITING_MAX: usize = 1024;
/// Callers that share one transaction.
const REQUESTS_PER_COMMIT_MAX: usize = 256;
/// Bytes that one transaction stores, unless a single caller stores more.
const BYTES_PER_COMMIT_MAX: usize = 16 * 1024 * 1024;

/// Hands requests to the task.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    requests: mpsc::Sender<Request>,
}

/// Ends the task; it also ends, by and by, when this is dropped.
#[derive(Debug)]
pub(crate) struct Stop {
    /// Never sent through: dropping it is the word.
    _alive: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

type Answer<T> = oneshot::Sender<Result<T, PortError>>;

#[derive(Debug)]
enum Request {
    Append { batch: Vec<PreparedAppend>, answer: Answer<Vec<Appended>> },
    Change { change: PreparedChange, answer: Answer<Changed> },
    Remove { removal: Removal, answer: Answer<Vec<bool>> },
}

impl Writer {
    /// Starts the task. It holds the folder until it has closed the database.
    #[expect(clippy::disallowed_methods, reason = "owned by `Stop`, which waits for its end")]
    pub(super) fn start(
        connector: Connector,
        connection: Connection,
        readers: Pool,
        folder: Arc<DataFolder>,
    ) -> (Self, Stop) {
        let (requests, received) = mpsc::channel(REQUESTS_WAITING_MAX);
        let (alive, stopped) = oneshot::channel();
        let committer = Committer::new(connector, connection);
        let ended = tokio::spawn(async move {
            let committer = serve(received, stopped, committer).await;
            // The last connection to close tidies up the files, so the writing one goes last.
            readers.close().await;
            committer.close().await;
            drop(folder);
        });
        (Self { requests }, Stop { _alive: alive, ended })
    }

    pub(super) async fn append(
        &self,
        batch: Vec<PreparedAppend>,
    ) -> Result<Vec<Appended>, PortError> {
        self.ask(|answer| Request::Append { batch, answer }, "storing executions").await
    }

    pub(super) async fn change(&self, change: PreparedChange) -> Result<Changed, PortError> {
        self.ask(|answer| Request::Change { change, answer }, "storing a document").await
    }

    pub(super) async fn remove(&self, removal: Removal) -> Result<Vec<bool>, PortError> {
        self.ask(|answer| Request::Remove { removal, answer }, "removing").await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(Answer<T>) -> Request,
        doing: &str,
    ) -> Result<T, PortError> {
        let closed = || PortError::Refused {
            doing: doing.to_owned(),
            why: "the database was closed, this process is ending; start it again".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

impl Stop {
    /// Lets the task finish what it was given and close the database.
    pub(crate) async fn stop(self) -> Result<(), PortError> {
        let Self { _alive, ended } = self;
        drop(_alive);
        ended.await.map_err(|died| PortError::Unavailable {
            doing: "closing the database".to_owned(),
            source: Box::new(died),
        })
    }
}

impl Request {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { batch, answer: _ } => batch.iter().map(|append| append.bytes).sum(),
            Self::Change { change, answer: _ } => change.body.as_ref().map_or(0, |body| body.len()),
            // It is a transaction of its own.
            Self::Remove { .. } => 0,
        }
    }
}

/// Commits what is at hand, again and again, until nobody can hand in more.
async fn serve(
    mut received: mpsc::Receiver<Request>,
    mut stopped: oneshot::Receiver<()>,
    mut committer: Committer,
) -> Committer {
    let mut at_hand = Vec::new();
    let mut is_open = true;
    loop {
        let count = tokio::select! {
            biased;
            _ = &mut stopped, if is_open => None,
            count = received.recv_many(&mut at_hand, REQUESTS_PER_COMMIT_MAX) => Some(count),
        };
        match count {
            None => {
                is_open = false;
                received.close();
            }
            Some(0) => return committer,
            Some(_) => {
                for group in by_bytes(std::mem::take(&mut at_hand)) {
                    committer.commit(group).await;
                }
            }
        }
    }
}

/// Cuts requests, in order, into groups of a bounded size.
fn by_bytes(requests: Vec<Request>) -> Vec<Vec<Request>> {
    let mut groups = Vec::new();
    let mut group_bytes = usize::MAX;
    for request in requests {
        group_bytes = group_bytes.saturating_add(request.bytes());
        if group_bytes > BYTES_PER_COMMIT_MAX {
            group_bytes = request.bytes();
            groups.push(Vec::new());
        }
        if let Some(group) = groups.last_mut() {
            group.push(request);
        }
    }
    groups
}
