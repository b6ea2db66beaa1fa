//! Chains that are submitted as long as fewer than so many run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::serve::http::Connection;
use crate::serve::now;
use crate::stand::{Ledger, Moment, Stand};

/// Connections over which is submitted.
const CLIENTS: usize = 4;
/// How often it is looked whether there is room for one more.
const LOOK_INTERVAL: Duration = Duration::from_micros(200);
/// How long a connection may rest: the server closes it some time after that.
const KEPT_OPEN: Duration = Duration::from_secs(10);
/// How long what runs may take to end.
const END_LIMIT: Duration = Duration::from_secs(120);

/// Submits until it is told to end.
pub(super) struct Load {
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<Vec<String>>>>,
    stages: usize,
}

struct Client {
    address: String,
    document: String,
    ledger: Ledger,
    submitted: Arc<AtomicUsize>,
    at_once: usize,
    is_over: Arc<AtomicBool>,
}

impl Load {
    pub(super) fn start(stand: &Stand, at_once: usize, stages: usize) -> Self {
        let (is_over, submitted) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let client = |number: usize| Client {
            address: stand.address(number).to_owned(),
            document: chain(stages).to_string(),
            ledger: stand.ledger.clone(),
            submitted: Arc::clone(&submitted),
            at_once,
            is_over: Arc::clone(&is_over),
        };
        let clients = (0..CLIENTS.min(at_once)).map(client);
        let clients = clients.map(|client| std::thread::spawn(move || client.submit())).collect();
        Self { is_over, clients, stages }
    }

    /// Submits no more, waits until everything has ended, and looks whether all of it succeeded and
    /// each stage was worked on.
    pub(super) fn end(self, stand: &Stand) -> Result<Value> {
        self.is_over.store(true, Ordering::SeqCst);
        let mut submitted = BTreeSet::new();
        for client in self.clients {
            submitted.extend(client.join().map_err(|_| anyhow!("a client broke down"))??);
        }
        let began = now();
        let mut connection = Connection::open(stand.address(0))?;
        while unfinished(&mut connection)? > 0 || stand.ledger.finished() < submitted.len() {
            ensure!(
                began.elapsed() < END_LIMIT,
                "{} of {} executions finished {END_LIMIT:?} after the last was submitted",
                stand.ledger.finished(),
                submitted.len()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        for id in submitted.iter().step_by((submitted.len() / 100).max(1)) {
            let (status, body) = connection.send("GET", &format!("/pipelines/{id}"), "")?;
            let execution: Value = serde_json::from_str(&body)?;
            ensure!(status == 200 && execution["status"] == "SUCCEEDED", "{id} did not: {body}");
        }
        let repeated = check(stand, &submitted, self.stages)?;
        Ok(json!({ "executions": submitted.len(), "stages worked on again": repeated }))
    }
}

/// How many stages were worked on more than once; fails if one was not at all.
fn check(stand: &Stand, submitted: &BTreeSet<String>, stages: usize) -> Result<usize> {
    let mut done: BTreeMap<(Arc<str>, u32), usize> = BTreeMap::new();
    for entry in stand.ledger.from(0) {
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
    fn submit(&self) -> Result<Vec<String>> {
        let (mut connection, mut used) = (Connection::open(&self.address)?, now());
        let mut submitted = Vec::new();
        while !self.is_over.load(Ordering::SeqCst) {
            let number = self.submitted.fetch_add(1, Ordering::SeqCst);
            if number >= self.ledger.finished() + self.at_once {
                self.submitted.fetch_sub(1, Ordering::SeqCst);
                std::thread::sleep(LOOK_INTERVAL);
                continue;
            }
            if used.elapsed() > KEPT_OPEN {
                connection = Connection::open(&self.address)?;
            }
            used = now();
            let (status, body) = connection.send("POST", "/pipelines/start", &self.document)?;
            ensure!(status == 202, "a submission was refused ({status}): {body}");
            let answer: Value = serde_json::from_str(&body)?;
            let path = answer["ref"].as_str().context("no `ref`")?;
            submitted.push(path.rsplit('/').next().unwrap_or_default().to_owned());
        }
        Ok(submitted)
    }
}

fn unfinished(connection: &mut Connection) -> Result<usize> {
    let path = "/applications/load/pipelines?expand=false&limit=1&statuses=RUNNING,NOT_STARTED";
    let (status, body) = connection.send("GET", path, "")?;
    ensure!(status == 200, "a list was refused ({status}): {body}");
    let found: Value = serde_json::from_str(&body)?;
    Ok(found.as_array().map_or(0, Vec::len))
}

fn chain(stages: usize) -> Value {
    let stage = |at: usize| {
        let before: Vec<String> = at.checked_sub(1).map(|at| at.to_string()).into_iter().collect();
        json!({
            "refId": at.to_string(), "type": "nothing", "name": "nothing",
            "requisiteStageRefIds": before, "number": at.to_string(),
            "last": (at + 1 == stages).to_string(),
        })
    };
    json!({
        "application": "load", "name": "chain",
        "stages": (0..stages).map(stage).collect::<Vec<_>>(),
    })
}
