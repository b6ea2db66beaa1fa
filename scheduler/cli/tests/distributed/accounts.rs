//! Work goes to the workers that have the credentials for it, and nowhere else.

use std::path::PathBuf;

use serde_json::{Value, json};
use shared_testkit::env;

use crate::ended::run;
use crate::process::wait_for;
use crate::role::command;
use crate::server::Server;

/// The stages of the pipeline.
const STAGES: usize = 6;

/// A kubeconfig that has one of the test cluster's contexts.
fn kubeconfig(server: &Server, context: &str) -> PathBuf {
    let text = std::fs::read_to_string(env::kubeconfig()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let contexts = config["contexts"].as_array_mut().unwrap();
    contexts.retain(|one| one["name"] == context);
    server.file(&format!("{context}.kubeconfig"), &config.to_string())
}

/// Writes config maps, each in a stage of its own.
fn deploys(account: &str) -> Value {
    let stage = |number: usize| {
        let name = format!("accounts-{}-{number}", std::process::id());
        let manifest = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": "default" }, "data": { "by": account },
        });
        json!({
            "refId": number.to_string(), "type": "deployManifest", "name": format!("Deploy {number}"),
            "account": account, "manifests": [manifest],
        })
    };
    let stages: Vec<Value> = (0..STAGES).map(stage).collect();
    json!({ "application": "shop", "name": format!("deploy to {account}"), "stages": stages })
}

fn start(server: &Server, account: &str) -> String {
    server.save(&deploys(account));
    let name = format!("deploy to {account}");
    server.out(&["pipeline", "execute", "-a", "shop", &name]).trim().to_owned()
}

/// Two workers, each with an account of its own.
fn two_accounts() -> Server {
    let mut server = Server::without_workers(Vec::new(), |_, _| ());
    for (number, context) in ["nobody", "capstan-test"].into_iter().enumerate() {
        let file = kubeconfig(&server, context);
        let worker = server.start_worker_with(number, &["--kubeconfig", file.to_str().unwrap()]);
        drop(worker.address());
        server.workers.push(worker);
    }
    server
}

#[test]
fn a_deploy_goes_only_to_a_worker_that_reaches_its_account() {
    let server = two_accounts();
    let said = server.workers[1].said();
    assert!(said.contains("deploy.kubernetes@capstan-test"), "{said}");
    let id = start(&server, "capstan-test");
    let watched = server.run(&["execution", "watch", &id]);
    watched.expect(0, &["worker-1 began", ": SUCCEEDED"]);
    assert!(!watched.err.contains("worker-0 began"), "{}", watched.err);
}

#[test]
fn an_account_that_no_worker_reaches_is_waited_for_and_said() {
    let mut server = two_accounts();
    let id = start(&server, "prod");
    let unblock = wait_for("the reason", || {
        let execution = server.json(&["execution", "get", &id]);
        let waits = execution["waitingFor"].as_array().unwrap();
        let unblock = waits.first().and_then(|wait| wait["unblock"].as_str()).unwrap_or_default();
        unblock.contains("no live worker").then(|| unblock.to_owned())
    });
    for part in [
        "`deploy.kubernetes` that reaches the account `prod`",
        "no live worker reaches `prod`",
        "worker-0 (accounts: nobody)",
        "worker-1 (accounts: capstan-test)",
    ] {
        assert!(unblock.contains(part), "`{part}` is missing in: {unblock}");
    }
    // Whatever documents name, no queue is made for it that nobody reads.
    let queues = server.scene.queues();
    assert!(!queues.iter().any(|queue| queue.ends_with("@prod")), "{queues:?}");
    let file = kubeconfig(&server, "capstan-test");
    let flags = ["--kubeconfig", file.to_str().unwrap(), "--account", "prod=capstan-test"];
    server.workers.push(server.start_worker_with(2, &flags));
    let watched = server.run(&["execution", "watch", &id]);
    watched.expect(0, &["worker-2 began", ": SUCCEEDED"]);
    assert!(!watched.err.contains("worker-0 began"), "{}", watched.err);
    assert!(!watched.err.contains("worker-1 began"), "{}", watched.err);
}

#[test]
fn a_worker_without_accounts_is_not_asked_to_deploy() {
    let server = Server::without_workers(Vec::new(), |_, _| ());
    let settings = server.folder.path().join("data/settings.yaml");
    let mut worker = command("worker", &settings);
    let ended = run(worker.args(["--capability", "deploy.kubernetes"]));
    ended.expect(2, &["reaches no account", "--kubeconfig", "worker.in_cluster"]);
    let mut worker = command("worker", &settings);
    worker.env_remove("KUBERNETES_SERVICE_HOST").args(["--in-cluster", "own"]);
    run(&mut worker).expect(2, &["this is no pod", "KUBERNETES_SERVICE_HOST"]);
}
