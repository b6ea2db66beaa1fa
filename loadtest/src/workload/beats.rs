//! Thousands of workers that say that they live: what that costs, and how soon it is known that many have
//! died.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared_testkit::deadline::Deadline;

use super::Plan;
use super::clients::Client;
use super::figures;
use crate::serve::now;
use crate::stand::beating::Beaten;
use crate::stand::cpu::Spent;
use crate::stand::process::Process;
use crate::stand::working::nanoseconds;
use crate::stand::{Shape, Stand};

/// Between two beats of one.
const INTERVAL_MS: u64 = 1_000;
/// How long one lives without a beat.
const TTL_MS: u64 = 15_000;
/// One of so many dies.
const DYING_SHARE: usize = 10;
/// What the names of those who stay begin with, and of those who die.
const STAYING: &str = "steady";
const DYING: &str = "doomed";
/// How long all may take until they beat and are heard, and until they are missed beyond their lives.
const HEARD_LIMIT: Duration = Duration::from_secs(120);
const MISSED_LIMIT: Duration = Duration::from_secs(60);
/// The part of the beats that has to be heard, so that what it costs means something.
const HEARD_SHARE_MIN: f64 = 0.95;
/// Looks at the fleet that are timed.
const LOOKS: usize = 20;
/// A look at the fleet stands for a second.
const LOOK_PAUSE: Duration = Duration::from_millis(1_100);

pub(super) fn run(plan: &Plan, count: usize) -> Result<Value> {
    let stand = Stand::start(Shape { workers: 0, ..plan.shape.clone() })?;
    let idle = Measured::over(&stand, plan.duration)?;
    let dying = count / DYING_SHARE;
    let staying = start(&stand, STAYING, count - dying)?;
    let mut doomed = start(&stand, DYING, dying)?;
    let mut client = Client::open(stand.address(0))?;
    wait_until_heard(&mut client, count)?;
    let busy = Measured::over(&stand, plan.duration)?;
    let nominal = (count as u64 * 1_000 / INTERVAL_MS) as f64;
    let rate = busy.beats / busy.seconds;
    ensure!(rate >= nominal * HEARD_SHARE_MIN, "{rate:.0} beats a second of {nominal:.0}");
    let looks = looks(&mut client)?;
    let deaths = die(&stand, &mut client, &mut doomed)?;
    let beaten = end(&stand, staying)?;
    ensure!(beaten.lost == 0, "{} leases were lost while their workers lived", beaten.lost);
    Ok(json!({
        "workers": count,
        "beats per second": rate.round(),
        "idle, share of a core": idle.shares(),
        "share of a core": busy.shares(),
        "CPU of Redis per beat, us": busy.of_redis_per_beat(&idle),
        "beat to answer, ms": took(&beaten),
        "beats that were not heard": beaten.unheard,
        "looks at the fleet": looks,
        "die at once": deaths,
        "memory": stand.memory()?,
        "verified": { "live workers told": count, "leases lost by who lived": beaten.lost },
    }))
}

/// What was spent in a while.
struct Measured {
    seconds: f64,
    spent: Spent,
    beats: f64,
}

impl Measured {
    fn over(stand: &Stand, lasts: Duration) -> Result<Self> {
        let (before, calls, began) = (Spent::now(&[])?, scripts_called(stand)?, now());
        std::thread::sleep(lasts);
        let (spent, seconds) = (Spent::now(&[])?.since(&before), began.elapsed().as_secs_f64());
        Ok(Self { seconds, spent, beats: scripts_called(stand)? - calls })
    }

    fn of(&self, sort: &str) -> f64 {
        self.spent.0.get(sort).map_or(0.0, Duration::as_secs_f64) / self.seconds
    }

    fn shares(&self) -> Value {
        let share = |sort: &str| (self.of(sort) * 1_000.0).round() / 1_000.0;
        json!({ "redis": share("redis"), "scheduler": share("scheduler"), "workers": share("beats") })
    }

    fn of_redis_per_beat(&self, idle: &Self) -> f64 {
        let beats_per_second = self.beats / self.seconds;
        ((self.of("redis") - idle.of("redis")) / beats_per_second * 1e7).round() / 10.0
    }
}

/// How many scripts Redis has run: each beat is one, and hardly anybody else runs any.
fn scripts_called(stand: &Stand) -> Result<f64> {
    let said = stand.redis.command("INFO commandstats")?;
    let calls = said.lines().filter_map(|line| {
        let is_script = line.starts_with("cmdstat_evalsha:") || line.starts_with("cmdstat_eval:");
        let rest = line.split_once("calls=").filter(|_| is_script)?.1;
        rest.split(',').next()?.parse::<f64>().ok()
    });
    Ok(calls.sum())
}

fn start(stand: &Stand, name: &str, count: usize) -> Result<Process> {
    let folder = stand.folder();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["beats", "--name", name, "--count", &count.to_string()]);
    command.args(["--interval-ms", &INTERVAL_MS.to_string(), "--ttl-ms", &TTL_MS.to_string()]);
    command.arg("--folder").arg(folder);
    let mut process = Process::start(name, command, folder, None)?;
    let ready = folder.join(format!("{name}.ready"));
    let began = Deadline::after(HEARD_LIMIT).poll(|| {
        ensure!(!process.has_ended()?, "the workers ended; see {name}.log");
        anyhow::Ok(ready.exists().then_some(()))
    })?;
    began.with_context(|| format!("{count} workers were not connected in {HEARD_LIMIT:?}"))?;
    Ok(process)
}

fn wait_until_heard(client: &mut Client, count: usize) -> Result<()> {
    let mut heard = 0;
    let all = Deadline::after(HEARD_LIMIT).poll(|| {
        // Who is too busy to tell is asked again.
        let (_, fleet) = client.send("GET", "/v1/fleet", "")?;
        let fleet: Value = serde_json::from_str(&fleet)?;
        heard = fleet["workers"].as_array().map_or(0, Vec::len);
        anyhow::Ok((heard == count).then_some(()))
    })?;
    all.with_context(|| format!("{heard} workers are told of {count}"))
}

/// How long it takes to tell of all of them.
fn looks(client: &mut Client) -> Result<Value> {
    let mut told = serde_json::Map::new();
    for path in ["/metrics", "/v1/fleet"] {
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..LOOKS {
            std::thread::sleep(LOOK_PAUSE);
            let asked = now();
            let (status, body) = client.send("GET", path, "")?;
            times.push(asked.elapsed());
            ensure!(status == 200, "{path} was refused ({status}): {body}");
            bytes = body.len();
        }
        told.insert(format!("{path}, ms"), figures::quantiles(&figures::sorted(times)));
        told.insert(format!("{path}, bytes"), bytes.into());
    }
    Ok(Value::Object(told))
}

/// Kills many at once: how long after the last of their lives nobody tells of any.
fn die(stand: &Stand, client: &mut Client, doomed: &mut Process) -> Result<Value> {
    doomed.kill()?;
    let killed = nanoseconds();
    let (count, last) = last_life(stand)?;
    let missed = Deadline::after(MISSED_LIMIT).poll(|| {
        let (status, fleet) = client.send("GET", "/v1/fleet", "")?;
        let is_told = status == 200 && !fleet.contains(&format!("\"{DYING}-"));
        anyhow::Ok(is_told.then(nanoseconds))
    })?;
    let missed = missed.context("workers are told of long after they died")?;
    let milliseconds = |at: u64, from: u64| (at as f64 - from as f64) / 1e6;
    Ok(json!({
        "workers": count,
        "killed until the last life ends, ms": milliseconds(last, killed),
        "the last life's end until none is told of, ms": milliseconds(missed, last),
    }))
}

/// How many of those who died still count as live, and when the last of them ceases to, in nanoseconds.
fn last_life(stand: &Stand) -> Result<(usize, u64)> {
    let said = stand.redis.command("ZRANGE {capstan}:alive 0 -1 WITHSCORES")?;
    let mut words = said.lines().filter(|line| !line.starts_with(['$', '*']));
    let mut lives = Vec::new();
    while let (Some(name), Some(until)) = (words.next(), words.next()) {
        if name.starts_with(DYING) {
            lives.push(until.trim().parse::<u64>()? * 1_000_000);
        }
    }
    let last = lives.iter().max().copied();
    Ok((lives.len(), last.context("nobody who died was live")?))
}

fn end(stand: &Stand, staying: Process) -> Result<Beaten> {
    staying.stop()?;
    let file = stand.folder().join(format!("{STAYING}.json"));
    Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?)
}

/// Of the beats of those who lived, in milliseconds.
fn took(beaten: &Beaten) -> Value {
    let all: u64 = beaten.took_ms.values().sum();
    let at = |share: f64| {
        let mut before = 0;
        beaten.took_ms.iter().find_map(|(took, count)| {
            before += count;
            (before as f64 >= all as f64 * share).then_some(*took)
        })
    };
    json!({ "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "most": at(1.0), "of": all })
}
