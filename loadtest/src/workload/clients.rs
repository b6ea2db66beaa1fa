//! Clients of the API, each with one connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::load::Submission;
use crate::serve::http::Connection;
use crate::serve::now;
use crate::stand::Stand;
use crate::stand::working::nanoseconds;

/// Clients where as much is asked as can be.
const CLIENTS: usize = 16;
/// How long a connection may rest: the server closes it some time after that.
const KEPT_OPEN: Duration = Duration::from_secs(10);

/// One client.
pub(super) struct Client {
    address: String,
    connection: Connection,
    used: std::time::Instant,
}

impl Client {
    /// Connects to `HOST:PORT`.
    pub(super) fn open(address: &str) -> Result<Self> {
        let connection = Connection::open(address)?;
        Ok(Self { address: address.to_owned(), connection, used: now() })
    }

    /// The status and the body of the answer.
    pub(super) fn send(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        if self.used.elapsed() > KEPT_OPEN {
            self.connection = Connection::open(&self.address)?;
        }
        self.used = now();
        self.connection.send(method, path, body)
    }

    /// The JSON of an answer that is to be a 200.
    pub(super) fn get(&mut self, path: &str) -> Result<Value> {
        let (status, body) = self.send("GET", path, "")?;
        ensure!(status == 200, "{path} was refused ({status}): {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// Submits a pipeline; the execution's id.
    pub(super) fn submit(&mut self, document: &str) -> Result<String> {
        let (status, body) = self.send("POST", "/pipelines/start", document)?;
        ensure!(status == 202, "a submission was refused ({status}): {body}");
        let answer: Value = serde_json::from_str(&body)?;
        let path = answer["ref"].as_str().context("no `ref`")?;
        Ok(path.rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// Whether an application has executions that have not ended.
    pub(super) fn has_unfinished(&mut self, application: &str) -> Result<bool> {
        let found = self.get(&format!(
            "/applications/{application}/pipelines?expand=false&limit=1&statuses=RUNNING,NOT_STARTED"
        ))?;
        Ok(found.as_array().is_some_and(|found| !found.is_empty()))
    }
}

/// Does something so many times, over a few connections at once, about in the order of the numbers; what
/// came of each, in their order.
pub(super) fn each<T: Send>(
    stand: &Stand,
    count: usize,
    work: impl Fn(&mut Client, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let client = |number: usize| -> Result<Vec<(usize, T)>> {
        let (mut client, mut done) = (Client::open(stand.address(number))?, Vec::new());
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return Ok(done);
            }
            done.push((at, work(&mut client, at)?));
        }
    };
    let mut all = std::thread::scope(|scope| {
        let client = &client;
        let threads: Vec<_> =
            (0..CLIENTS.min(count)).map(|number| scope.spawn(move || client(number))).collect();
        let mut all = Vec::with_capacity(count);
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow!("a client broke down"))??);
        }
        anyhow::Ok(all)
    })?;
    all.sort_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, one)| one).collect())
}

/// Submits so many executions as quickly as they are taken.
pub(super) fn submit(
    stand: &Stand,
    count: usize,
    document: impl Fn(usize) -> String + Sync,
) -> Result<Vec<Submission>> {
    each(stand, count, |client, at| {
        let intended = nanoseconds();
        let id = client.submit(&document(at))?;
        Ok(Submission { id, place: at, intended, accepted: nanoseconds() })
    })
}
