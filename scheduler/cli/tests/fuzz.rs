//! The API, as its description says it is, against requests that schemathesis makes up from it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "capstan/http.rs"]
mod http;
#[path = "capstan/listening.rs"]
mod listening;
#[path = "capstan/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use listening::Listening;
use process::wait_for;
use serde_json::{Value, json};

/// Requests that one run of the tests sends at least.
const REQUESTS_MIN: u64 = 5_000;
/// Requests of which a run sees enough, by this variable: for long runs by hand.
const REQUESTS_VARIABLE: &str = "CAPSTAN_FUZZ_REQUESTS";
/// The seed to begin with, by this variable: 1 unless said.
const SEED_VARIABLE: &str = "CAPSTAN_FUZZ_SEED";
/// Examples of each operation that one slice makes up.
const EXAMPLES: u64 = 60;
/// How long one slice may take, in seconds.
const SLICE_SECONDS: u64 = 300;

fn send(server: &Listening, method: &str, path: &str, body: &Value) -> (u16, Value) {
    http::send(&server.address, method, path, &body.to_string()).unwrap()
}

/// What requests find: without it nearly all of them would end with 404.
fn prepare(server: &Listening) -> Value {
    // Nothing may start a process of the sample.
    let all = "/applications/storefront/pipelineConfigs";
    wait_for("the sample", || {
        let listed = send(server, "GET", all, &json!({})).1;
        listed.as_array().is_some_and(|listed| listed.len() == 3).then_some(())
    });
    for name in ["release", "roll%20back", "take%20down"] {
        let path = format!("/pipelines/storefront/{name}");
        assert_eq!(send(server, "DELETE", &path, &json!({})).0, 200);
    }
    let ask = json!({"refId": "ask", "type": "manualJudgment", "name": "Ask"});
    let pipeline = json!({"application": "shop", "name": "release", "id": "p1", "stages": [ask]});
    assert_eq!(send(server, "POST", "/pipelines", &pipeline).0, 200);
    let id = |path: &str, body: &Value| {
        let (status, answer) = send(server, "POST", path, body);
        assert!(matches!(status, 200 | 202), "{answer}");
        answer["ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    let waits = id("/pipelines/shop/release", &json!({}));
    let mut once = pipeline.clone();
    once["stages"] = json!([{"refId": "ask", "type": "wait", "waitTime": 0}]);
    let ends = id("/pipelines/start", &once);
    let job = json!([{"type": "createApplication", "application": {"name": "web"}}]);
    let task = id("/tasks", &json!({"application": "web", "job": job}));
    json!({
        "id": ["p1", waits, ends, task], "app": ["shop", "*"],
        "name": ["release", "p1", "local"], "stage": ["ask"],
    })
}

/// Sends one slice of requests; how many answers had which status.
fn slice(server: &Listening, folder: &Path, known: &Value, seed: u64) -> BTreeMap<u16, u64> {
    let program = shared_testkit::install::schemathesis(&mut |line| eprintln!("{line}")).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let counts = folder.join("counts");
    let mut command = Command::new("timeout");
    command.args(["--kill-after", "5", &SLICE_SECONDS.to_string()]).arg(program);
    command.arg("--no-color").arg("--config-file").arg(here.join("schemathesis.toml"));
    command.arg("run").arg(format!("http://{}/v1/openapi.json", server.address));
    // With one worker a seed means the same requests each time; two get in each other's way.
    let (seed, examples) = (seed.to_string(), EXAMPLES.to_string());
    command.args(["--seed", &seed, "--max-examples", &examples, "--workers", "1"]);
    command.args(["--request-timeout", "10", "--generation-database", "none"]);
    command.current_dir(folder).env("SCHEMATHESIS_HOOKS", here.join("hooks.py"));
    command.env("KNOWN", known.to_string()).env("COUNTS_FILE", &counts);
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONHASHSEED", "0");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "seed {seed}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&std::fs::read(counts).unwrap()).unwrap()
}

/// A number of the environment.
fn said(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

#[test]
fn the_api_is_what_its_description_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = Listening::start(folder.path());
    let known = prepare(&server);
    let (wanted, first) = (said(REQUESTS_VARIABLE, REQUESTS_MIN), said(SEED_VARIABLE, 1));
    let (began, mut all) = (Instant::now(), BTreeMap::<u16, u64>::new());
    for seed in first.. {
        for (status, count) in slice(&server, folder.path(), &known, seed) {
            *all.entry(status).or_default() += count;
        }
        let sent: u64 = all.values().sum();
        let (took, memory) = (began.elapsed(), server.memory_kib());
        println!("seed {seed}: {sent} requests in {took:?}, {memory} KiB of memory: {all:?}");
        if sent >= wanted {
            break;
        }
        assert!(seed - first < wanted / 100, "slices are too small");
    }
    assert!(all.values().sum::<u64>() >= wanted);
    let well: u64 = all.range(200..300).map(|(_, count)| count).sum();
    assert!(well * 10 > wanted, "hardly anything was found: {all:?}");
    let asked = Instant::now();
    assert_eq!(send(&server, "GET", "/readyz", &json!({})).1["status"], "ready");
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
}
