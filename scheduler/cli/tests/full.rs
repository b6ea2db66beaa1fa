//! A server whose disk fills up while it is used, and has room again. Mounts a file system, so this
//! needs root.

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
#[path = "capstan/mounted.rs"]
mod mounted;
#[path = "capstan/process.rs"]
mod process;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dev::Dev;
use ended::{Ended, run};
use file::file;
use mounted::Mounted;
use process::{capstan, wait_for};
use serde_json::{Value, json};

/// A helm that says a line every now and then for as long as there is a file `hold`.
const HELM: &str = "\
#!/bin/sh
n=0
while [ -e \"${0%/*}/hold\" ]; do n=$((n + 1)); printf '%0500d line %d\\n' 0 $n >&2; sleep 0.3; done
echo 'kind: A'
";
/// How long the disk stays full: a warning comes every ten seconds.
const FULL_FOR: Duration = Duration::from_secs(23);
const WAITS: usize = 5;

/// What users were told is done.
#[derive(Default)]
struct Acknowledged {
    saved: Vec<Value>,
    started: Vec<String>,
    refused: usize,
}

#[test]
fn on_a_full_disk_everything_waits_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Mounted::tmpfs("12m");
    let helm = helm(folder.path());
    let more = ["--helm", helm.to_str().unwrap(), "--artifacts-root"];
    let root = folder.path().to_str().unwrap();
    let dev = Dev::start_in(folder.path(), &disk.place.join("data"), |command| {
        command.args(more).arg(root);
    });
    let mut done = Acknowledged::default();
    let bake = start(&dev, &bake());
    let ask = start(&dev, &ask());
    done.started.extend((0..WAITS).map(|n| start(&dev, &wait(n))));
    wait_for("the judgment", || {
        (dev.get(&ask)["waitingFor"][0]["kind"] == "judgment").then_some(())
    });
    wait_for("the first line", || log(&dev, &bake).contains("line 1").then_some(()));

    let ballast = disk.place.join("ballast");
    disk.fill(&ballast);
    let full_since = Instant::now();
    for n in 0.. {
        use_it(&dev, n, &mut done);
        // What the database gives free in between is filled up, too.
        disk.fill(&ballast);
        if done.refused > 20 && full_since.elapsed() > FULL_FOR {
            break;
        }
        everything_can_be_read(&dev, &done, &ask);
    }
    waits_for_room(&dev, &done, &ask);

    std::fs::remove_file(folder.path().join("hold")).unwrap();
    std::fs::remove_file(&ballast).unwrap();
    wait_for("readiness", || (dev.get("/readyz")["status"] == "ready").then_some(()));
    judge(&dev, &ask).expect(0, &[]);
    done.started.extend([ask, bake.clone()]);
    for path in &done.started {
        let ended = wait_for("the end", || Some(dev.get(path)).filter(|e| !e["endTime"].is_null()));
        assert_eq!(ended["status"], "SUCCEEDED", "{path}: {ended:#}\n{}", dev.said());
    }
    everything_is_there(&dev, &done);
    let Acknowledged { saved, started, refused } = &done;
    println!("{} saved, {} started, {refused} refused", saved.len(), started.len());
    every_line_is_there(&log(&dev, &bake));
    assert!(dev.said().contains("it can be stored again; the work goes on"), "{}", dev.said());
    dev.kill_after(Duration::ZERO).join().unwrap();
    let again = Dev::start(&disk.place);
    everything_is_there(&again, &done);
    assert_eq!(again.end("-TERM"), Some(0));
}

fn helm(folder: &Path) -> PathBuf {
    let helm = file(folder, "helm", HELM);
    std::fs::set_permissions(&helm, PermissionsExt::from_mode(0o755)).unwrap();
    file(folder, "hold", "");
    std::fs::create_dir(folder.join("chart")).unwrap();
    file(&folder.join("chart"), "Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n");
    helm
}

fn wait(n: usize) -> Value {
    let stages = json!([
        {"refId": "1", "type": "wait", "waitTime": 3, "name": "wait"},
        {"refId": "2", "type": "wait", "waitTime": 1, "name": "again", "requisiteStageRefIds": ["1"]},
    ]);
    json!({"application": "full", "name": format!("wait {n}"), "stages": stages})
}

fn ask() -> Value {
    json!({"application": "full", "name": "ask", "stages": [
        {"refId": "1", "type": "manualJudgment", "name": "ask"}]})
}

fn bake() -> Value {
    let chart = json!({ "type": "local/file", "name": "chart", "reference": "chart" });
    let matched = json!({ "type": "embedded/base64", "name": "shop" });
    json!({"application": "full", "name": "bake", "stages": [{
        "refId": "1", "type": "bakeManifest", "name": "Bake", "templateRenderer": "HELM3",
        "outputName": "shop", "inputArtifacts": [{ "artifact": chart }],
        "expectedArtifacts": [{ "id": "m", "matchArtifact": matched }],
    }]})
}

fn start(dev: &Dev, document: &Value) -> String {
    let (status, answer) = dev.send("POST", "/pipelines/start", document).unwrap();
    assert_eq!(status, 202, "{answer}");
    answer["ref"].as_str().unwrap().to_owned()
}

/// Saves something that needs room, and starts something; what is not done is refused clearly.
fn use_it(dev: &Dev, n: usize, done: &mut Acknowledged) {
    let document = json!({
        "application": "full", "name": format!("saved {n}"), "id": format!("saved-{n}"),
        "description": "x".repeat(100_000), "stages": [],
    });
    match dev.send("POST", "/pipelines", &document).unwrap() {
        (200, saved) => done.saved.push(saved),
        refused => done.refused += is_full(&refused),
    }
    match dev.send("POST", "/pipelines/start", &wait(WAITS + n)).unwrap() {
        (202, started) => done.started.push(started["ref"].as_str().unwrap().to_owned()),
        refused => done.refused += is_full(&refused),
    }
}

/// One more refusal, and it says what to do.
fn is_full((status, answer): &(u16, Value)) -> usize {
    assert_eq!((*status, &answer["code"]), (507, &json!("store-full")), "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("free some room there and send it again"), "{message}");
    1
}

fn everything_can_be_read(dev: &Dev, done: &Acknowledged, ask: &str) {
    assert_eq!(dev.get(ask)["status"], "RUNNING");
    let saved = done.saved.len();
    let found = dev.get("/applications/full/pipelineConfigs");
    assert_eq!(found.as_array().unwrap().len(), saved);
    let (status, _) = dev.send("GET", "/applications/full/pipelines", &Value::Null).unwrap();
    assert_eq!(status, 200);
}

fn waits_for_room(dev: &Dev, done: &Acknowledged, ask: &str) {
    judge(dev, ask).expect(1, &["no space left on the server's device", "send it again"]);
    let (status, ready) = dev.send("GET", "/readyz", &Value::Null).unwrap();
    assert_eq!(status, 503, "{ready}");
    for name in ["journal", "blobs"] {
        let checks = ready["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(check["status"], "failed", "{ready}");
        assert!(check["why"].as_str().unwrap().contains("no space left"), "{ready}");
    }
    let said = dev.said();
    let warnings = said.matches("executions wait, and go on by themselves").count();
    assert!((2..=4).contains(&warnings), "{warnings} warnings in {FULL_FOR:?}:\n{said}");
    let of_log = said.matches("lines of a stage's log wait for room").count();
    assert!((1..=4).contains(&of_log), "{of_log} warnings in {FULL_FOR:?}:\n{said}");
    assert!(said.lines().count() < 60, "{said}");
    let waiting = done.started.iter().filter(|path| dev.get(path)["status"] == "RUNNING");
    assert!(waiting.count() > 0, "nothing waits");
}

/// As a user answers it.
fn judge(dev: &Dev, ask: &str) -> Ended {
    let server = format!("http://{}", dev.address);
    run(capstan().args(["execution", "judge", id(ask), "--continue", "--server", &server]))
}

fn everything_is_there(dev: &Dev, done: &Acknowledged) {
    for saved in &done.saved {
        let name = saved["name"].as_str().unwrap().replace(' ', "%20");
        assert_eq!(&dev.get(&format!("/applications/full/pipelineConfigs/{name}")), saved);
    }
    let all = dev.get("/applications/full/executions/search?size=500");
    let all = all.as_array().unwrap().len();
    assert_eq!(all, done.started.len(), "what was refused was not started");
}

fn log(dev: &Dev, execution: &str) -> String {
    let path = format!("/v1/executions/{}/stages/1/log", id(execution));
    dev.get(&path).as_str().unwrap_or_default().to_owned()
}

fn id(execution: &str) -> &str {
    execution.rsplit('/').next().unwrap()
}

fn every_line_is_there(log: &str) {
    let lines: Vec<usize> =
        log.lines().filter_map(|line| line.rsplit_once("line ")?.1.trim().parse().ok()).collect();
    let expected: Vec<usize> = (1..=lines.len()).collect();
    assert_eq!(lines, expected, "{log}");
    assert!(log.contains("no space is left on the device"), "why it waited: {log}");
}
