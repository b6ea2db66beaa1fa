//! `capstan run` and `capstan validate` without a server: what users do, and what goes wrong.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "capstan/ended.rs"]
mod ended;
#[path = "capstan/file.rs"]
mod file;
#[path = "capstan/process.rs"]
mod process;

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ended::{Ended, ended, run};
use file::file;
use process::{capstan, kill, wait_for};
use serde_json::{Value, json};
use shared_testkit::http_server::{HttpServer, Reply};

fn example(name: &str) -> String {
    format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A document's run in a data folder of its own.
fn run_text(text: &str, more: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let document = file(folder.path(), "pipeline.json", text);
    let data = folder.path().join("data");
    run(capstan().arg("run").arg(document).arg("--data-dir").arg(data).args(more))
}

#[test]
fn the_example_of_the_readme_succeeds_and_its_state_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let done = run(capstan()
        .args(["run", &example("hello.json"), "-p", "who=tests", "-o", "json", "--data-dir"])
        .arg(data));
    done.expect(0, &["hello: SUCCEEDED"]);
    let execution: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(execution["status"], "SUCCEEDED");
    assert_eq!(execution["stages"][0]["outputs"], json!({"greeting": "hello tests"}));
}

#[test]
fn stdout_is_empty_unless_json_is_asked_for() {
    let done =
        run_text(r#"{"application":"a","name":"p","stages":[{"refId":"1","type":"wait"}]}"#, &[]);
    done.expect(0, &["p: SUCCEEDED"]);
    assert_eq!(done.out, "");
}

#[test]
fn a_failed_run_says_why_and_exits_with_1() {
    let text =
        r#"{"application":"a","name":"p","stages":[{"refId":"1","type":"noSuchType","name":"x"}]}"#;
    run_text(text, &[]).expect(1, &["stage-type-unknown", "p: TERMINAL", "noSuchType", "wait"]);
}

#[test]
fn a_missing_parameter_is_named() {
    let text = r#"{"application":"a","name":"p","parameterConfig":[{"name":"tag","required":true}],
                   "stages":[{"refId":"1","type":"wait"}]}"#;
    run_text(text, &[]).expect(2, &["Required parameter tag is missing", "--parameter tag=VALUE"]);
    run_text(text, &["-p", "tag=1"]).expect(0, &["SUCCEEDED"]);
}

#[test]
fn unreadable_json_has_a_line() {
    run_text("{\n \"a\": 1\n \"b\": 2\n}", &[])
        .expect(2, &["document-unreadable", "pipeline.json:3"]);
}

#[test]
fn a_cycle_and_a_duplicate_are_both_listed_with_lines() {
    let text = "{\"application\":\"a\",\"name\":\"p\",\"stages\":[\n\
        {\"refId\":\"1\",\"type\":\"wait\"},\n{\"refId\":\"1\",\"type\":\"wait\"},\n\
        {\"refId\":\"2\",\"type\":\"wait\",\"requisiteStageRefIds\":[\"2\"]}]}";
    run_text(text, &[]).expect(2, &["duplicate-ref-id", "self-edge", ":3", ":4"]);
    let circle = r#"{"application":"a","name":"p","stages":[
        {"refId":"1","type":"wait","requisiteStageRefIds":["2"]},
        {"refId":"2","type":"wait","requisiteStageRefIds":["1"]}]}"#;
    run_text(circle, &[]).expect(2, &["stage-cycle", "→"]);
    let both = r#"{"application":"a","name":"p","stages":[
        {"refId":"1","type":"wait","requisiteStageRefIds":["2"]},
        {"refId":"2","type":"wait","requisiteStageRefIds":["1"]},
        {"refId":"3","type":"wait"},{"refId":"3","type":"wait"}]}"#;
    run_text(both, &[]).expect(2, &["stage-cycle", "duplicate-ref-id"]);
}

#[test]
fn too_many_stages_name_the_limit() {
    let stages: Vec<Value> = (0..2_001).map(|n| json!({"refId": n, "type": "wait"})).collect();
    let text = json!({"application": "a", "name": "p", "stages": stages}).to_string();
    run_text(&text, &[]).expect(2, &["2001 stages, the limit is 2000 (stages_max)"]);
}

#[test]
fn three_mebibytes_are_too_much() {
    let text = json!({"application": "a", "name": "p", "x": "y".repeat(3 << 20)}).to_string();
    run_text(&text, &[]).expect(2, &["document_bytes_max"]);
}

#[test]
fn a_hundred_thousand_levels_are_too_deep() {
    let text = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    run_text(&text, &[]).expect(2, &["document_depth_max"]);
}

#[test]
fn control_characters_in_names_are_refused() {
    let text = r#"{"application":"a","name":"p","stages":[{"refId":"1","type":"wait","name":"x\u0007y"}]}"#;
    run_text(text, &[]).expect(2, &["U+0007", "/stages/0/name"]);
}

#[test]
fn bad_usage_exits_with_2() {
    run(capstan().args(["run"])).expect(2, &["FILE"]);
    run(capstan().args(["run", "/no/such/file.json"])).expect(2, &["/no/such/file.json"]);
    run(capstan().args(["run", "x.json", "--no-such-flag"])).expect(2, &["--no-such-flag"]);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let bad = ["run", &example("hello.json"), "--kubeconfig", "/no/such/kubeconfig", "--data-dir"];
    run(capstan().args(bad).arg(data)).expect(2, &["/no/such/kubeconfig"]);
}

#[test]
fn a_deploy_without_a_cluster_says_how_to_name_one() {
    let text = r#"{"application":"a","name":"p","stages":[{"refId":"1","type":"deployManifest",
        "account":"prod","manifests":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}]}]}"#;
    run_text(text, &[]).expect(1, &["no account `prod`", "--kubeconfig"]);
}

/// Takes a job at `/jobs`, which is done at the third look.
fn job_runner() -> HttpServer {
    let looks = AtomicUsize::new(0);
    HttpServer::start(move |asked| match asked.path.as_str() {
        "/jobs?token=hunter2" => Reply::location(201, "/jobs/7"),
        _ if looks.fetch_add(1, Ordering::SeqCst) < 2 => {
            Reply::json(200, &json!({ "state": "running", "message": "1 of 2" }))
        }
        _ => Reply::json(200, &json!({ "state": "Passed", "message": "2 of 2" })),
    })
    .unwrap()
}

fn run_webhook(server: &HttpServer, more: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let document = format!("{}/../../worker/examples/webhook.json", env!("CARGO_MANIFEST_DIR"));
    let url = format!("url={}", server.url("/jobs?token=hunter2"));
    let data = folder.path().join("data");
    run(capstan()
        .args(["run", &document, "-p", &url, "-o", "json", "--data-dir"])
        .arg(data)
        .args(more))
}

#[test]
fn a_webhook_asks_what_is_opened_and_waits_for_its_end() {
    let server = job_runner();
    let done = run_webhook(&server, &["--allow-url", "127.0.0.1"]);
    done.expect(0, &["smoke test: SUCCEEDED"]);
    let execution: Value = serde_json::from_str(&done.out).unwrap();
    let webhook = &execution["stages"][0]["context"]["webhook"];
    assert_eq!(webhook["statusEndpoint"], server.url("/jobs/7"));
    assert_eq!(webhook["monitor"]["body"]["state"], "Passed");
    assert_eq!(execution["stages"][1]["outputs"]["message"], "2 of 2");
    let asked = server.asked();
    assert_eq!(asked.len(), 4, "one request and three looks: {asked:?}");
    let sent: Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(sent, json!({ "suite": "smoke", "for": execution["id"] }));
    assert!(
        asked[0].header("idempotency-key").unwrap().starts_with(execution["id"].as_str().unwrap())
    );
}

#[test]
fn the_target_of_a_webhook_hears_that_its_time_is_up() {
    let server = HttpServer::start(|_| Reply::json(200, &json!({ "state": "running" }))).unwrap();
    let text = json!({ "application": "a", "name": "p", "stages": [{
        "refId": "1", "type": "webhook", "url": server.url("/job"), "stageTimeoutMs": 1500,
        "waitForCompletion": true, "statusJsonPath": "$.state", "successStatuses": "done",
        "cancelEndpoint": server.url("/stop"), "cancelMethod": "DELETE",
    }]});
    let done = run_text(&text.to_string(), &["--allow-url", "127.0.0.1"]);
    done.expect(1, &["p: TERMINAL", "stageTimeoutMs"]);
    let asked = server.asked();
    let told: Vec<_> = asked.iter().filter(|asked| asked.path == "/stop").collect();
    assert!(told.len() == 1 && told[0].method == "DELETE", "{asked:?}");
}

#[test]
fn a_webhook_to_what_is_not_opened_says_how_to_open_it() {
    let server = job_runner();
    let open = format!("`--allow-url 127.0.0.1:{}`", server.port());
    for more in [&[][..], &["--allow-url", "127.0.0.1:1,10.0.0.0/8"]] {
        let done = run_webhook(&server, more);
        done.expect(1, &["smoke test: TERMINAL", "this machine (loopback)", &open]);
        assert!(!done.err.contains("hunter2"), "{}", done.err);
    }
    assert_eq!(server.asked(), []);
    run_webhook(&server, &["--allow-url", "http://127.0.0.1/"])
        .expect(2, &["is a URL", "*.example.com"]);
}

#[test]
fn fields_that_are_not_carried_out_are_named() {
    let text = r#"{"application":"a","name":"p","triggers":[{"type":"cron"}],
        "notifications":[{"type":"email"}],"stages":[{"refId":"1","type":"wait"}]}"#;
    let parts = ["`triggers` has no effect yet", "`notifications` has no effect yet"];
    run_text(text, &[]).expect(0, &parts);
}

#[test]
fn a_window_that_never_opens_is_refused_by_name() {
    let text = r#"{"application":"a","name":"p","stages":[{"refId":"1","type":"wait",
        "restrictExecutionDuringTimeWindow":true,"restrictedExecutionWindow":{"days":[8]}}]}"#;
    run_text(text, &[]).expect(2, &["days` is 8", "1 (Sunday) to 7 (Saturday)"]);
}

#[test]
fn validate_lists_errors_and_warnings() {
    let folder = tempfile::tempdir().unwrap();
    run(capstan().args(["validate", &example("hello.json")])).expect(0, &["nothing is wrong"]);
    let text = r#"{"application":"a","name":"p","triggers":[{}],"stages":[{"refId":"1","type":"wait"},{"refId":"1","type":"wait"}]}"#;
    let document = file(folder.path(), "p.json", text);
    let done = run(capstan().arg("validate").arg(&document).args(["-o", "json"]));
    done.expect(2, &["error[duplicate-ref-id]", "warning[field-without-effect]"]);
    let problems: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(problems[0]["code"], "duplicate-ref-id");
}

#[test]
fn yaml_is_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = "application: a\nname: p\nstages:\n- {refId: 1, type: wait}\n";
    let document = file(folder.path(), "p.yaml", text);
    let data = folder.path().join("data");
    run(capstan().arg("run").arg(document).arg("--data-dir").arg(data))
        .expect(0, &["p: SUCCEEDED"]);
}

#[test]
fn two_processes_on_one_folder_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let text =
        r#"{"application":"a","name":"p","stages":[{"refId":"1","type":"wait","waitTime":60}]}"#;
    let document = file(folder.path(), "p.json", text);
    let mut first = capstan()
        .arg("run")
        .arg(&document)
        .arg("--data-dir")
        .arg(&data)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the data folder", || data.join("capstan.lock").exists().then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    let second = run(capstan().arg("run").arg(&document).arg("--data-dir").arg(&data));
    kill(first.id());
    first.wait().unwrap();
    second.expect(2, &["is in use by", &first.id().to_string()]);
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let text =
        r#"{"application":"a","name":"p","stages":[{"refId":"1","type":"wait","waitTime":5}]}"#;
    let document = file(folder.path(), "p.json", text);
    let child = capstan()
        .arg("run")
        .arg(&document)
        .arg("--data-dir")
        .arg(&data)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    ended(child).expect(130, &["interrupted", "capstan run --resume --data-dir"]);
    let resumed = run(capstan().args(["run", "--resume", "--data-dir"]).arg(&data));
    resumed.expect(0, &["p: SUCCEEDED"]);
    let nothing = run(capstan().args(["run", "--resume", "--data-dir"]).arg(&data));
    nothing.expect(0, &["nothing to resume"]);
}
