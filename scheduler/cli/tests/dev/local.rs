//! `kill -9` of the server in the middle of deploys to this machine: each is finished, each makes one
//! server group, and no process is left that belongs to none.

use std::time::Duration;

use serde_json::{Value, json};

use crate::dev::Dev;
use crate::kills::kills;
use crate::process::wait_for;

/// Moments at which it is killed, unless `CAPSTAN_TEST_KILLS` says otherwise; a deploy takes a tenth of a second or two.
const KILLS: u64 = 26;

/// Starts a pipeline of the sample; where its execution is.
fn start(dev: &Dev, name: &str, parameters: &Value) -> String {
    let path = format!("/pipelines/storefront/{name}");
    let body = json!({ "parameters": parameters });
    let (status, answer) = dev.send("POST", &path, &body).unwrap();
    assert_eq!(status, 202, "{answer}");
    answer["ref"].as_str().unwrap().to_owned()
}

fn ended(dev: &Dev, path: &str) -> Value {
    wait_for("the end of an execution", || {
        Some(dev.get(path)).filter(|found| !found["endTime"].is_null())
    })
}

/// The processes of the service that these executions started: each carries its effect's key, which
/// begins with the execution's id.
fn services(executions: &[String]) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_ours = |process: &std::path::Path| {
        let bytes = std::fs::read(process.join("environ")).unwrap_or_default();
        let variables = String::from_utf8_lossy(&bytes).into_owned();
        let effect = variables.split('\0').find(|one| one.starts_with("CAPSTAN_EFFECT="));
        effect.is_some_and(|effect| executions.iter().any(|id| effect.contains(id.as_str())))
    };
    processes.filter(|process| is_ours(&process.path())).count()
}

#[test]
fn a_deploy_that_is_killed_is_finished_and_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = Dev::start(folder.path());
    wait_for("the sample", || first.said().contains("pipeline execute").then_some(()));
    assert_eq!(first.end("-TERM"), Some(0));
    let mut executions = Vec::new();
    for round in 0..kills(KILLS) {
        let dev = Dev::start(folder.path());
        let path = start(&dev, "release", &json!({ "version": round.to_string() }));
        executions.push(path.rsplit('/').next().unwrap().to_owned());
        // The same moments in every run, spread over a deploy.
        dev.kill_after(Duration::from_millis((round * 37) % 260)).join().unwrap();
        drop(dev);
        let dev = Dev::start(folder.path());
        let execution = ended(&dev, &path);
        assert_eq!(execution["status"], "SUCCEEDED", "round {round}: {execution:#}");
        let made = &execution["stages"][0]["outputs"]["deploy.server.groups"]["local"][0];
        assert_eq!(made, &format!("storefront-prod-v{round:03}"), "round {round}");
        let kept = 2 * (round.min(1) as usize + 1);
        assert_eq!(services(&executions), kept, "round {round}: two of each server group");
    }
    let dev = Dev::start(folder.path());
    for _ in 0..2 {
        let path = start(&dev, "take%20down", &json!({}));
        assert_eq!(ended(&dev, &path)["status"], "SUCCEEDED");
    }
    assert_eq!(services(&executions), 0);
}
