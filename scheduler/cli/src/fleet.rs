//! `capstan fleet`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::output::{Rows, text};
use crate::say::say;
use crate::server::{EXIT_CODES, ServerArgs, Session, with_server};

/// Attempts of a worker that are shown; the others are counted.
const SHOWN_MAX: usize = 3;

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct FleetArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// `capstan fleet`.
///
/// # Errors
/// What is in the way on this side.
pub(crate) fn run(arguments: &FleetArgs) -> Result<u8> {
    with_server(&arguments.server, show)
}

async fn show(session: &Session) -> Result<u8> {
    let fleet = session.client.fleet().await?;
    session
        .format
        .print_tables(&fleet, || vec![workers(&fleet), capabilities(&fleet), pools(&fleet)])?;
    if let Some(why) = fleet["heldUp"].as_str() {
        say(&format!("nothing new begins for now: {why}"));
    }
    Ok(0)
}

fn workers(fleet: &Value) -> Rows {
    let row = |worker: &Value| {
        let state = if worker["draining"] == true { "draining" } else { "" };
        vec![
            text(worker, "name"),
            text(worker, "pool"),
            format!("{}/{}", text(worker, "busy"), text(worker, "slots")),
            percent(&worker["cpu"]),
            percent(&worker["memory"]),
            worker["load"].as_f64().map(|load| format!("{load:.1}")).unwrap_or_default(),
            percent(&worker["disk"]),
            seconds(&worker["beatAgeSeconds"]) + " ago",
            state.to_owned(),
            works_on(worker),
        ]
    };
    let titles =
        &["WORKER", "POOL", "BUSY", "CPU", "MEMORY", "LOAD", "DISK", "BEAT", "STATE", "WORKS ON"];
    Rows { titles, rows: list(&fleet["workers"]).iter().map(row).collect() }
}

fn capabilities(fleet: &Value) -> Rows {
    let row = |capability: &Value| {
        let [name, workers, slots] = ["name", "workers", "slots"].map(|key| text(capability, key));
        let [ready, running, oldest] = asked(&capability["demand"]);
        vec![name, workers, slots, ready, running, oldest, text(capability, "wanted")]
    };
    let titles = &["CAPABILITY", "WORKERS", "SLOTS", "READY", "RUNNING", "OLDEST", "WANTED"];
    Rows { titles, rows: list(&fleet["capabilities"]).iter().map(row).collect() }
}

fn pools(fleet: &Value) -> Rows {
    let row = |pool: &Value| {
        let [name, workers, wanted, why] =
            ["name", "workers", "wanted", "why"].map(|key| text(pool, key));
        let [ready, running, oldest] = asked(&pool["demand"]);
        vec![name, workers, ready, running, oldest, wanted, why]
    };
    let titles = &["POOL", "WORKERS", "READY", "RUNNING", "OLDEST", "WANTED", "BECAUSE"];
    Rows { titles, rows: list(&fleet["pools"]).iter().map(row).collect() }
}

fn asked(demand: &Value) -> [String; 3] {
    let oldest = &demand["oldestWaitSeconds"];
    [text(demand, "ready"), text(demand, "running"), seconds(oldest)]
}

/// Executions and stages, the first of them.
fn works_on(worker: &Value) -> String {
    let all = list(&worker["inFlight"]);
    let name =
        |attempt: &Value| format!("{}/{}", text(attempt, "execution"), text(attempt, "stage"));
    let mut shown: Vec<String> = all.iter().take(SHOWN_MAX).map(name).collect();
    if all.len() > SHOWN_MAX {
        shown.push(format!("and {} more", all.len() - SHOWN_MAX));
    }
    shown.join(", ")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn percent(share: &Value) -> String {
    share.as_f64().map(|share| format!("{:.0} %", share * 100.0)).unwrap_or_default()
}

fn seconds(value: &Value) -> String {
    value.as_f64().map(|seconds| format!("{seconds:.0} s")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_worker_is_one_line_whatever_it_works_on() {
        let attempt = |n: u8| json!({ "execution": format!("e{n}"), "stage": "1" });
        let worker = json!({
            "name": "w", "pool": null, "busy": 5, "slots": 8, "cpu": 0.126, "memory": 0.5, "load": 1.25, "disk": 0.4,
            "beatAgeSeconds": 1.4, "draining": true, "inFlight": (1..=5).map(attempt).collect::<Vec<_>>(),
        });
        let rows = workers(&json!({ "workers": [worker] })).rows;
        let works_on = "e1/1, e2/1, e3/1, and 2 more";
        assert_eq!(
            rows,
            [["w", "", "5/8", "13 %", "50 %", "1.2", "40 %", "1 s ago", "draining", works_on]]
        );
    }

    #[test]
    fn what_nobody_waits_for_has_no_wait() {
        let demand = json!({ "ready": 0, "running": 2, "oldestWaitSeconds": null });
        let pool =
            json!({ "name": "bake", "workers": 1, "demand": demand, "wanted": 1, "why": "so" });
        let rows = pools(&json!({ "pools": [pool] })).rows;
        assert_eq!(rows, [["bake", "1", "0", "2", "", "1", "so"]]);
    }
}
