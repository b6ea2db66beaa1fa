//! What nobody should send, and what becomes of it.

use serde_json::{Value, json};

use crate::documents::ask;
use crate::http::send;
use crate::process::wait_for;
use crate::server::Server;

/// Expressions that loop, nest, grow, match for ever, or reach for what they must not have.
fn hostile() -> Vec<String> {
    let list = "{1,2,3,4,5,6,7,8,9,10}";
    let text = "a".repeat(40);
    let loops = (0..9).fold("1".to_owned(), |inner, _| format!("{list}.![{inner}]"));
    let grows = (0..30).fold("'aaaaaaaaaaaaaaaa'".to_owned(), |inner, _| {
        format!("{{{inner}}}.![#this + #this + #this + #this][0]")
    });
    let nests = format!("{}1{}", "(".repeat(3_000), ")".repeat(3_000));
    let matches = format!("'{text}!'.matches('(?=(a+)+b)a')");
    let forbidden = [
        "T(java.lang.Runtime).getRuntime().exec('id')",
        "new java.io.File('/etc/passwd')",
        "''.class.classLoader",
        "@environment",
    ];
    let forbidden = forbidden.map(str::to_owned);
    [loops, grows, nests, matches].into_iter().chain(forbidden).collect()
}

/// Sends a request to a server.
fn ask_of(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let address = server.url.strip_prefix("http://").unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(address, method, path, &body).unwrap()
}

fn started(server: &Server, document: &Value) -> String {
    let (status, answer) = ask_of(server, "POST", "/pipelines/start", document);
    assert_eq!(status, 202, "{answer}");
    answer["ref"].as_str().unwrap().trim_start_matches("/pipelines/").to_owned()
}

fn until(server: &Server, id: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait_for("the execution", || {
        let found = ask_of(server, "GET", &format!("/pipelines/{id}"), &Value::Null).1;
        is(&found).then_some(found)
    })
}

fn ended(server: &Server, id: &str) -> Value {
    until(server, id, |found| !found["endTime"].is_null())
}

fn asks(found: &Value) -> bool {
    found["waitingFor"][0]["kind"] == "judgment"
}

/// How many entries of an execution's history are of a kind.
fn told(server: &Server, id: &str, kind: &str) -> usize {
    let path = format!("/v1/executions/{id}/history?limit=1000");
    let history = ask_of(server, "GET", &path, &Value::Null).1;
    history.as_array().unwrap().iter().filter(|entry| entry["kind"] == kind).count()
}

#[test]
fn hostile_expressions_end_and_say_why() {
    let server = Server::start();
    let all = hostile();
    let variable = |(number, text): (usize, &String)| json!({ "key": format!("v{number}"), "value": format!("${{{text}}}") });
    let variables: Vec<Value> = all.iter().enumerate().map(variable).collect();
    let set = |name: &str, more: Value| {
        let mut stage = json!({
            "refId": "1", "type": "evaluateVariables", "name": "Set", "variables": variables,
        });
        stage.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "application": "shop", "name": name, "spelEvaluator": "v4", "stages": [stage] })
    };
    let raw = ended(&server, &started(&server, &set("raw", json!({}))));
    let summary = raw["stages"][0]["context"]["expressionEvaluationSummary"].as_object().unwrap();
    assert!(summary.len() >= all.len() - 1, "{}: {:?}", summary.len(), summary.keys());
    let strict = set("strict", json!({ "failOnFailedExpressions": true }));
    let failed = ended(&server, &started(&server, &strict));
    assert_eq!(failed["status"], "TERMINAL");
    let said = failed["stages"][0]["context"]["exception"]["details"]["errors"].to_string();
    assert!(said.contains("_max"), "{said}");
    // Whoever asks outside of a stage is answered, too.
    let path = format!("/pipelines/{}/evaluateVariables", raw["id"].as_str().unwrap());
    let (status, answer) = ask_of(&server, "POST", &path, &json!(variables));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["result"].as_array().unwrap().len(), all.len());
    assert!(answer["detail"].as_object().unwrap().len() >= all.len() - 1, "{answer}");
}

#[test]
fn windows_of_impossible_days_are_refused() {
    let server = Server::start();
    for (window, why) in [
        (json!({ "days": [9], "whitelist": [] }), "days"),
        (json!({ "days": [0], "whitelist": [] }), "days"),
        (json!({ "days": [], "whitelist": [{ "startHour": 25, "endHour": 3 }] }), "Hour"),
    ] {
        let document = json!({
            "application": "shop", "name": "window",
            "stages": [{
                "refId": "1", "type": "wait", "name": "w", "waitTime": 1,
                "restrictExecutionDuringTimeWindow": true, "restrictedExecutionWindow": window,
            }],
        });
        for path in ["/pipelines/start", "/pipelines"] {
            let (status, answer) = ask_of(&server, "POST", path, &document);
            assert_eq!(status, 400, "{path} {window}: {answer}");
            let errors = answer["errors"].as_array().unwrap();
            assert!(errors.iter().any(|error| error["code"] == "window-impossible"), "{answer}");
            assert!(errors[0].to_string().contains(why), "{answer}");
        }
    }
}

#[test]
fn every_variable_of_a_template_that_is_wrong_is_named_at_once() {
    let server = Server::start();
    let template = json!({
        "schema": "v2", "id": "waiter", "metadata": { "name": "Waiter", "scopes": ["shop"] },
        "variables": [
            { "name": "seconds", "type": "int" }, { "name": "who", "type": "string" },
            { "name": "loud", "type": "boolean" }, { "name": "all", "type": "list" },
        ],
        "pipeline": { "stages": [{ "refId": "1", "type": "wait", "name": "${templateVariables.who}",
            "waitTime": "${templateVariables.seconds}" }] },
    });
    let create = "/v2/pipelineTemplates/create?tag=stable";
    assert_eq!(ask_of(&server, "POST", create, &template).0, 202);
    let config = json!({
        "schema": "v2", "type": "templatedPipeline", "application": "shop", "name": "made",
        "template": { "reference": "spinnaker://waiter:stable" },
        "variables": { "seconds": "soon", "loud": "perhaps" },
    });
    for path in ["/v2/pipelineTemplates/plan", "/pipelines/start"] {
        let (status, answer) = ask_of(&server, "POST", path, &config);
        assert_eq!(status, 400, "{path}: {answer}");
        let errors = answer["errors"].to_string();
        for name in ["seconds", "who", "loud", "all"] {
            assert!(errors.contains(name), "{path}: {name}: {answer}");
        }
    }
}

#[test]
fn a_running_stage_is_not_begun_again_and_one_that_ended_is_once() {
    let server = Server::start();
    let mut document = ask();
    document["stages"] = json!([document["stages"][0]]);
    let id = started(&server, &document);
    let before = until(&server, &id, asks);
    let path = format!("/pipelines/{id}/stages/1/restart");
    let (status, answer) = ask_of(&server, "PUT", &path, &Value::Null);
    assert_eq!((status, &answer["code"]), (409, &json!("conflict")), "{answer}");
    let after = ask_of(&server, "GET", &format!("/pipelines/{id}"), &Value::Null).1;
    assert_eq!(after["stages"], before["stages"], "nothing changed");
    let judge = format!("/pipelines/{id}/stages/1");
    assert_eq!(ask_of(&server, "PATCH", &judge, &json!({ "judgmentStatus": "continue" })).0, 200);
    ended(&server, &id);
    // Of two at once one begins it; the other finds it running.
    let mut answers: Vec<u16> = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| ask_of(&server, "PUT", &path, &Value::Null).0);
        let both = [ask(), ask()];
        both.into_iter().map(|one| one.join().unwrap()).collect()
    });
    answers.sort_unstable();
    assert_eq!(answers, [200, 409]);
    until(&server, &id, asks);
    assert_eq!(told(&server, &id, "stage-restarted"), 1);
    assert_eq!(told(&server, &id, "stage-started"), 2);
}

#[test]
fn a_judgment_of_a_finished_stage_changes_nothing() {
    let server = Server::start();
    let id = started(&server, &ask());
    until(&server, &id, asks);
    let path = format!("/pipelines/{id}/stages/1");
    let go_on = json!({ "judgmentStatus": "continue", "judgmentInput": "blue" });
    assert_eq!(ask_of(&server, "PATCH", &path, &go_on).0, 200);
    let before = ended(&server, &id);
    for fields in [json!({ "judgmentStatus": "stop" }), go_on, json!({ "other": 1 })] {
        let (status, answer) = ask_of(&server, "PATCH", &path, &fields);
        assert_eq!((status, &answer["code"]), (409, &json!("conflict")), "{answer}");
    }
    assert_eq!(ended(&server, &id), before);
    assert_eq!(told(&server, &id, "judged"), 1);
}

#[test]
fn of_edits_at_once_one_is_kept_and_the_others_see_what_differs() {
    const EDITORS: usize = 8;
    let server = Server::start();
    server.save(&ask());
    let path = "/applications/shop/pipelineConfigs/ask";
    let saved = ask_of(&server, "GET", path, &Value::Null).1;
    let edit = |number: usize| {
        let mut mine = saved.clone();
        mine["description"] = format!("by {number}").into();
        ask_of(&server, "POST", "/pipelines?staleCheck=true", &mine)
    };
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let edit = &edit;
        let all: Vec<_> = (0..EDITORS).map(|number| scope.spawn(move || edit(number))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let kept: Vec<usize> = (0..EDITORS).filter(|number| answers[*number].0 == 200).collect();
    assert_eq!(kept.len(), 1, "{answers:?}");
    let found = ask_of(&server, "GET", path, &Value::Null).1;
    let winner = format!("by {}", kept[0]);
    assert_eq!(found["description"], json!(winner), "nothing was overwritten");
    for (status, answer) in answers.iter().filter(|(status, _)| *status != 200) {
        assert_eq!((*status, &answer["code"]), (409, &json!("conflict")), "{answer}");
        let said = answer["message"].as_str().unwrap();
        assert!(said.contains("`/description`") && said.contains(&winner), "{said}");
    }
}
