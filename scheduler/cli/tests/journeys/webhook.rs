//! Webhooks whose answer never comes, and those that are cancelled.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared_testkit::http_server::{Asked, HttpServer, Reply};

use crate::process::wait_for;
use crate::server::Server;

/// How long a cancel may take to reach what it is to end: 2 s is what is promised, the rest is for a
/// machine that does much else.
const REACHED_MAX: Duration = Duration::from_secs(10);
/// More than may wait on a slot for their target.
const MONITORS: usize = 8;

/// Saves a pipeline of one webhook, and starts it.
fn started(server: &Server, more: &Value) -> String {
    let mut hook = json!({ "refId": "1", "type": "webhook", "name": "Hook" });
    hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.save(&json!({ "application": "shop", "name": "hook", "stages": [hook] }));
    server.out(&["pipeline", "execute", "-a", "shop", "hook"]).trim().to_owned()
}

fn asks(server: &Server, id: &str) -> Value {
    wait_for("the question", || {
        let execution = server.json(&["execution", "get", id]);
        let asks = execution["waitingFor"][0]["kind"] == "outcome";
        asks.then_some(execution)
    })
}

#[test]
fn a_request_whose_answer_never_came_asks_what_became_of_it() {
    let server = Server::start();
    let target = HttpServer::start(|_| Reply::Raw(Box::new(|_| Ok(())))).unwrap();
    for (word, code, status) in [("done", 0, "SUCCEEDED"), ("fail", 1, "TERMINAL")] {
        let before = target.asked().len();
        let id = started(&server, &json!({ "url": target.url("/deploy") }));
        let execution = asks(&server, &id);
        let said = execution["stages"][0]["context"]["webhook"]["error"].as_str().unwrap();
        assert!(said.contains("is not known") && said.contains("idempotent"), "{said}");
        let shown = server.run(&["execution", "get", &id]);
        let answer = format!("capstan execution outcome {id} done 1");
        shown.expect(0, &["hook: RUNNING", "no answer came", "twice", &answer]);
        let told = server.run(&["execution", "outcome", &id, word]);
        told.expect(0, &[&format!("told: {word}")]);
        let ended = server.run(&["execution", "watch", &id]);
        ended.expect(code, &["whether it was done cannot be known", &format!("hook: {status}")]);
        assert_eq!(target.asked().len(), before + 1, "{word}");
        let again = server.run(&["execution", "outcome", &id, word, "1"]);
        again.expect(1, &["does not ask for an outcome"]);
    }
    let help = server.run(&["execution", "outcome", "--help"]);
    assert!(help.out.contains("it is done twice"), "{}", help.out);
}

#[test]
fn a_request_is_repeated_when_somebody_says_so() {
    let server = Server::start();
    let asked = std::sync::atomic::AtomicBool::new(false);
    let target =
        HttpServer::start(move |_| match asked.swap(true, std::sync::atomic::Ordering::SeqCst) {
            true => Reply::text(200, "done"),
            false => Reply::Raw(Box::new(|_| Ok(()))),
        })
        .unwrap();
    let id = started(&server, &json!({ "url": target.url("/deploy") }));
    asks(&server, &id);
    server.run(&["execution", "outcome", &id, "repeat"]).expect(0, &["told: repeat"]);
    server.run(&["execution", "watch", &id]).expect(0, &["hook: SUCCEEDED"]);
    let keys =
        target.asked().into_iter().map(|one| one.header("idempotency-key").map(str::to_owned));
    let keys: Vec<_> = keys.collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
}

#[test]
fn every_target_is_told_of_a_cancel_whether_it_is_being_looked_at_or_not() {
    let server = Server::start();
    let target = HttpServer::start(|_| Reply::json(200, &json!({ "state": "running" }))).unwrap();
    let ids: Vec<String> = (0..MONITORS)
        .map(|number| {
            let hook = json!({
                "url": target.url("/work"), "waitForCompletion": true, "statusUrlResolution": "getMethod",
                "statusJsonPath": "$.state", "successStatuses": "done",
                "cancelEndpoint": target.url(&format!("/stop/{number}")), "cancelMethod": "DELETE",
            });
            started(&server, &hook)
        })
        .collect();
    wait_for("looks at every status", || {
        let asked = target.asked().into_iter().filter(|asked| asked.method == "GET");
        (asked.count() >= 2 * MONITORS).then_some(())
    });
    for id in &ids {
        server.run(&["execution", "cancel", id]).expect(0, &["is being cancelled"]);
    }
    for id in &ids {
        server.run(&["execution", "watch", id]).expect(1, &["hook: CANCELED"]);
    }
    let stops = target.asked().into_iter().filter(|asked| asked.method == "DELETE");
    let mut stops: Vec<String> = stops.map(|asked| asked.path).collect();
    stops.sort();
    let expected: Vec<String> = (0..MONITORS).map(|number| format!("/stop/{number}")).collect();
    assert_eq!(stops, expected);
}

#[test]
fn a_cancel_reaches_a_target_within_two_seconds_wherever_its_stage_stands() {
    let server = Server::start();
    let target = HttpServer::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/slow") => Reply::hang(),
        _ => Reply::json(200, &json!({ "state": "running" })),
    })
    .unwrap();
    // Looked at now and then; hardly ever; and not answered.
    let looks = [("often", 1_000), ("seldom", 3_600_000), ("slow", 1_000)];
    for (name, backoff) in looks {
        let path = format!("/{name}");
        let hook = json!({
            "url": target.url(&path), "method": "PUT", "waitForCompletion": true,
            "statusUrlResolution": "getMethod", "backoffPeriodMs": backoff,
            "statusJsonPath": "$.state", "successStatuses": "done",
            "cancelEndpoint": target.url(&format!("/stop/{name}")), "cancelMethod": "DELETE",
        });
        let id = started(&server, &hook);
        wait_for("the first look", || {
            let looks = |asked: &Asked| asked.method == "GET" && asked.path == path;
            target.asked().iter().any(looks).then_some(())
        });
        let began = Instant::now();
        server.run(&["execution", "cancel", &id]).expect(0, &["is being cancelled"]);
        let stop = format!("/stop/{name}");
        let told = wait_for("the target to be told", || {
            target.asked().into_iter().find(|asked| asked.path == stop)
        });
        let reached = began.elapsed();
        assert_eq!(told.method, "DELETE");
        server.run(&["execution", "watch", &id]).expect(1, &["hook: CANCELED"]);
        println!("{name}: told after {reached:?}, ended after {:?}", began.elapsed());
        assert!(reached < REACHED_MAX, "{name}: {reached:?}");
    }
}
