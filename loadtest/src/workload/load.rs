//! Executions that are submitted to a stand, so many at once or so many a second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::graph::Graph;
use crate::serve::http::Connection;
use crate::serve::now;
use crate::stand::working::nanoseconds;
use crate::stand::{Ledger, Moment, Stand};

/// Connections over which is submitted.
const CLIENTS: usize = 4;
/// How often it is looked whether there is room for one more.
const LOOK_INTERVAL: Duration = Duration::from_micros(200);
/// How long a connection may rest: the server closes it some time after that.
const KEPT_OPEN: Duration = Duration::from_secs(10);
/// How long what runs may take to end.
const END_LIMIT: Duration = Duration::from_secs(300);

/// When the next one is submitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As long as fewer than so many run: for what is carried at most.
    AtOnce(usize),
    /// So many a second, however many run and however long an answer takes: what is late counts from
    /// when it was to be submitted.
    PerSecond(f64),
}

/// What is submitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) graph: Graph,
    /// Bytes of each stage's context.
    pub(crate) stage_bytes: usize,
}

/// One execution, with nanoseconds of the machine's clock.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    pub(crate) id: String,
    /// When it was to be submitted.
    pub(crate) intended: u64,
    /// When the answer was there.
    pub(crate) accepted: u64,
}

/// Submits until it is told to end.
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<Vec<Submission>>>>,
    submitted: Arc<AtomicUsize>,
    stages: usize,
}

/// What it came to.
pub(crate) struct Ended {
    pub(crate) submissions: Vec<Submission>,
    /// Stages that were worked on more than once.
    pub(crate) repeated: usize,
}

impl Ended {
    pub(super) fn summary(&self) -> Value {
        json!({ "executions": self.submissions.len(), "stages worked on again": self.repeated })
    }
}

struct Client {
    number: usize,
    address: String,
    document: String,
    ledger: Ledger,
    submitted: Arc<AtomicUsize>,
    pace: Pace,
    /// When the first is submitted.
    from: u64,
    is_over: Arc<AtomicBool>,
}

impl Load {
    /// Requests go to every scheduler.
    pub(crate) fn start(stand: &Stand, pace: Pace, work: Work) -> Self {
        Self::start_at(stand, &stand.addresses(), pace, work)
    }

    /// Requests go to these.
    pub(super) fn start_at(stand: &Stand, to: &[String], pace: Pace, work: Work) -> Self {
        let (is_over, submitted) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let document = work.graph.document(work.stage_bytes).to_string();
        let from = nanoseconds();
        let client = |number: usize| Client {
            number,
            address: to.get(number % to.len().max(1)).cloned().unwrap_or_default(),
            document: document.clone(),
            ledger: stand.ledger.clone(),
            submitted: Arc::clone(&submitted),
            pace,
            from,
            is_over: Arc::clone(&is_over),
        };
        let clients = match pace {
            Pace::AtOnce(count) => CLIENTS.min(count),
            Pace::PerSecond(_) => CLIENTS,
        };
        let clients: Vec<_> = (0..clients).map(client).collect();
        let clients = clients.into_iter().map(|client| std::thread::spawn(move || client.submit()));
        let clients = clients.collect();
        Self { is_over, clients, submitted, stages: work.graph.len() }
    }

    /// How many were submitted so far.
    pub(super) fn submitted(&self) -> usize {
        self.submitted.load(Ordering::SeqCst)
    }

    /// Submits no more, waits until everything has ended, and looks whether all of it succeeded and
    /// each stage was worked on.
    pub(crate) fn end(self, stand: &Stand) -> Result<Ended> {
        self.is_over.store(true, Ordering::SeqCst);
        let mut submissions = Vec::new();
        for client in self.clients {
            submissions.extend(client.join().map_err(|_| anyhow!("a client broke down"))??);
        }
        wait_for_end(stand, submissions.len())?;
        let mut connection = Connection::open(stand.address(0))?;
        for Submission { id, .. } in submissions.iter().step_by((submissions.len() / 100).max(1)) {
            let (status, body) = connection.send("GET", &format!("/pipelines/{id}"), "")?;
            let execution: Value = serde_json::from_str(&body)?;
            ensure!(status == 200 && execution["status"] == "SUCCEEDED", "{id} did not: {body}");
        }
        let ids = submissions.iter().map(|one| one.id.as_str()).collect();
        let repeated = check(&stand.ledger, &ids, self.stages)?;
        Ok(Ended { submissions, repeated })
    }
}

fn wait_for_end(stand: &Stand, submitted: usize) -> Result<()> {
    let began = now();
    let mut connection = Connection::open(stand.address(0))?;
    while unfinished(&mut connection)? > 0 || stand.ledger.finished() < submitted {
        ensure!(
            began.elapsed() < END_LIMIT,
            "{} of {submitted} executions finished {END_LIMIT:?} after the last was submitted",
            stand.ledger.finished(),
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// How many stages were worked on more than once; fails if one was not at all, or somebody else's was.
pub(crate) fn check(ledger: &Ledger, submitted: &BTreeSet<&str>, stages: usize) -> Result<usize> {
    let mut done: BTreeMap<(Arc<str>, u32), usize> = BTreeMap::new();
    for entry in ledger.from(0) {
        if entry.moment == Moment::Done {
            *done.entry((entry.execution, entry.stage)).or_default() += 1;
        }
    }
    let expected = submitted.len() * stages;
    ensure!(done.len() == expected, "{} stages of {expected} were worked on", done.len());
    let stranger = done.keys().find(|(execution, _)| !submitted.contains(&**execution));
    ensure!(stranger.is_none(), "{stranger:?} was worked on, and nobody submitted it");
    Ok(done.values().filter(|times| **times > 1).count())
}

impl Client {
    fn submit(&self) -> Result<Vec<Submission>> {
        let (mut connection, mut used) = (Connection::open(&self.address)?, now());
        let mut submitted = Vec::new();
        while let Some(intended) = self.next(submitted.len()) {
            if used.elapsed() > KEPT_OPEN {
                connection = Connection::open(&self.address)?;
            }
            used = now();
            let (status, body) = connection.send("POST", "/pipelines/start", &self.document)?;
            let accepted = nanoseconds();
            ensure!(status == 202, "a submission was refused ({status}): {body}");
            let answer: Value = serde_json::from_str(&body)?;
            let path = answer["ref"].as_str().context("no `ref`")?;
            let id = path.rsplit('/').next().unwrap_or_default().to_owned();
            submitted.push(Submission { id, intended, accepted });
        }
        Ok(submitted)
    }

    /// Waits until the next is to be submitted; `None` if no more are.
    fn next(&self, earlier: usize) -> Option<u64> {
        match self.pace {
            Pace::AtOnce(at_once) => self.wait_for_room(at_once),
            Pace::PerSecond(rate) => self.wait_for_turn(earlier, rate),
        }
    }

    fn wait_for_room(&self, at_once: usize) -> Option<u64> {
        while !self.is_over.load(Ordering::SeqCst) {
            let number = self.submitted.fetch_add(1, Ordering::SeqCst);
            if number < self.ledger.finished() + at_once {
                return Some(nanoseconds());
            }
            self.submitted.fetch_sub(1, Ordering::SeqCst);
            std::thread::sleep(LOOK_INTERVAL);
        }
        None
    }

    fn wait_for_turn(&self, earlier: usize, rate: f64) -> Option<u64> {
        let place = (earlier * CLIENTS + self.number) as f64;
        let intended = self.from + (place * 1e9 / rate) as u64;
        while nanoseconds() < intended {
            if self.is_over.load(Ordering::SeqCst) {
                return None;
            }
            let left = Duration::from_nanos(intended.saturating_sub(nanoseconds()));
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
        if self.is_over.load(Ordering::SeqCst) {
            return None;
        }
        self.submitted.fetch_add(1, Ordering::SeqCst);
        Some(intended)
    }
}

fn unfinished(connection: &mut Connection) -> Result<usize> {
    let path = "/applications/load/pipelines?expand=false&limit=1&statuses=RUNNING,NOT_STARTED";
    let (status, body) = connection.send("GET", path, "")?;
    ensure!(status == 200, "a list was refused ({status}): {body}");
    let found: Value = serde_json::from_str(&body)?;
    Ok(found.as_array().map_or(0, Vec::len))
}
