//! `capstan execution`, but for what is followed.

use serde_json::{Value, json};

use crate::documents::{ask, bake, greet};
use crate::process::wait_for;
use crate::server::Server;

/// Starts a judgment, and waits until it is asked.
fn asked(server: &Server) -> String {
    server.save(&ask());
    let id = server.out(&["pipeline", "execute", "-a", "shop", "ask"]).trim().to_owned();
    wait_for("the judgment", || {
        let execution = server.json(&["execution", "get", &id]);
        execution["waitingFor"].as_array().filter(|waits| !waits.is_empty()).map(|_| ())
    });
    id
}

#[test]
fn executions_are_listed_by_application_pipeline_and_status() {
    let server = Server::start();
    let id = asked(&server);
    server.save(&greet());
    let start = ["pipeline", "execute", "-a", "shop", "greet it's", "-p", "who=me", "--watch"];
    let config = server.json(&start)["pipelineConfigId"].as_str().unwrap().to_owned();
    let ids = |words: &[&str]| {
        let list = server.json(&[&["execution", "list"], words].concat());
        let ids = list.as_array().unwrap().iter().map(|one| one["name"].clone());
        Value::Array(ids.collect())
    };
    assert_eq!(ids(&["-a", "shop"]).as_array().unwrap().len(), 2);
    assert_eq!(ids(&["-a", "shop", "--status", "running,PAUSED"]), json!(["ask"]));
    assert_eq!(ids(&["--pipeline-config", &config, "--limit", "1"]), json!(["greet it's"]));
    assert_eq!(ids(&["--pipeline-config", &config, "--status", "TERMINAL"]), json!([]));
    let table = server.out(&["execution", "list", "-a", "shop", "--status", "RUNNING"]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], [id.as_str(), "ask", "RUNNING"]);
    let yaml = server.out(&["execution", "list", "-a", "shop", "-o", "yaml"]);
    assert!(yaml.starts_with("- type: PIPELINE\n"), "{yaml}");
}

#[test]
fn an_execution_says_what_it_waits_for_and_how_to_answer() {
    let server = Server::start();
    let id = asked(&server);
    let shown = server.run(&["execution", "get", &id]);
    let answer = format!("capstan execution judge {id} 1 --continue");
    shown.expect(0, &["ask: RUNNING", "Really? waits for a judgment. Look first", &answer]);
    assert!(shown.out.contains("1    Really?  manualJudgment     RUNNING"), "{}", shown.out);
    assert!(server.out(&["execution", "get", &id, "-o", "yaml"]).contains("status: RUNNING"));
}

#[test]
fn a_judgment_is_answered() {
    let server = Server::start();
    let id = asked(&server);
    let judged = server.json(&["execution", "judge", &id, "--continue", "--input", "blue"]);
    assert_eq!(judged["id"], json!(id));
    let watched = server.run(&["execution", "watch", &id, "-o", "json"]);
    watched.expect(0, &["ann judged Really?: go on", "ask: SUCCEEDED"]);
    let ended: Value = serde_json::from_str(&watched.out).unwrap();
    let context = &ended["stages"][0]["context"];
    assert_eq!(
        (&context["judgmentStatus"], &context["judgmentInput"]),
        (&json!("continue"), &json!("blue"))
    );
    server.run(&["execution", "judge", &id, "--stop"]).expect(1, &["waits for no judgment"]);
}

#[test]
fn a_judgment_stops_and_the_watch_says_so() {
    let server = Server::start();
    let id = asked(&server);
    server.run(&["execution", "judge", &id, "Really?", "--stop"]).expect(0, &["judged: stop"]);
    server.run(&["execution", "watch", &id]).expect(1, &["ask: TERMINAL"]);
    server
        .run(&["execution", "judge", &id, "none", "--stop"])
        .expect(1, &["1 (Really?), 2 (Keep)"]);
    server.run(&["execution", "judge", &id]).expect(2, &["--continue|--stop"]);
}

#[test]
fn an_execution_is_cancelled() {
    let server = Server::start();
    let id = asked(&server);
    let said = server.run(&["execution", "cancel", &id, "--reason", "a & b"]);
    said.expect(0, &["is being cancelled", &format!("capstan execution watch {id}")]);
    let ended = server.run(&["execution", "watch", &id, "-o", "json"]);
    ended.expect(1, &["ask: CANCELED"]);
    let execution: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(execution["canceledBy"], "ann");
    assert_eq!(execution["cancellationReason"], "a & b");
}

#[test]
fn an_execution_that_has_ended_is_deleted() {
    let server = Server::start();
    let id = asked(&server);
    server.run(&["execution", "delete", &id]).expect(1, &["cancel it first"]);
    server.run(&["execution", "cancel", &id]).expect(0, &["is being cancelled"]);
    server.run(&["execution", "watch", &id]).expect(1, &["ask: CANCELED"]);
    server.run(&["execution", "delete", &id]).expect(0, &["was removed"]);
    server.run(&["execution", "get", &id]).expect(1, &["was not found"]);
    server.run(&["execution", "delete", &id]).expect(1, &["was not found"]);
}

#[test]
fn logs_are_shown_whole_and_with_their_stages() {
    let server = Server::start();
    server.save(&bake());
    let start = ["pipeline", "execute", "-a", "shop", "bake", "--watch", "-o", "json"];
    let ended = server.run(&start);
    ended.expect(0, &["Bake | ", "Z one\n", "Z two\n"]);
    let execution: Value = serde_json::from_str(&ended.out).unwrap();
    let id = execution["id"].as_str().unwrap();
    let log = server.out(&["execution", "logs", id, "Bake"]);
    assert!(log.contains("Z one\n") && log.ends_with("Z two\n"), "{log}");
    assert_eq!(server.out(&["execution", "logs", id, "1", "--follow"]), log);
    let all: String = log.lines().map(|line| format!("Bake | {line}\n")).collect();
    assert_eq!(server.out(&["execution", "logs", id]), all);
    assert_eq!(server.out(&["execution", "logs", id, "--follow"]), all);
    server.run(&["execution", "logs", id, "none"]).expect(1, &["1 (Bake)"]);
}
