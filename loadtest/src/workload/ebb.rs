//! A backlog grows while nobody works, and drains: as quickly as without one, and with all memory given back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::clients;
use super::graph::Graph;
use super::load::{END_LIMIT, Load, Pace, Submission, Work, verify, wait_for_end};
use super::{Plan, WARM_UP};
use crate::serve::now;
use crate::stand::{Entry, Moment, Stand};

const GRAPH: Graph = Graph::Chain { stages: 10 };
/// Executions at once where there is no backlog.
const AT_ONCE: usize = 1_000;
/// Time in which memory settles.
const SETTLE: Duration = Duration::from_secs(10);
/// The slowest drain that is waited for, in stages a second.
const DRAINED_PER_SECOND_MIN: u64 = 50;
/// Drained are counted from so large a part of them on, and up to so large a part: at first workers start,
/// and last not enough is left to do.
const COUNTED: (f64, f64) = (0.05, 0.90);

pub(super) fn run(plan: &Plan, stages: usize) -> Result<Value> {
    let mut stand = Stand::start(plan.shape.clone())?;
    let count = stages.div_ceil(GRAPH.len());
    let idle = stand.memory()?;
    let (without, mut submissions) = without_backlog(&stand, plan.duration)?;
    std::thread::sleep(SETTLE);
    let before = stand.memory()?;
    let (line, began) = (stand.ledger.len(), now());
    submissions.extend(grow(&mut stand, count)?);
    let grown = count as f64 / began.elapsed().as_secs_f64();
    let full = stand.memory()?;
    stand.start_workers()?;
    let limit = Duration::from_secs(stages as u64 / DRAINED_PER_SECOND_MIN) + END_LIMIT;
    wait_for_end(&stand, submissions.len(), limit)?;
    let drained = rate(&done(&stand.ledger.from(line))).context("too few stages were drained")?;
    let repeated = verify(&stand, &submissions, GRAPH.len())?;
    ensure!(repeated == 0, "{repeated} stages were worked on twice");
    std::thread::sleep(SETTLE);
    Ok(json!({
        "backlog, executions": count,
        "backlog, stages": count * GRAPH.len(),
        "submitted while nobody works, executions per second": grown.round(),
        "stages per second without a backlog": without.round(),
        "stages per second as it drains": drained.round(),
        "ratio": (drained / without * 100.0).round() / 100.0,
        "memory": {
            "idle": idle, "before": before, "with the backlog": full, "after": stand.memory()?,
        },
        "verified": { "executions": submissions.len(), "stages worked on again": repeated },
    }))
}

/// Stages a second while as many come as go, and what was submitted for it.
fn without_backlog(stand: &Stand, lasts: Duration) -> Result<(f64, Vec<Submission>)> {
    let load = Load::start(stand, Pace::AtOnce(AT_ONCE), Work { graph: GRAPH, stage_bytes: 0 });
    std::thread::sleep(WARM_UP);
    let (line, began) = (stand.ledger.len(), now());
    std::thread::sleep(lasts);
    let (entries, seconds) = (stand.ledger.from(line), began.elapsed().as_secs_f64());
    Ok((done(&entries).len() as f64 / seconds, load.end(stand)?.submissions))
}

/// Sends all workers home, and submits.
fn grow(stand: &mut Stand, count: usize) -> Result<Vec<Submission>> {
    stand.stop_workers()?;
    let (line, document) = (stand.ledger.len(), GRAPH.document(0).to_string());
    let backlog = clients::submit(stand, count, |_| document.clone())?;
    ensure!(stand.ledger.len() == line, "somebody works though all workers were stopped");
    Ok(backlog)
}

/// When work was done, sorted.
fn done(entries: &[Entry]) -> Vec<u64> {
    let done = entries.iter().filter(|entry| entry.moment == Moment::Done);
    let mut done: Vec<_> = done.map(|entry| entry.at).collect();
    done.sort_unstable();
    done
}

/// How many a second in the part of them that counts.
fn rate(done: &[u64]) -> Option<f64> {
    let place = |part: f64| (done.len() as f64 * part) as usize;
    let (first, last) = (place(COUNTED.0), place(COUNTED.1));
    let took = done.get(last)?.checked_sub(*done.get(first)?).filter(|took| *took > 0)?;
    Some((last - first) as f64 / Duration::from_nanos(took).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_beginning_nor_the_end_of_a_drain_counts() {
        let steady = (0..=100).map(|at| 1_000_000_000 + at * 10_000_000);
        let mut done: Vec<u64> = [0].into_iter().chain(steady).collect();
        done.extend([9_000_000_000; 2]);
        assert_eq!(rate(&done).map(f64::round), Some(100.0));
        assert_eq!(rate(&[]), None);
    }
}
