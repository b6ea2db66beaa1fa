//! One tenant floods: how long the work of the others waits, alone and while the flood does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use shared_testkit::deadline::Deadline;

use super::clients;
use super::figures::{quantiles, sorted};
use super::graph::{APPLICATION, Graph};
use super::load::{Load, Pace, Submission};
use super::{Plan, WARM_UP};
use crate::stand::{Moment, Shape, Stand};

/// The others; each submits one execution a second.
const TENANTS: usize = 10;
/// How long each piece of work lasts on average, in milliseconds: it is slots that are short, not processors.
const WORK_MS: u64 = 500;
const GRAPH: Graph = Graph::Chain { stages: 1 };
/// How long what workers have may take to end, and to be stored.
const END_LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(plan: &Plan, count: usize) -> Result<Value> {
    let mut stand = Stand::start(Shape { work_ms: WORK_MS, ..plan.shape.clone() })?;
    let warm = others(&stand, WARM_UP)?;
    let alone = others(&stand, plan.duration)?;
    let flood = GRAPH.document_of(APPLICATION).to_string();
    let flood = clients::submit(&stand, count, |_| flood.clone())?;
    let flooded = others(&stand, plan.duration)?;
    let left = flood.iter().filter(|one| !stand.ledger.has_finished(&one.id)).count();
    ensure!(left > 0, "the flood was over before the others were; let it have more than {count}");
    stand.stop_workers()?;
    let waiting =
        verify(&stand, &[warm.submissions, flood, alone.submissions, flooded.submissions])?;
    let (before, after) = (p99(&alone.waits), p99(&flooded.waits));
    Ok(json!({
        "executions of the flood": count,
        "of them still to be worked on at the end": left,
        "others' wait alone, ms": quantiles(&alone.waits),
        "others' wait in the flood, ms": quantiles(&flooded.waits),
        "ratio of p99": (after / before * 100.0).round() / 100.0,
        "Jain's index of the others' mean waits": flooded.fairness,
        "verified": { "executions that still wait": waiting, "begun twice": 0 },
    }))
}

/// What the others saw.
struct Waited {
    submissions: Vec<Submission>,
    /// From when each was to be submitted until its work began, sorted.
    waits: Vec<Duration>,
    /// How equal the tenants' mean waits are, from 1 / [`TENANTS`] to 1.
    fairness: f64,
}

/// Lets the others submit for a while, and waits until their work is done.
fn others(stand: &Stand, lasts: Duration) -> Result<Waited> {
    let document = |tenant: usize| GRAPH.document_of(&format!("tenant{tenant}")).to_string();
    let documents = (0..TENANTS).map(document).collect();
    let pace = Pace::PerSecond(TENANTS as f64);
    let load = Load::start_each(stand, &stand.addresses(), pace, documents, GRAPH.len());
    std::thread::sleep(lasts);
    let submissions = load.stop()?;
    let done = Deadline::after(END_LIMIT).poll(|| {
        let are_done = submissions.iter().all(|one| stand.ledger.has_finished(&one.id));
        anyhow::Ok(are_done.then_some(()))
    })?;
    ensure!(done.is_some(), "the others' work was not done in {END_LIMIT:?}");
    let began = begin_times(stand);
    let wait = |one: &Submission| {
        let at = began.get(one.id.as_str()).copied().unwrap_or(u64::MAX);
        (one.place % TENANTS, Duration::from_nanos(at.saturating_sub(one.intended)))
    };
    let waits: Vec<(usize, Duration)> = submissions.iter().map(wait).collect();
    let fairness = jain(&means(&waits));
    let waits = sorted(waits.into_iter().map(|(_, wait)| wait).collect());
    Ok(Waited { submissions, waits, fairness })
}

/// When the work of each execution began first.
fn begin_times(stand: &Stand) -> BTreeMap<Arc<str>, u64> {
    let mut times = BTreeMap::new();
    for entry in stand.ledger.from(0) {
        if entry.moment == Moment::Began {
            times.entry(entry.execution).or_insert(entry.at);
        }
    }
    times
}

/// Of each tenant, in seconds.
fn means(waits: &[(usize, Duration)]) -> Vec<f64> {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (tenant, wait) in waits {
        let (sum, count) = sums.entry(*tenant).or_default();
        *sum += wait.as_secs_f64();
        *count += 1.0;
    }
    sums.into_values().map(|(sum, count)| sum / count).collect()
}

/// The square of the sum, over the number times the sum of the squares.
fn jain(values: &[f64]) -> f64 {
    let (sum, squares) =
        (values.iter().sum::<f64>(), values.iter().map(|one| one * one).sum::<f64>());
    (sum * sum / (values.len() as f64 * squares) * 1_000.0).round() / 1_000.0
}

fn p99(sorted: &[Duration]) -> f64 {
    let found = sorted.get(sorted.len() * 99 / 100).or(sorted.last());
    found.copied().unwrap_or_default().as_secs_f64().max(f64::EPSILON)
}

/// How many executions wait, now that nobody works: all whose work was not done, and nobody else's was, nor
/// any twice.
fn verify(stand: &Stand, submitted: &[Vec<Submission>]) -> Result<usize> {
    let mut began: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for entry in stand.ledger.from(0) {
        *began.entry(entry.execution).or_default() += usize::from(entry.moment == Moment::Began);
    }
    let twice = began.iter().find(|(_, times)| **times > 1);
    ensure!(twice.is_none(), "work was begun twice: {twice:?}");
    let all: usize = submitted.iter().map(Vec::len).sum();
    let mut waiting = 0;
    let agrees = Deadline::after(END_LIMIT).poll(|| {
        waiting = stand.unfinished()?;
        anyhow::Ok((waiting + stand.ledger.finished() == all).then_some(()))
    })?;
    let finished = stand.ledger.finished();
    ensure!(agrees.is_some(), "{waiting} wait and {finished} were worked on, of {all}");
    Ok(waiting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_all_wait_equally_long_is_treated_equally() {
        assert_eq!((jain(&[2.0, 2.0, 2.0]), jain(&[1.0, 0.0, 0.0, 0.0])), (1.0, 0.25));
    }

    #[test]
    fn a_mean_is_of_one_tenant() {
        let second = Duration::from_secs(1);
        assert_eq!(means(&[(0, second), (1, second * 4), (0, second * 3)]), [2.0, 4.0]);
    }
}
