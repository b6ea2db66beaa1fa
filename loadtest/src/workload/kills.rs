//! Something is killed under load: how long until what ran then goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::figures::{self, quantiles};
use super::graph::Graph;
use super::load::{Load, Pace, Work};
use super::{Plan, WARM_UP};
use crate::stand::working::nanoseconds;
use crate::stand::{Entry, Moment, Shape, Stand};

/// How long work lasts whose worker is killed, and how often one is.
const KILLED_WORK_MS: u64 = 1_000;
const WORKER_KILLS: usize = 10;
/// How often a server or a scheduler is killed.
const SERVER_KILLS: usize = 3;
/// Executions at once while one is.
const AT_ONCE: usize = 200;
/// How long is looked before and after a kill; longer than a Redis that came up with nothing gives out no
/// leases.
const PAUSE: Duration = Duration::from_secs(20);
/// The time in which the rate before and after is counted.
const RATE_OVER: Duration = Duration::from_millis(500);
/// The rate is back once it is so much of what it was.
const RATE_SHARE: f64 = 0.8;

const CHAIN: Work = Work { graph: Graph::Chain { stages: 10 }, stage_bytes: 0 };

pub(super) fn worker(plan: &Plan) -> Result<Value> {
    let shape = Shape { work_ms: KILLED_WORK_MS, ..plan.shape.clone() };
    let mut stand = Stand::start(shape)?;
    let at_once = usize::from(plan.shape.slots) * plan.shape.workers / 2;
    let load = Load::start(&stand, Pace::AtOnce(at_once.max(2)), CHAIN);
    std::thread::sleep(WARM_UP);
    let mut waits = Vec::new();
    for kill in 0..WORKER_KILLS {
        let number = kill % stand.workers.len();
        let from = stand.ledger.len();
        let (pid, at) = (stand.workers[number].pid(), nanoseconds());
        stand.workers[number].kill()?;
        std::thread::sleep(Duration::from_secs(4));
        let before = stand.ledger.from(0);
        waits.extend(figures::again(&before, from, pid, at));
        stand.workers[number] = stand.start_worker(number)?;
        std::thread::sleep(Duration::from_secs(2));
    }
    waits.sort();
    let ended = load.end(&stand)?;
    ensure!(!waits.is_empty(), "no worker was killed while it worked");
    Ok(json!({
        "killed to running again, ms": quantiles(&waits),
        "kills": WORKER_KILLS, "verified": ended.summary(),
    }))
}

/// One of two, while requests go to the other.
pub(super) fn scheduler(plan: &Plan) -> Result<Value> {
    let shape = Shape { schedulers: plan.shape.schedulers.max(2), ..plan.shape.clone() };
    kill(plan, shape, |stand| {
        let last = stand.schedulers.len() - 1;
        stand.schedulers[last].kill()?;
        stand.schedulers[last] = stand.start_scheduler(last)?;
        Ok(nanoseconds())
    })
}

pub(super) fn broker(plan: &Plan) -> Result<Value> {
    kill(plan, plan.shape.clone(), |stand| {
        stand.rabbitmq.crash()?;
        stand.rabbitmq.start_again()?;
        stand.rabbitmq.wait()?;
        Ok(nanoseconds())
    })
}

/// It comes back with nothing.
pub(super) fn redis(plan: &Plan) -> Result<Value> {
    kill(plan, plan.shape.clone(), |stand| {
        stand.redis.crash()?;
        stand.redis.forget_all()?;
        stand.redis.start_again()?;
        stand.redis.wait()?;
        Ok(nanoseconds())
    })
}

/// Kills and starts again; `again` says when it was there again.
fn kill(plan: &Plan, shape: Shape, again: impl Fn(&mut Stand) -> Result<u64>) -> Result<Value> {
    let mut stand = Stand::start(shape)?;
    let first = vec![stand.address(0).to_owned()];
    let pace = plan.pace(Pace::AtOnce(AT_ONCE));
    let load = Load::start_at(&stand, &first, pace, CHAIN);
    std::thread::sleep(WARM_UP);
    let (mut kills, mut all) = (Vec::new(), Vec::new());
    for _ in 0..SERVER_KILLS {
        std::thread::sleep(PAUSE);
        let killed = nanoseconds();
        let there = again(&mut stand)?;
        std::thread::sleep(PAUSE);
        let entries = stand.ledger.from(0);
        let waits = next_progress(&entries, killed);
        let after = rate_is_back(&entries, killed, there);
        all.extend(waits.iter().copied());
        kills.push(json!({
            "gone, ms": milliseconds(there.saturating_sub(killed)),
            "back to rate after it was there, ms": after.map(milliseconds),
            "next progress of what ran, ms": quantiles(&waits),
        }));
    }
    let ended = load.end(&stand)?;
    ensure!(!all.is_empty(), "nothing ran when it was killed");
    all.sort();
    Ok(json!({
        "kills": kills,
        "next progress of what ran, ms": quantiles(&all),
        "verified": ended.summary(),
    }))
}

fn milliseconds(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 1e4).round() / 100.0
}

/// Of each execution that ran at a moment: how long until something of it was heard again.
fn next_progress(entries: &[Entry], at: u64) -> Vec<Duration> {
    let mut runs: BTreeMap<Arc<str>, bool> = BTreeMap::new();
    let mut waits: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    for entry in entries {
        if entry.at < at {
            let is_over =
                entry.moment == Moment::Done && entry.stage + 1 == CHAIN.graph.len() as u32;
            runs.insert(Arc::clone(&entry.execution), !is_over);
        } else if runs.get(&entry.execution) == Some(&true) {
            let wait = entry.at - at;
            let known = waits.entry(Arc::clone(&entry.execution)).or_insert(wait);
            *known = wait.min(*known);
        }
    }
    let mut waits: Vec<_> = waits.into_values().map(Duration::from_nanos).collect();
    waits.sort();
    waits
}

/// How long after `there` as much was done in a while as before `killed`.
fn rate_is_back(entries: &[Entry], killed: u64, there: u64) -> Option<u64> {
    let over = RATE_OVER.as_nanos() as u64;
    let done = |from: u64, to: u64| {
        let is_in = |entry: &&Entry| entry.moment == Moment::Done && (from..to).contains(&entry.at);
        entries.iter().filter(is_in).count() as f64
    };
    let whole = PAUSE.as_nanos() as u64;
    let before = done(killed.saturating_sub(whole), killed) * over as f64 / whole as f64;
    let step = over / 10;
    let windows = (whole - over) / step;
    let begins = (0..windows).map(|window| window * step);
    begins
        .into_iter()
        .find(|begin| done(there + begin, there + begin + over) >= before * RATE_SHARE)
}
