//! A load well below what is carried, for long: what grows.

mod growth;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use self::growth::{Growth, Sample};
use super::figures::{quantiles, sorted};
use super::graph::Graph;
use super::load::{END_LIMIT, Load, Pace, Submission, Work, verify, wait_for_end};
use super::{Plan, WARM_UP};
use crate::serve::now;
use crate::stand::{Moment, Stand};

const WORK: Work = Work { graph: Graph::Chain { stages: 3 }, stage_bytes: 0 };
/// Executions at once, and how long, to find out what is carried.
const AT_ONCE: usize = 1_000;
const FIND_OUT: Duration = Duration::from_secs(15);
/// The part of it that comes for long.
const SHARE: f64 = 0.6;
/// Samples of what is taken.
const SAMPLES: u32 = 120;
/// Time after the end until what is left is looked at.
const SETTLE: Duration = Duration::from_secs(10);

pub(super) fn run(plan: &Plan) -> Result<Value> {
    let stand = Stand::start(plan.shape.clone())?;
    let (carried, mut submissions) = match plan.per_second {
        Some(_) => (None, Vec::new()),
        None => find_out(&stand).map(|(carried, submissions)| (Some(carried), submissions))?,
    };
    let rate = plan.per_second.or(carried.map(|carried| (carried * SHARE).round()));
    let rate = rate.unwrap_or_default();
    ensure!(rate >= 1.0, "hardly anything is carried: {carried:?} executions a second");
    std::thread::sleep(SETTLE);
    let before = Sample::now(&stand)?;
    let load = Load::start(&stand, Pace::PerSecond(rate), WORK);
    std::thread::sleep(WARM_UP);
    let growth = Growth::over(&stand, plan.duration, SAMPLES)?;
    let of_soak = load.stop()?;
    submissions.extend(of_soak.iter().cloned());
    wait_for_end(&stand, submissions.len(), END_LIMIT)?;
    let repeated = verify(&stand, &submissions, WORK.graph.len())?;
    ensure!(repeated == 0, "{repeated} stages were worked on twice");
    std::thread::sleep(SETTLE);
    let after = Sample::now(&stand)?;
    ensure!(
        after.keys_for_good <= before.keys_for_good,
        "Redis keeps {} keys for good, and {} before",
        after.keys_for_good,
        before.keys_for_good
    );
    Ok(json!({
        "carried, executions per second": carried.map(f64::round),
        "executions per second": rate,
        "seconds": plan.duration.as_secs(),
        "growth in the second half, MB an hour": growth.slopes(),
        "before": before.told(),
        "at the end of the load": growth.last(),
        "after": after.told(),
        "request to the work of the last stage, ms": drift(&stand, &of_soak),
        "verified": { "executions": submissions.len(), "stages worked on again": repeated },
    }))
}

/// How many executions a second are carried at most, as many at once as there may be.
fn find_out(stand: &Stand) -> Result<(f64, Vec<Submission>)> {
    let load = Load::start(stand, Pace::AtOnce(AT_ONCE), WORK);
    std::thread::sleep(WARM_UP);
    let (line, began) = (stand.ledger.len(), now());
    std::thread::sleep(FIND_OUT);
    let (entries, seconds) = (stand.ledger.from(line), began.elapsed().as_secs_f64());
    let done = entries.iter().filter(|entry| entry.moment == Moment::Done).count();
    let submissions = load.end(stand)?.submissions;
    Ok((done as f64 / WORK.graph.len() as f64 / seconds, submissions))
}

/// Of the first and of the last third of the executions.
fn drift(stand: &Stand, submissions: &[Submission]) -> Value {
    let finished = stand.ledger.finish_times();
    let mut ordered: Vec<&Submission> = submissions.iter().collect();
    ordered.sort_by_key(|one| one.intended);
    let third = ordered.len() / 3;
    json!({
        "first third": of_some(&finished, &ordered[..third]),
        "last third": of_some(&finished, &ordered[ordered.len() - third..]),
    })
}

fn of_some(finished: &BTreeMap<Arc<str>, u64>, some: &[&Submission]) -> Value {
    let took = some.iter().filter_map(|one| {
        let at = finished.get(one.id.as_str())?;
        Some(Duration::from_nanos(at.saturating_sub(one.intended)))
    });
    quantiles(&sorted(took.collect()))
}
