//! How the real program is from the outside: starts, memory, and what it does over HTTP.

pub mod http;
mod process;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use self::http::Connection;
use self::process::Server;
use crate::workload::figures::{quantiles, sorted};

/// How long a server stands idle before its memory is read.
const IDLE: Duration = Duration::from_secs(3);

/// What is measured, how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    /// Where data folders are made.
    pub folder: PathBuf,
    /// Starts of each sort.
    pub starts: usize,
    /// Executions that are run one at a time.
    pub executions: usize,
    /// Clients at once.
    pub clients: usize,
    /// Submissions of each client.
    pub submissions: usize,
    /// Executions of ten stages of each client.
    pub chains: usize,
}

/// Stages of one chain.
const CHAIN_STAGES: usize = 10;
/// How often a list is asked for.
const LISTS: usize = 50;

/// Measures everything; the figures by name, with their units in the names.
///
/// # Errors
/// What could not be started, or an answer that is none.
pub fn run(plan: &Plan) -> Result<Value> {
    let first = (0..plan.starts).map(|n| start(plan, &plan.folder.join(format!("first-{n}"))));
    let first = sorted(first.collect::<Result<_>>()?);
    let used = plan.folder.join("used");
    start(plan, &used)?;
    let again = sorted((0..plan.starts).map(|_| start(plan, &used)).collect::<Result<_>>()?);
    let server = Server::start(&plan.program, &used)?;
    std::thread::sleep(IDLE);
    let idle = server.memory()?;
    let one = one_at_a_time(&server, plan)?;
    let submissions = submissions(&server, plan)?;
    let chains = chains(&server, plan)?;
    let lists = lists(&server)?;
    let busy = server.memory()?;
    Ok(json!({
        "first start to ready, ms": quantiles(&first),
        "start to ready, ms": quantiles(&again),
        "memory when idle": idle,
        "memory after the load": busy,
        "submitted to finished, ms": quantiles(&one),
        "submissions per second": submissions,
        "stages per second": chains,
        "list of 20, ms": quantiles(&lists),
    }))
}

/// From the start of the process to readiness.
fn start(plan: &Plan, folder: &Path) -> Result<Duration> {
    let server = Server::start(&plan.program, folder)?;
    let took = server.ready_after;
    server.stop()?;
    Ok(took)
}

fn one_at_a_time(server: &Server, plan: &Plan) -> Result<Vec<Duration>> {
    let document = chain(1);
    let mut client = Connection::open(&server.address)?;
    let run = |_| {
        let began = now();
        let id = submit(&mut client, &document)?;
        follow_to_end(&server.address, &id)?;
        Ok(began.elapsed())
    };
    Ok(sorted((0..plan.executions).map(run).collect::<Result<_>>()?))
}

/// Each client submits one after the other; all of them are stored when they are answered.
fn submissions(server: &Server, plan: &Plan) -> Result<f64> {
    let document = chain(1);
    at_once(plan.clients, plan.submissions, || {
        let mut client = Connection::open(&server.address)?;
        for _ in 0..plan.submissions {
            submit(&mut client, &document)?;
        }
        Ok(())
    })
}

fn chains(server: &Server, plan: &Plan) -> Result<f64> {
    let document = chain(CHAIN_STAGES);
    at_once(plan.clients, plan.chains * CHAIN_STAGES, || {
        let mut client = Connection::open(&server.address)?;
        for _ in 0..plan.chains {
            let id = submit(&mut client, &document)?;
            follow_to_end(&server.address, &id)?;
        }
        Ok(())
    })
}

fn lists(server: &Server) -> Result<Vec<Duration>> {
    let mut client = Connection::open(&server.address)?;
    let ask = |_| {
        let began = now();
        let path = "/applications/load/pipelines?limit=20&expand=false";
        let (status, body) = client.send("GET", path, "")?;
        ensure!(status == 200, "a list was refused ({status}): {body}");
        Ok(began.elapsed())
    };
    Ok(sorted((0..LISTS).map(ask).collect::<Result<_>>()?))
}

/// How many of something clients do in a second, if each does so many.
fn at_once(clients: usize, of_each: usize, work: impl Fn() -> Result<()> + Sync) -> Result<f64> {
    let began = now();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..clients).map(|_| scope.spawn(&work)).collect();
        all.into_iter().try_for_each(|one| match one.join() {
            Ok(done) => done,
            Err(_) => anyhow::bail!("a client broke down"),
        })
    })?;
    Ok((clients * of_each) as f64 / began.elapsed().as_secs_f64())
}

/// Stages that do nothing, one behind the other.
fn chain(stages: usize) -> String {
    let stage = |n: usize| {
        let before: Vec<String> =
            (1..n).last().map(|before| before.to_string()).into_iter().collect();
        json!({
            "refId": n.to_string(), "type": "evaluateVariables", "name": format!("stage {n}"),
            "requisiteStageRefIds": before, "variables": [],
        })
    };
    let stages: Vec<Value> = (1..=stages).map(stage).collect();
    json!({"application": "load", "name": format!("chain of {}", stages.len()), "stages": stages})
        .to_string()
}

pub(crate) fn submit(client: &mut Connection, document: &str) -> Result<String> {
    let (status, body) = client.send("POST", "/pipelines/start", document)?;
    ensure!(status == 202, "a submission was refused ({status}): {body}");
    let answer: Value = serde_json::from_str(&body)?;
    let path = answer["ref"].as_str().context("no `ref`")?;
    Ok(path.rsplit('/').next().unwrap_or_default().to_owned())
}

/// Listens to what happens until it says how it ended.
pub(crate) fn follow_to_end(address: &str, id: &str) -> Result<()> {
    let path = format!("/v1/executions/{id}/events");
    let events = Connection::open(address)?.read_until(&path, "event: end")?;
    ensure!(events.contains("SUCCEEDED"), "an execution did not succeed: {events}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the machine's own clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
