//! Executions that wait: what each of them takes, how quickly one goes on, and how late timers are of which
//! many are due at once.

mod taken;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use self::taken::Taken;
use super::Plan;
use super::clients::{self, Client};
use super::figures::{quantiles, sorted};
use super::graph::Graph;
use super::load::Submission;
use crate::serve::now;
use crate::stand::working::nanoseconds;
use crate::stand::{Moment, Stand};

/// Executions that are there while it is looked how quickly one of few goes on.
const FEW: usize = 100;
/// Those whose documents fill what a scheduler keeps of them in memory; what further ones take is what counts.
const FILLING: usize = 10_000;
/// How many are woken one after the other.
const WOKEN: usize = 100;
/// How long the next stage of one that goes on may take to begin, and it to end.
const WAKE_LIMIT: Duration = Duration::from_secs(30);
/// Timers that are due at once.
const TIMERS: usize = 10_000;
/// How long they may take to fire.
const FIRE_LIMIT: Duration = Duration::from_secs(120);
/// Whose executions wait for them.
const TIMED: &str = "timed";
/// Time after a park in which memory settles.
const SETTLE: Duration = Duration::from_secs(3);
const LOOK_INTERVAL: Duration = Duration::from_micros(200);
/// How often it is asked whether timers have fired.
const FIRED_INTERVAL: Duration = Duration::from_millis(5);

/// Who waits, and for whom a judgment can be given.
struct Parked {
    judged: Vec<String>,
    timed: Vec<String>,
    per_second: f64,
}

pub(super) fn run(plan: &Plan, count: usize) -> Result<Value> {
    let stand = Stand::start(plan.shape.clone())?;
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let few = park(&stand, FEW)?;
    let of_few = wake(&stand, &few, FEW / 2, &mut dice)?;
    let empty = Taken::now(&stand)?;
    let filling = park(&stand, FILLING.min(count))?;
    let filled = Taken::now(&stand)?;
    let parked = park(&stand, count)?;
    let all = Taken::now(&stand)?;
    let of_many = wake(&stand, &parked, WOKEN.min(count / 2), &mut dice)?;
    let timers = fire(&stand, TIMERS.min(count), parked.per_second)?;
    let waiting = verify(&stand, &[few, filling, parked], of_few.len() + of_many.len(), &mut dice)?;
    Ok(json!({
        "executions": count,
        "of each, bytes": all.since(&filled).of_each(count),
        "of each of those before, bytes": filled.since(&empty).of_each(FILLING.min(count)),
        "memory": stand.memory()?,
        "judgment to the next stage, few wait, ms": quantiles(&of_few),
        "judgment to the next stage, ms": quantiles(&of_many),
        "timers due at once": timers,
        "verified": { "still wait": waiting, "were woken and ended": of_few.len() + of_many.len() },
    }))
}

/// Submits executions of ten stages whose first waits for a day, or for a judgment.
fn park(stand: &Stand, count: usize) -> Result<Parked> {
    let with_first = |first: Value| {
        let mut document = Graph::Chain { stages: 10 }.document(0);
        document["stages"][0] = first;
        document.to_string()
    };
    let wait = with_first(json!({ "refId": "0", "type": "wait", "waitTime": 86_400 }));
    let judgment = with_first(json!({ "refId": "0", "type": "manualJudgment" }));
    let began = now();
    let all = clients::submit(stand, count, |at| match at % 2 {
        0 => judgment.clone(),
        _ => wait.clone(),
    })?;
    let per_second = count as f64 / began.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let ids = |from: usize| all.iter().skip(from).step_by(2).map(|one| one.id.clone()).collect();
    Ok(Parked { judged: ids(0), timed: ids(1), per_second })
}

/// Answers the judgments of some at random, one after the other: how long until their next stages begin.
fn wake(
    stand: &Stand,
    parked: &Parked,
    count: usize,
    dice: &mut impl Rng,
) -> Result<Vec<Duration>> {
    let chosen = parked.judged.iter().choose_multiple(dice, count);
    let mut client = Client::open(stand.address(0))?;
    let woken = chosen.into_iter().map(|id| wake_one(stand, &mut client, id));
    Ok(sorted(woken.collect::<Result<_>>()?))
}

fn wake_one(stand: &Stand, client: &mut Client, id: &str) -> Result<Duration> {
    let (line, ended, began) = (stand.ledger.len(), stand.ledger.finished(), now());
    let asked = nanoseconds();
    let path = format!("/pipelines/{id}/stages/0");
    let (status, body) = client.send("PATCH", &path, r#"{"judgmentStatus": "continue"}"#)?;
    ensure!(status == 200, "a judgment was refused ({status}): {body}");
    while stand.ledger.finished() == ended {
        ensure!(began.elapsed() < WAKE_LIMIT, "{id} was judged and did not end in {WAKE_LIMIT:?}");
        std::thread::sleep(LOOK_INTERVAL);
    }
    let entries = stand.ledger.from(line);
    let next = entries
        .iter()
        .find(|entry| &*entry.execution == id && entry.stage == 1 && entry.moment == Moment::Began);
    let next = next.with_context(|| format!("{id} was judged, and others ended"))?;
    Ok(Duration::from_nanos(next.at.saturating_sub(asked)))
}

/// Submits executions that wait until the same moment: how long after it until all of them have ended.
fn fire(stand: &Stand, count: usize, per_second: f64) -> Result<Value> {
    let ahead = Duration::from_secs_f64(count as f64 / per_second * 2.0) + SETTLE * 3;
    let due = nanoseconds() + ahead.as_nanos() as u64;
    let all = clients::submit(stand, count, |_| {
        let left = Duration::from_nanos(due.saturating_sub(nanoseconds()));
        let wait = json!({ "refId": "0", "type": "wait", "waitTime": left.as_secs_f64() });
        json!({ "application": TIMED, "name": TIMED, "stages": [wait] }).to_string()
    })?;
    let left = Duration::from_nanos(due.saturating_sub(nanoseconds()));
    ensure!(!left.is_zero(), "{count} executions were not submitted in {ahead:?}");
    std::thread::sleep(left);
    let (mut client, began) = (Client::open(stand.address(0))?, now());
    while client.has_unfinished(TIMED)? {
        ensure!(began.elapsed() < FIRE_LIMIT, "timers have not fired in {FIRE_LIMIT:?}");
        std::thread::sleep(FIRED_INTERVAL);
    }
    let took = nanoseconds().saturating_sub(due);
    let spread = due_spread(stand, &all, due)?;
    Ok(json!({
        "timers": count,
        "due until all have fired and are stored, ms": took as f64 / 1e6,
        "of which the last was due, ms after the first": spread.as_secs_f64() * 1_000.0,
    }))
}

/// By how much they are not due at once, since each counts from its own beginning; all have ended well.
fn due_spread(stand: &Stand, all: &[Submission], due: u64) -> Result<Duration> {
    let each = clients::each(stand, all.len(), |client, at| {
        let id = &all[at].id;
        let execution = client.get(&format!("/pipelines/{id}"))?;
        ensure!(execution["status"] == "SUCCEEDED", "{id} did not succeed: {execution}");
        let stage = &execution["stages"][0];
        let (start, end) = (stage["startTime"].as_u64(), stage["endTime"].as_u64());
        let wait = stage["context"]["waitTime"].as_f64().context("no `waitTime`")?;
        let own = start.context("no `startTime`")? as f64 + wait * 1_000.0;
        ensure!(end.is_some_and(|end| end as f64 >= own.floor()), "{id} did not wait: {stage}");
        Ok((own - due as f64 / 1e6).max(0.0))
    })?;
    Ok(Duration::from_secs_f64(each.into_iter().fold(0.0, f64::max) / 1_000.0))
}

/// How many wait: all that were not woken, and nobody else. Some are looked at.
fn verify(stand: &Stand, parked: &[Parked], woken: usize, dice: &mut impl Rng) -> Result<usize> {
    let all: usize = parked.iter().map(|one| one.judged.len() + one.timed.len()).sum();
    let waiting = stand.unfinished()?;
    ensure!(waiting + woken == all, "{waiting} wait of {all}, and {woken} were woken");
    ensure!(stand.ledger.finished() == woken, "{} ended of {woken}", stand.ledger.finished());
    let mut client = Client::open(stand.address(0))?;
    let timed = parked.iter().flat_map(|one| &one.timed).choose_multiple(dice, WOKEN);
    for id in timed {
        let execution = client.get(&format!("/pipelines/{id}"))?;
        let status = &execution["stages"][0]["status"];
        ensure!(*status == "RUNNING", "{id} does not wait: {execution}");
    }
    Ok(waiting)
}
