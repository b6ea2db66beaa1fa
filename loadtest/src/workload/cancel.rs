//! Everything is cancelled while it runs: how long until all is quiet, and whether anything begins that
//! should not.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::clients::{self, Client};
use super::figures::{quantiles, sorted};
use super::graph::{APPLICATION, Graph};
use super::load::{Submission, nothing_is_left};
use super::{Plan, WARM_UP};
use crate::serve::now;
use crate::stand::working::nanoseconds;
use crate::stand::{Entry, Moment, Shape, Stand};

/// How long each piece of work lasts, in milliseconds: some is under way when its execution is cancelled.
const WORK_MS: u64 = 200;
/// How long until all is quiet.
const QUIET_LIMIT: Duration = Duration::from_secs(300);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// What was under way to a worker when its execution was cancelled begins there for so long at most: the
/// worker is told then.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(2);

/// One execution that was cancelled, with nanoseconds of the machine's clock.
struct Cancelled {
    asked: u64,
    answered: u64,
}

pub(super) fn run(plan: &Plan, count: usize) -> Result<Value> {
    let stand = Stand::start(Shape { work_ms: WORK_MS, ..plan.shape.clone() })?;
    let document = Graph::Chain { stages: 10 }.document(0).to_string();
    let submissions = clients::submit(&stand, count, |_| document.clone())?;
    std::thread::sleep(WARM_UP);
    let began = nanoseconds();
    let cancelled = cancel(&stand, &submissions)?;
    let last_answer = nanoseconds();
    wait_until_quiet(&stand)?;
    let quiet = nanoseconds();
    let late = began_late(&stand.ledger.from(0), &submissions, &cancelled);
    let running = verify(&stand, &submissions, &cancelled, &late)?;
    nothing_is_left(&stand)?;
    let answers = cancelled.iter().flatten().map(|one| since(one.answered, one.asked)).collect();
    let last_late = late.values().max().copied().unwrap_or_default();
    Ok(json!({
        "executions": count,
        "of them had ended before": count - running,
        "cancels per second": per_second(running, since(last_answer, began)),
        "cancel to answer, ms": quantiles(&sorted(answers)),
        "first cancel to quiet, s": since(quiet, began).as_secs_f64(),
        "last answer to quiet, s": since(quiet, last_answer).as_secs_f64(),
        "work on its way that began after the answer": late.len(),
        "the latest of it, ms after the answer": last_late.as_secs_f64() * 1_000.0,
        "verified": { "canceled": running, "stages begun after the answer": 0 },
    }))
}

fn per_second(count: usize, took: Duration) -> f64 {
    (count as f64 / took.as_secs_f64()).round()
}

fn since(at: u64, from: u64) -> Duration {
    Duration::from_nanos(at.saturating_sub(from))
}

/// Cancels all of them; `None` for one that had ended.
fn cancel(stand: &Stand, submissions: &[Submission]) -> Result<Vec<Option<Cancelled>>> {
    clients::each(stand, submissions.len(), |client, at| {
        let (asked, id) = (nanoseconds(), &submissions[at].id);
        let (status, body) = client.send("PUT", &format!("/pipelines/{id}/cancel"), "")?;
        ensure!([200, 409].contains(&status), "a cancel was refused ({status}): {body}");
        Ok((status == 200).then(|| Cancelled { asked, answered: nanoseconds() }))
    })
}

fn wait_until_quiet(stand: &Stand) -> Result<()> {
    let (mut client, began) = (Client::open(stand.address(0))?, now());
    while client.has_unfinished(APPLICATION)? {
        ensure!(began.elapsed() < QUIET_LIMIT, "executions run {QUIET_LIMIT:?} after their cancel");
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// Work that a worker began after the cancel of its execution was answered: how long after, by execution and
/// stage.
fn began_late(
    entries: &[Entry],
    submissions: &[Submission],
    cancelled: &[Option<Cancelled>],
) -> BTreeMap<(String, u32), Duration> {
    let answered = submissions.iter().zip(cancelled);
    let answered: BTreeMap<&str, u64> = answered
        .filter_map(|(one, cancelled)| Some((one.id.as_str(), cancelled.as_ref()?.answered)))
        .collect();
    let late = entries.iter().filter(|entry| entry.moment == Moment::Began).filter_map(|entry| {
        let after = entry.at.checked_sub(*answered.get(&*entry.execution)?)?;
        Some(((entry.execution.to_string(), entry.stage), Duration::from_nanos(after)))
    });
    late.collect()
}

/// How many were cancelled; fails where one of them did not end so, or where a stage was begun afterwards:
/// what began late on a worker must have begun before for the scheduler.
fn verify(
    stand: &Stand,
    submissions: &[Submission],
    cancelled: &[Option<Cancelled>],
    late: &BTreeMap<(String, u32), Duration>,
) -> Result<usize> {
    let all = clients::each(stand, submissions.len(), |client, at| {
        let id = &submissions[at].id;
        let execution = client.get(&format!("/pipelines/{id}"))?;
        let Some(Cancelled { answered, .. }) = &cancelled[at] else {
            ensure!(execution["status"] == "SUCCEEDED", "{id} was not cancelled: {execution}");
            return Ok(0);
        };
        ensure!(execution["status"] == "CANCELED", "{id} was cancelled and ran on: {execution}");
        let starts = execution["stages"].as_array().into_iter().flatten();
        let after = starts.filter_map(|stage| stage["startTime"].as_u64());
        let after = after.filter(|start| *start > answered / 1_000_000).count();
        ensure!(after == 0, "{after} stages of {id} began after its cancel was answered");
        Ok(1)
    })?;
    let too_late = late.iter().find(|(_, after)| **after > ON_ITS_WAY_MAX);
    ensure!(too_late.is_none(), "work began long after its execution was cancelled: {too_late:?}");
    Ok(all.into_iter().sum())
}
