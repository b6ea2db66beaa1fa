//! What autoscaling goes by: how old it is while a backlog comes at once, what it wants then, and how long
//! it takes to ask for it.

mod watch;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use shared_testkit::deadline::Deadline;

use self::watch::{Seen, Watch, scrape};
use super::Plan;
use super::clients::{self, Client};
use super::figures::{quantiles, sorted};
use super::graph::APPLICATION;
use super::load::{Submission, nothing_is_left};
use crate::serve::now;
use crate::stand::working::nanoseconds;
use crate::stand::{Moment, Stand};

/// Stages of one execution, all of them ready at once.
const STAGES: usize = 500;
/// How long the figure may take to say what is there.
const SEEN_LIMIT: Duration = Duration::from_secs(120);
/// Between two scrapes that are timed: a look at the fleet stands for a second, so each takes a new one.
const SCRAPE_PAUSE: Duration = Duration::from_millis(1_100);

pub(super) fn run(plan: &Plan, attempts: usize) -> Result<Value> {
    let mut stand = Stand::start(plan.shape.clone())?;
    let empty = scrapes(&stand, plan.duration)?;
    // So that what waits stays.
    stand.stop_workers()?;
    let count = attempts.div_ceil(STAGES);
    let watch = Watch::start(stand.address(0))?;
    let began = now();
    let backlog = submit(&stand, count)?;
    let rose_in = began.elapsed();
    let seen = watch.end_at((count * STAGES) as u64, SEEN_LIMIT)?;
    let full = scrapes(&stand, plan.duration)?;
    let memory = stand.memory()?;
    let gone = cancel(&stand, &backlog)?;
    ensure!(stand.ledger.is_empty(), "somebody worked though all workers were stopped");
    // What was sent ahead waits for a worker, who asks before it begins what has lain.
    stand.start_workers()?;
    nothing_is_left(&stand)?;
    let begun = stand.ledger.from(0).iter().filter(|one| one.moment == Moment::Began).count();
    ensure!(begun == 0, "{begun} attempts began though they had been cancelled on their way");
    Ok(json!({
        "attempts that wait": count * STAGES,
        "submitted in, s": rose_in.as_secs_f64(),
        "stored until it is told, ms": quantiles(&freshness(&backlog, &seen)),
        "workers wanted, before and at the end": [seen.first().map(|one| one.wanted), seen.last().map(|one| one.wanted)],
        "scrapes, nothing waits": empty,
        "scrapes, all of it waits": full,
        "memory": memory,
        "cancelled until it says so, s": gone.as_secs_f64(),
        "verified": { "told at the end": count * STAGES, "begun though cancelled": begun },
    }))
}

fn submit(stand: &Stand, count: usize) -> Result<Vec<Submission>> {
    let stage =
        |at: usize| json!({ "refId": at.to_string(), "type": "nothing", "name": "nothing" });
    let stages: Vec<Value> = (0..STAGES).map(stage).collect();
    let document = json!({ "application": APPLICATION, "name": "signal", "stages": stages });
    let document = document.to_string();
    let mut all = clients::submit(stand, count, |_| document.clone())?;
    all.sort_by_key(|one| one.accepted);
    Ok(all)
}

/// From when each execution was stored until so much was told, sorted.
fn freshness(backlog: &[Submission], seen: &[Seen]) -> Vec<Duration> {
    let lag = |(at, one): (usize, &Submission)| {
        let told = seen.iter().find(|seen| seen.ready >= ((at + 1) * STAGES) as u64)?;
        Some(Duration::from_nanos(told.at.saturating_sub(one.accepted)))
    };
    sorted(backlog.iter().enumerate().filter_map(lag).collect())
}

/// How long answers of both routes take, and how long they are.
fn scrapes(stand: &Stand, lasts: Duration) -> Result<Value> {
    let (mut client, began) = (Client::open(stand.address(0))?, now());
    let (mut metrics, mut fleet, mut bytes) = (Vec::new(), Vec::new(), (0, 0));
    while began.elapsed() < lasts {
        for (path, times, bytes) in
            [("/metrics", &mut metrics, &mut bytes.0), ("/v1/fleet", &mut fleet, &mut bytes.1)]
        {
            std::thread::sleep(SCRAPE_PAUSE);
            let asked = now();
            let (status, body) = client.send("GET", path, "")?;
            times.push(asked.elapsed());
            ensure!(status == 200, "{path} was refused ({status}): {body}");
            *bytes = body.len();
        }
    }
    Ok(json!({
        "/metrics, ms": quantiles(&sorted(metrics)), "/metrics, bytes": bytes.0,
        "/v1/fleet, ms": quantiles(&sorted(fleet)), "/v1/fleet, bytes": bytes.1,
    }))
}

/// Cancels all of them; how long until nothing is told to wait.
fn cancel(stand: &Stand, backlog: &[Submission]) -> Result<Duration> {
    let began = nanoseconds();
    clients::each(stand, backlog.len(), |client, at| {
        let path = format!("/pipelines/{}/cancel", backlog[at].id);
        let (status, body) = client.send("PUT", &path, "")?;
        ensure!(status == 200, "a cancel was refused ({status}): {body}");
        Ok(())
    })?;
    let mut client = Client::open(stand.address(0))?;
    let gone = Deadline::after(SEEN_LIMIT).poll(|| {
        let seen = scrape(&mut client)?;
        anyhow::Ok((seen.ready == 0).then_some(seen.at))
    })?;
    let gone = gone.ok_or_else(|| anyhow::anyhow!("a backlog that is cancelled is still told"))?;
    Ok(Duration::from_nanos(gone.saturating_sub(began)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_told_once_so_much_is() {
        let stored =
            |place, accepted| Submission { id: String::new(), place, intended: 0, accepted };
        let told = |at, ready| Seen { at, ready, wanted: 0 };
        let backlog = [stored(0, 10), stored(1, 20)];
        let seen = [told(5, 0), told(15, 500), told(25, 700), told(50, 1_000)];
        let lags = [Duration::from_nanos(5), Duration::from_nanos(30)];
        assert_eq!(freshness(&backlog, &seen), lags);
    }
}
