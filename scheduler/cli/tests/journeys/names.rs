//! Names that would be something else to a path, a terminal, a log, a query or a page: each is kept
//! as it is or refused with one clear error, and none leaves its place.

use serde_json::{Value, json};

use crate::http;
use crate::process::capstan;
use crate::{ended::run, server::Server};

fn hostile() -> Vec<String> {
    let names = [
        "../../etc/passwd",
        "..",
        ".",
        "/abs/olute",
        "a\\b",
        "nul\u{0}nul",
        "\u{1b}[2J\r\n2026-01-01T00:00:00Z ERROR forged",
        "\u{202e}gpj.exe",
        "🚀💥",
        "'; DROP TABLE execution;--",
        "<script>alert(1)</script>",
        "${#toInt('x')}",
        "--help",
        "-rf",
        " ",
        "%2e%2e%2f",
        "a?b#c&d",
        "\u{2028}",
    ];
    let long = ["x".repeat(10_000), "/".repeat(250), "ü".repeat(125)];
    names.map(str::to_owned).into_iter().chain(long).collect()
}

/// What the server makes of a name in one place.
struct Asked<'a> {
    server: &'a Server,
    place: &'static str,
    name: &'a str,
}

impl Asked<'_> {
    /// The answer; a refusal is one clear error, never a fault of the server.
    fn send(&self, method: &str, path: &str, body: &Value) -> Option<Value> {
        let Self { server, place, name } = self;
        let address = server.url.strip_prefix("http://").unwrap();
        let (status, answer) = http::send(address, method, path, &body.to_string()).unwrap();
        if (200..300).contains(&status) {
            return Some(answer);
        }
        assert!((400..500).contains(&status), "{place} {name:?}: {status} {answer}");
        let said = answer["message"].as_str().or(answer["detail"].as_str()).unwrap_or_default();
        assert!(!said.is_empty() && !answer["code"].is_null(), "{place} {name:?}: {answer}");
        let is_shown = |c: char| !c.is_control() || c == '\n' || c == '\t';
        assert!(said.chars().all(is_shown), "{place} {name:?}: {said:?}");
        None
    }

    /// Starts a pipeline that nobody saved, and reads it again.
    fn start(&self, document: &Value) -> Option<Value> {
        let started = self.send("POST", "/pipelines/start", document)?;
        self.send("GET", started["ref"].as_str().unwrap(), &Value::Null)
    }
}

fn one_stage(reference: &str, name: &str) -> Value {
    let variables = json!([{"key": "k", "value": "v"}]);
    json!([{"refId": reference, "type": "evaluateVariables", "name": name, "variables": variables}])
}

fn pipeline(application: &str, name: &str) -> Value {
    json!({"application": application, "name": name, "stages": one_stage("1", "s")})
}

#[test]
fn a_name_is_kept_as_it_is_or_refused() {
    let server = Server::start();
    let mut kept = 0;
    for name in &hostile() {
        let asked = |place| Asked { server: &server, place, name };
        for (place, key, document) in [
            ("application", "application", pipeline(name, "p")),
            ("pipeline", "name", pipeline("names", name)),
        ] {
            if let Some(saved) = asked(place).send("POST", "/pipelines", &document) {
                assert_eq!(saved[key], **name, "{place}");
                kept += 1;
            }
        }
        let stages = one_stage("1", name);
        let document = json!({"application": "names", "name": "s", "stages": stages});
        if let Some(found) = asked("stage").start(&document) {
            assert_eq!(found["stages"][0]["name"], **name);
            kept += 1;
        }
        if let Some(found) = asked("reference")
            .start(&json!({"application": "names", "name": "s", "stages": one_stage(name, "s")}))
        {
            let id = found["id"].as_str().unwrap();
            let stage = found["stages"][0]["id"].as_str().unwrap();
            let log = format!("/v1/executions/{id}/stages/{stage}/log");
            asked("log").send("GET", &log, &Value::Null).unwrap();
        }
        let parameters = json!([{"name": name, "default": name}]);
        let mut document = pipeline("names", "s");
        document["parameterConfig"] = parameters;
        if let Some(found) = asked("parameter").start(&document)
            && !name.contains("${")
        {
            assert_eq!(found["trigger"]["parameters"][name], **name);
            kept += 1;
        }
        let artifact = json!({"type": name, "name": name, "reference": name});
        let mut document = pipeline("names", "s");
        document["trigger"] = json!({"type": "manual", "artifacts": [artifact]});
        if let Some(found) = asked("artifact").start(&document)
            && !name.contains("${")
        {
            assert_eq!(found["trigger"]["artifacts"][0]["name"], **name);
            kept += 1;
        }
        let token = json!({
            "name": name, "user": name, "scope": "read", "expiresInSeconds": 60,
            "speaksForOthers": false,
        });
        if let Some(made) = asked("token").send("POST", "/v1/tokens", &token) {
            assert_eq!(made["name"], **name);
            kept += 1;
        }
        let task = json!({"application": name, "description": name, "job": [{"type": name}]});
        asked("task").send("POST", "/tasks", &task);
        let cron = json!({"application": name, "name": name, "stages": name});
        asked("kind").send("POST", "/pipelines", &cron);
    }
    println!("{kept} names were kept");
    assert!(kept > 50, "{kept} kept: hardly anything got through");
    nothing_left_its_place(&server);
    tables_steer_no_terminal(&server);
}

/// The folder has what it had, and the server knows what it knew.
fn nothing_left_its_place(server: &Server) {
    let data = server.folder.path().join("data");
    for entry in std::fs::read_dir(&data).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(Server::is_its_own(&name), "{name}");
    }
    let mut above: Vec<_> = std::fs::read_dir(server.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    above.sort();
    assert_eq!(above, ["chart", "data", "helm"]);
}

fn tables_steer_no_terminal(server: &Server) {
    for words in [
        &["pipeline", "list", "-a", "names"][..],
        &["execution", "list", "-a", "names"],
        &["application", "list"],
        &["token", "list"],
    ] {
        let ended = server.run(words);
        ended.expect(0, &[]);
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!ended.out.contains(steers), "{words:?}: {:?}", ended.out);
    }
    // Names that begin with dashes can be named.
    let words = ["pipeline", "get", "-a", "names", "--", "-rf"];
    server.run(&words).expect(0, &[]);
    let folder = server.folder.path().join("log\u{1b}[2J");
    run(capstan().args(["dev", "--port", "0", "--artifacts-root"]).arg(folder))
        .expect(2, &["log\\u{1b}[2J"]);
}
