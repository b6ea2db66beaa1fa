//! Executions that are submitted to a stand, so many at once or so many a second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};
use shared_testkit::deadline::Deadline;

use super::clients::Client;
use super::graph::{APPLICATION, Graph};
use crate::serve::now;
use crate::stand::working::nanoseconds;
use crate::stand::{Ledger, Moment, Stand};

/// Connections over which is submitted.
const CLIENTS: usize = 4;
/// How often it is looked whether there is room for one more.
const LOOK_INTERVAL: Duration = Duration::from_micros(200);
/// How long what runs may take to end.
pub(super) const END_LIMIT: Duration = Duration::from_secs(300);
/// How long until nothing is left behind; RabbitMQ counts every five seconds.
const LEFT_LIMIT: Duration = Duration::from_secs(60);

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
    /// Its place among all, from 0.
    pub(crate) place: usize,
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

struct Submitting {
    number: usize,
    address: String,
    documents: Arc<[String]>,
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
        let document = work.graph.document(work.stage_bytes).to_string();
        Self::start_each(stand, to, pace, vec![document], work.graph.len())
    }

    /// These pipelines, of so many stages each, in turn.
    pub(super) fn start_each(
        stand: &Stand,
        to: &[String],
        pace: Pace,
        documents: Vec<String>,
        stages: usize,
    ) -> Self {
        let (is_over, submitted) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let documents: Arc<[String]> = documents.into();
        let from = nanoseconds();
        let client = |number: usize| Submitting {
            number,
            address: to.get(number % to.len().max(1)).cloned().unwrap_or_default(),
            documents: Arc::clone(&documents),
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
        Self { is_over, clients, submitted, stages }
    }

    /// How many were submitted so far.
    pub(super) fn submitted(&self) -> usize {
        self.submitted.load(Ordering::SeqCst)
    }

    /// Submits no more; what was submitted.
    pub(crate) fn stop(self) -> Result<Vec<Submission>> {
        self.is_over.store(true, Ordering::SeqCst);
        let mut submissions = Vec::new();
        for client in self.clients {
            submissions.extend(client.join().map_err(|_| anyhow!("a client broke down"))??);
        }
        Ok(submissions)
    }

    /// Submits no more, waits until everything has ended, and looks whether all of it succeeded and
    /// each stage was worked on.
    pub(crate) fn end(self, stand: &Stand) -> Result<Ended> {
        let stages = self.stages;
        let submissions = self.stop()?;
        wait_for_end(stand, submissions.len(), END_LIMIT)?;
        let repeated = verify(stand, &submissions, stages)?;
        Ok(Ended { submissions, repeated })
    }
}

/// How many stages were worked on more than once, of everything that was submitted and has ended; fails
/// where something did not succeed, was not worked on, or left something behind.
pub(super) fn verify(stand: &Stand, submissions: &[Submission], stages: usize) -> Result<usize> {
    let mut client = Client::open(stand.address(0))?;
    for Submission { id, .. } in submissions.iter().step_by((submissions.len() / 100).max(1)) {
        let execution = client.get(&format!("/pipelines/{id}"))?;
        ensure!(execution["status"] == "SUCCEEDED", "{id} did not succeed: {execution}");
    }
    let ids = submissions.iter().map(|one| one.id.as_str()).collect();
    let repeated = check(&stand.ledger, &ids, stages)?;
    nothing_is_left(stand)?;
    Ok(repeated)
}

/// Fails where messages, live leases or unfinished rows stay.
pub(super) fn nothing_is_left(stand: &Stand) -> Result<()> {
    let mut left = String::new();
    let nothing = Deadline::after(LEFT_LIMIT).poll(|| {
        // Who is too busy to say so is asked again.
        left = stand.left().map_or_else(|error| format!("{error:#}"), |left| left.join("; "));
        anyhow::Ok(left.is_empty().then_some(()))
    })?;
    ensure!(nothing.is_some(), "{LEFT_LIMIT:?} after the end: {left}");
    Ok(())
}

/// Waits until so many executions did the work of their last stage, and none of [`APPLICATION`] runs.
pub(super) fn wait_for_end(stand: &Stand, submitted: usize, limit: Duration) -> Result<()> {
    let began = now();
    let mut client = Client::open(stand.address(0))?;
    while stand.ledger.finished() < submitted || client.has_unfinished(APPLICATION)? {
        ensure!(
            began.elapsed() < limit,
            "{} of {submitted} executions finished {limit:?} after the last was submitted",
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

impl Submitting {
    fn submit(&self) -> Result<Vec<Submission>> {
        let mut client = Client::open(&self.address)?;
        let mut submitted = Vec::new();
        while let Some(intended) = self.next(submitted.len()) {
            let place = submitted.len() * CLIENTS + self.number;
            let id = client.submit(&self.documents[place % self.documents.len()])?;
            submitted.push(Submission { id, place, intended, accepted: nanoseconds() });
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
