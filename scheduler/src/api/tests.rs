use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use serde_json::json;
use shared_adapters::open::{self, Guard};
use shared_model::ExecutionId;
use tempfile::TempDir;

use super::connections::DRAIN_TIMEOUT;
use super::*;
use crate::{Config, Start};

mod children;
mod described;
mod library;
mod lists;
mod removal;
mod slow;
mod templates;
mod tokens;

/// Executions of a scene that may be unfinished.
const UNFINISHED_MAX: usize = 5;
/// The same of one application.
const PER_APPLICATION_MAX: usize = 3;

/// The API over a scheduler of its own, with one execution that waits for a judgment.
struct Scene {
    scheduler: Scheduler,
    address: SocketAddr,
    id: ExecutionId,
    supervisor: Supervisor,
    _guard: Guard,
    _folder: TempDir,
}

/// An answer: status, headers in lower case, body.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether it is an error in Spring's shape, or, on `/v1`, problem details.
    fn is_error(&self, status: u16, code: &str) -> bool {
        let body = self.json();
        let keys = match self.head.contains("content-type: application/problem+json") {
            true => ["type", "title", "status", "detail", "instance", "code"],
            false => ["timestamp", "status", "error", "code", "message", "path"],
        };
        self.status == status
            && body["status"] == status
            && body["code"] == code
            && keys.iter().all(|key| body.get(*key).is_some_and(|value| !value.is_null()))
    }
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ports, guard) = open::open(&open::Config::embedded(folder.path())).await.unwrap();
        let supervisor = Supervisor::new();
        let accounts = vec![crate::Account::new("local", "local")];
        let config = Config {
            accounts,
            executions_unfinished_max: UNFINISHED_MAX,
            executions_unfinished_per_application_max: PER_APPLICATION_MAX,
            ..Config::default()
        };
        let scheduler = Scheduler::start(config, ports, Vec::new(), &supervisor).await.unwrap();
        let document = json!({
            "application": "shop", "name": "release",
            "stages": [{"refId": "ask", "type": "manualJudgment", "name": "Ask"}],
        });
        let id = scheduler.submit(Start { document, ..Start::default() }).await.unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address =
            serve(scheduler.clone(), listener, ApiLimits::default(), &supervisor).await.unwrap();
        while scheduler.execution(&id).await.unwrap().unwrap()["waitingFor"][0]["kind"]
            != "judgment"
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { scheduler, address, id, supervisor, _guard: guard, _folder: folder }
    }

    /// Sends a request as its own Host, with JSON.
    async fn send(&self, method: &str, path: &str, body: &str) -> Reply {
        let head = format!("Host: {}\r\nContent-Type: application/json\r\n", self.address);
        self.raw(method, path, &head, body).await
    }

    async fn raw(&self, method: &str, path: &str, head: &str, body: &str) -> Reply {
        raw(self.address, method, path, head, body).await
    }

    fn pipeline(&self) -> String {
        format!("/pipelines/{}", self.id)
    }
}

async fn raw(address: SocketAddr, method: &str, path: &str, head: &str, body: &str) -> Reply {
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let sent = (method.to_owned(), path.to_owned());
    let exchange = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // A server that refuses a body closes before it has read all of it.
        let _sent = stream.write_all(request.as_bytes());
        let mut bytes = Vec::new();
        let _ended = stream.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    let text = tokio::task::spawn_blocking(exchange).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    let reply = Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() };
    described::check(&sent, &reply);
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judgment_is_answered_once() {
    let scene = Scene::new().await;
    let before = scene.send("GET", &scene.pipeline(), "").await;
    assert_eq!(before.status, 200);
    let stage = before.json()["stages"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("{}/stages/{stage}", scene.pipeline());
    let bad = scene.send("PATCH", &path, r#"{"judgmentStatus": "perhaps"}"#).await;
    assert!(bad.is_error(400, "invalid-request"), "{}", bad.body);
    assert!(bad.json()["message"].as_str().unwrap().contains("perhaps"), "{}", bad.body);
    let head = format!(
        "Host: {}\r\nContent-Type: application/json; charset=utf-8\r\nX-Spinnaker-User: ada\r\n",
        scene.address
    );
    let body = r#"{"judgmentStatus": "continue", "judgmentInput": "blue"}"#;
    let good = scene.raw("PATCH", &path, &head, body).await;
    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(good.json()["stages"][0]["context"]["judgmentInput"], "blue");
    assert_eq!(good.json()["stages"][0]["context"]["lastModifiedBy"], "ada");
    let again = scene.send("PATCH", &path, r#"{"judgmentStatus": "stop"}"#).await;
    assert!(again.is_error(409, "conflict"), "{}", again.body);
    let history =
        scene.send("GET", &format!("/v1/executions/{}/history", scene.id), "").await.json();
    let judged: Vec<_> =
        history.as_array().unwrap().iter().filter(|entry| entry["kind"] == "judged").collect();
    assert_eq!(judged.len(), 1, "{history:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_execution_says_who_and_why() {
    let scene = Scene::new().await;
    let path = format!("{}/cancel?reason=too%20early", scene.pipeline());
    let done = scene.send("PUT", &path, "").await;
    assert_eq!((done.status, done.body.as_str()), (200, ""));
    let execution = scene.send("GET", &scene.pipeline(), "").await.json();
    assert_eq!(execution["status"], "CANCELED");
    assert_eq!(execution["canceledBy"], "anonymous");
    assert_eq!(execution["cancellationReason"], "too early");
    let again = scene.send("PUT", &path, "").await;
    assert!(again.is_error(409, "conflict"), "{}", again.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_ended_at_once_as_orca_s_admins_do() {
    let scene = Scene::new().await;
    let path = format!(
        "/admin/forceCancelExecution?executionId={}&executionType=PIPELINE&canceledBy=ops&reason=stuck",
        scene.id
    );
    let done = scene.send("PUT", &path, "").await;
    assert_eq!((done.status, done.body.as_str()), (200, ""));
    let execution = scene.send("GET", &scene.pipeline(), "").await.json();
    assert_eq!(
        (&execution["status"], &execution["canceledBy"]),
        (&json!("CANCELED"), &json!("ops"))
    );
    assert_eq!(execution["cancellationReason"], "stuck");
    let again = scene.send("PUT", &path, "").await;
    assert!(again.is_error(409, "conflict"), "{}", again.body);
    let nobody = format!("Host: {}\r\nX-Spinnaker-User: {}\r\n", scene.address, "a".repeat(251));
    let refused = scene.raw("PUT", &path, &nobody, "").await;
    assert!(refused.is_error(400, "invalid-request"), "{}", refused.body);
    let none = "/admin/forceCancelExecution?executionId=none&executionType=PIPELINE";
    assert!(scene.send("PUT", none, "").await.is_error(404, "not-found"));
    for bad in ["", "?executionId=none&executionType=CAKE"] {
        let refused = scene.send("PUT", &format!("/admin/forceCancelExecution{bad}"), "").await;
        assert!(refused.is_error(400, "invalid-request"), "{bad}: {}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said() {
    let scene = Scene::new().await;
    let missing = [
        ("GET", "/pipelines/none".to_owned(), "not-found"),
        ("PUT", "/pipelines/none/cancel".to_owned(), "not-found"),
        ("PATCH", "/pipelines/none/stages/1".to_owned(), "not-found"),
        ("PATCH", format!("{}/stages/none", scene.pipeline()), "not-found"),
        ("GET", "/v1/executions/none/history".to_owned(), "not-found"),
        ("GET", format!("/v1/executions/{}/stages/none/log", scene.id), "not-found"),
        ("GET", "/applications/none".to_owned(), "not-found"),
        ("GET", "/applications/none/pipelineConfigs/none".to_owned(), "not-found"),
        ("GET", "/tasks/none".to_owned(), "not-found"),
        ("POST", "/pipelines/none/none".to_owned(), "not-found"),
        ("DELETE", "/pipelines/none/none".to_owned(), "not-found"),
        ("GET", "/nowhere".to_owned(), "no-route"),
    ];
    for (method, path, code) in missing {
        let reply = scene.send(method, &path, "{}").await;
        assert!(reply.is_error(404, code), "{method} {path}: {}", reply.body);
        let place = if path.starts_with("/v1/") { "instance" } else { "path" };
        assert_eq!(reply.json()[place], path);
    }
    let wrong = scene.send("PATCH", &scene.pipeline(), "{}").await;
    assert!(wrong.is_error(405, "method-not-allowed"), "{}", wrong.body);
    assert!(wrong.head.contains("allow: get"), "{}", wrong.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused() {
    let scene = Scene::new().await;
    let path = format!("{}/stages/ask", scene.pipeline());
    for body in ["", "nonsense", "[]", "\"continue\"", &"[".repeat(100_000)] {
        let reply = scene.send("PATCH", &path, body).await;
        assert!(reply.is_error(400, "invalid-request"), "{}", reply.body);
    }
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    let reply = scene.send("PATCH", &path, &large).await;
    assert!(reply.is_error(413, "body-too-large"), "{} {}", reply.head, reply.body);
    let log = format!("/v1/executions/{}/stages/ask/log", scene.id);
    let reply = scene.send("GET", &format!("{log}?offset=-1"), "").await;
    assert!(reply.is_error(400, "invalid-request"), "{}", reply.body);
    let reply = scene.send("GET", &log, "").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert!(reply.head.contains("content-type: text/plain"), "{}", reply.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_are_kept_out() {
    let scene = Scene::new().await;
    let (host, port) = (format!("Host: {}\r\n", scene.address), scene.address.port());
    let json = "Content-Type: application/json\r\n";
    let cases = [
        (String::new(), 403, "foreign-host"),
        (format!("Host: evil.example\r\n{json}"), 403, "foreign-host"),
        (format!("Host: evil.example:{port}\r\n{json}"), 403, "foreign-host"),
        (format!("Host: 127.0.0.1\r\n{json}"), 403, "foreign-host"),
        (format!("{host}{json}Origin: http://evil.example\r\n"), 403, "foreign-origin"),
        (format!("{host}{json}Origin: null\r\n"), 403, "foreign-origin"),
        (format!("{host}{json}Origin: https://127.0.0.1:{port}\r\n"), 403, "foreign-origin"),
        (format!("{host}Content-Type: text/plain\r\n"), 415, "not-json"),
        (format!("{host}Content-Type: application/jsonp\r\n"), 415, "not-json"),
    ];
    let path = format!("{}/cancel", scene.pipeline());
    for (head, status, code) in cases {
        let reply = scene.raw("PUT", &path, &head, "").await;
        // A request without Host is no HTTP/1.1, which the server may say by itself.
        let is_refused = reply.is_error(status, code);
        assert!(is_refused, "{head:?}: {} {}", reply.head, reply.body);
    }
    // A form of another page can be a POST without a type, or of its own types.
    for head in [host.clone(), format!("{host}Content-Type: text/plain\r\n")] {
        let reply = scene.raw("POST", "/pipelines/start", &head, "{}").await;
        assert!(reply.is_error(415, "not-json"), "{head:?}: {} {}", reply.head, reply.body);
    }
    // What a browser sends for a page's script, and for its form, to whatever changes something.
    let script =
        format!("{host}{json}Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n");
    let form = format!(
        "{host}Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://evil.example\r\n\
         Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: cross-site\r\n"
    );
    for head in [script, form] {
        for (method, path) in [
            ("POST", "/pipelines"),
            ("POST", "/pipelines/start"),
            ("POST", "/tasks"),
            ("POST", "/v1/tokens"),
            ("DELETE", "/pipelines/a/p"),
            ("PATCH", &format!("{}/stages/1", scene.pipeline())),
        ] {
            let reply = scene.raw(method, path, &head, "{}").await;
            assert!(
                reply.is_error(403, "foreign-origin"),
                "{method} {path} {head:?}: {}",
                reply.head
            );
        }
    }
    let saved = scene.send("GET", "/applications", "").await.json();
    assert_eq!(saved, json!([]), "nothing was saved");
    let execution = scene.send("GET", &scene.pipeline(), "").await.json();
    assert_eq!(execution["status"], "RUNNING", "none of them had an effect");
    for host in [format!("LOCALHOST:{port}"), format!("[::1]:{port}")] {
        let reply = scene.raw("GET", "/health", &format!("Host: {host}\r\n"), "").await;
        assert_eq!(reply.status, 200, "{host}");
    }
    // What a page cannot send unasked needs no type while it has no body: `spin` sends none.
    let own = format!("{host}Origin: http://127.0.0.1:{port}\r\n");
    assert_eq!(scene.raw("PUT", &path, &own, "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_does_not_keep_the_process() {
    let scene = Scene::new().await;
    let mut silent = TcpStream::connect(scene.address).unwrap();
    let half = TcpStream::connect(scene.address).unwrap();
    silent.write_all(b"").unwrap();
    (&half).write_all(b"GET /health HTTP/1.1\r\nHost:").unwrap();
    assert_eq!(scene.send("GET", "/health", "").await.status, 200);
    assert!(scene.supervisor.shut_down(DRAIN_TIMEOUT * 3).await);
    assert!(TcpStream::connect(scene.address).is_err());
}
