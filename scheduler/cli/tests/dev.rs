//! `capstan dev` as a process: what it says, what is in its way, and that killing it loses nothing.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "capstan/dev.rs"]
mod dev;
#[path = "capstan/ended.rs"]
mod ended;
#[path = "capstan/file.rs"]
mod file;
#[path = "capstan/http.rs"]
mod http;
#[path = "capstan/kills.rs"]
mod kills;
#[path = "dev/local.rs"]
mod local;
#[path = "capstan/process.rs"]
mod process;
#[path = "dev/telemetry.rs"]
mod telemetry;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use dev::Dev;
use ended::run;
use kills::kills;
use process::{capstan, wait_for};
use serde_json::{Value, json};
use shared_testkit::traffic::Traffic;

/// Moments at which it is killed, unless `CAPSTAN_TEST_KILLS` says otherwise.
const KILLS: u64 = 24;

#[test]
fn the_sample_runs_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    wait_for("what to type next", || dev.said().contains("pipeline execute").then_some(()));
    let execute = |name: &str, more: &[&str]| {
        let server = format!("http://{}", dev.address);
        let words = ["pipeline", "execute", "--server", &server, "-a", "storefront", name];
        run(capstan().args(words).args(more).arg("--watch"))
    };
    let began = Instant::now();
    let release = execute("release", &[]);
    println!("the sample took {:?}", began.elapsed());
    let next = execute("release", &["-p", "version=2"]);
    let back = execute("roll back", &[]);
    // Its processes outlive the server, so they are ended here, whatever came before.
    let ends = [execute("take down", &[]), execute("take down", &[])];
    for done in [release, next, back].iter().chain(&ends) {
        done.expect(0, &["SUCCEEDED"]);
    }
    execute("take down", &[]).expect(1, &["0 server groups"]);
    assert_eq!(dev.send("DELETE", "/pipelines/storefront/release", &json!({})).unwrap().0, 200);
    assert_eq!(dev.end("-TERM"), Some(0));
    let again = Dev::start(folder.path());
    let left = again.get("/applications/storefront/pipelineConfigs");
    assert_eq!(left.as_array().unwrap().len(), 2);
    assert!(!again.said().contains("sample"), "{}", again.said());
}

/// Requests from before the first switch to behind the last.
const REQUESTS: usize = 5_000;

#[test]
fn the_sample_is_switched_under_traffic_and_no_request_fails() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    wait_for("the sample", || dev.said().contains("pipeline execute").then_some(()));
    let server = format!("http://{}", dev.address);
    let execute = |words: &[&str]| {
        let start = ["pipeline", "execute", "--server", &server, "-a", "storefront"];
        let done = run(capstan().args(start).args(words).args(["--watch", "-o", "json"]));
        done.expect(0, &["SUCCEEDED"]);
        serde_json::from_str::<Value>(&done.out).unwrap()
    };
    let first = execute(&["release"]);
    let port = first["stages"][0]["outputs"]["loadBalancers"][0]["port"].as_u64().unwrap();
    let traffic = Traffic::start(u16::try_from(port).unwrap(), 16);
    traffic.wait_for(REQUESTS / 3).unwrap();
    execute(&["release", "-p", "version=2"]);
    traffic.wait_for(REQUESTS / 3 * 2).unwrap();
    execute(&["roll back"]);
    traffic.wait_for(REQUESTS.max(traffic.sent()) + 500).unwrap();
    let seen = traffic.stop();
    // Its processes outlive the server, so they are ended here, whatever came before.
    (0..2).for_each(|_| drop(execute(&["take down"])));
    let seen = seen.unwrap();
    println!("{seen:?}, none failed");
    assert!(seen.requests >= REQUESTS && seen.slow > 10, "{seen:?}");
    for version in ["Hello from version 1\n", "Hello from version 2\n"] {
        assert!(seen.bodies.get(version).is_some_and(|count| *count > 100), "{seen:?}");
    }
}

#[test]
fn a_second_start_by_mistake_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let port = dev.address.rsplit(':').next().unwrap().to_owned();
    let other = folder.path().join("other");
    run(capstan().args(["dev", "--port", &port, "--data-dir"]).arg(&other))
        .expect(2, &["cannot be listened on", "--port"]);
    assert!(!other.exists());
    let same = folder.path().join("data");
    run(capstan().args(["dev", "--port", "0", "--data-dir"]).arg(&same)).expect(2, &["data"]);
    assert_eq!(dev.get("/readyz")["status"], "ready");
}

/// A pipeline with a wait, a judgment and a check; its answer is kept.
fn pipeline(n: u64) -> Value {
    json!({
        "application": "kills", "name": format!("p{n}"), "id": format!("p{n}"),
        "stages": [
            {"refId": "1", "type": "wait", "waitTime": n % 3, "name": "wait"},
            {"refId": "2", "type": "manualJudgment", "name": "ask", "requisiteStageRefIds": ["1"]},
            {"refId": "3", "type": "checkPreconditions", "name": "check", "requisiteStageRefIds": ["2"],
             "preconditions": [{"type": "stageStatus", "context": {"stageName": "ask", "stageStatus": "SUCCEEDED"}}]},
        ],
    })
}

/// Saves and starts until nobody answers; what was acknowledged is remembered.
fn use_until_killed(dev: &Dev, round: u64, saved: &mut Vec<Value>, started: &mut Vec<String>) {
    for n in round * 1_000.. {
        let Some((status, answer)) = dev.send("POST", "/pipelines", &pipeline(n)) else { return };
        assert_eq!(status, 200, "{answer}");
        saved.push(answer);
        let path = format!("/pipelines/kills/p{n}");
        let Some((status, answer)) = dev.send("POST", &path, &json!({})) else { return };
        assert_eq!(status, 202, "{answer}");
        started.push(answer["ref"].as_str().unwrap().to_owned());
    }
}

/// Answers every judgment that is asked for until all have ended.
fn finish(dev: &Dev, started: &[String]) -> BTreeMap<String, Value> {
    let mut done = BTreeMap::new();
    wait_for("the end of every execution", || {
        for path in started {
            if done.contains_key(path) {
                continue;
            }
            let found = dev.get(path);
            if !found["endTime"].is_null() {
                done.insert(path.clone(), found);
            } else if found["waitingFor"][0]["kind"] == "judgment" {
                let patch = format!("{path}/stages/2");
                dev.send("PATCH", &patch, &json!({"judgmentStatus": "continue"})).unwrap();
            }
        }
        (done.len() == started.len()).then_some(())
    });
    done
}

#[test]
fn killed_at_any_moment_it_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let kills = kills(KILLS);
    let (mut saved, mut started) = (0, 0);
    for first in (0..kills).step_by(KILLS as usize) {
        let (more_saved, more_started) = batch(folder.path(), first..kills.min(first + KILLS));
        saved += more_saved;
        started += more_started;
    }
    println!("{kills} kills, {saved} pipelines saved, {started} started");
    assert!(saved > kills as usize / 2, "too little was acknowledged to prove anything");
}

/// Kills it some times on what earlier batches left, and lets it end what was started meanwhile.
fn batch(folder: &Path, rounds: Range<u64>) -> (usize, usize) {
    let (mut saved, mut started) = (Vec::new(), Vec::new());
    for round in rounds {
        let dev = Dev::start(folder);
        // Spread over what a request, a commit and a start take; the same in every run.
        let killer = dev.kill_after(Duration::from_millis((round * 7_919) % 400));
        use_until_killed(&dev, round, &mut saved, &mut started);
        killer.join().unwrap();
    }
    let dev = Dev::start(folder);
    for pipeline in &saved {
        let path =
            format!("/applications/kills/pipelineConfigs/{}", pipeline["name"].as_str().unwrap());
        assert_eq!(&dev.get(&path), pipeline);
    }
    for (path, execution) in finish(&dev, &started) {
        assert_eq!(execution["status"], "SUCCEEDED", "{path}: {execution:#}");
        let id = path.rsplit('/').next().unwrap();
        let history = dev.get(&format!("/v1/executions/{id}/history"));
        let judged = history.as_array().unwrap().iter().filter(|entry| entry["kind"] == "judged");
        assert_eq!(judged.count(), 1, "{path}");
    }
    (saved.len(), started.len())
}
