//! The status: where it is, what it means, and how long it is looked at.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use shared_testkit::http_server::{Asked, HttpServer, Reply};

use crate::create::codes;
use crate::scene::{Ended, play};

/// Takes a webhook at `/`, and says at `/status` one text after another; the last one stays.
fn job(first: impl Fn(&Asked) -> Reply + Send + Sync + 'static, says: Vec<Value>) -> HttpServer {
    let count = AtomicUsize::new(0);
    HttpServer::start(move |asked| {
        if !asked.path.starts_with("/status") {
            return first(asked);
        }
        let looked = count.fetch_add(1, Ordering::SeqCst);
        Reply::json(200, &says[looked.min(says.len() - 1)])
    })
    .unwrap()
}

fn waiting(url: &str, more: Value) -> Value {
    let mut context = json!({
        "url": url, "waitForCompletion": true, "statusUrlResolution": "locationHeader",
        "statusJsonPath": "$.state", "successStatuses": "SUCCESS, done",
        "canceledStatuses": "stopped", "terminalStatuses": "failed",
        "customHeaders": { "Authorization": "Bearer hunter2" },
    });
    context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    context
}

async fn monitored(says: Vec<Value>, more: Value) -> (Ended, HttpServer) {
    let server = job(|_| Reply::location(201, "/status/7"), says);
    let ended = play(waiting(&server.url("/"), more)).await;
    (ended, server)
}

#[tokio::test]
async fn a_status_is_looked_at_until_it_says_that_it_is_done() {
    let says = ["queued", "running", "Done"].map(|state| json!({ "state": state, "at": state }));
    let more = json!({ "progressJsonPath": "$.at" });
    let (ended, server) = monitored(says.to_vec(), more).await;
    assert_eq!(ended.succeeded().again, 2);
    assert!(ended.log.contains("progressMessage: running"), "{}", ended.log);
    assert_eq!(ended.webhook("/statusEndpoint"), server.url("/status/7"));
    assert_eq!(ended.context["statusEndpoint"], server.url("/status/7"));
    assert_eq!(ended.webhook("/statusCode"), "CREATED");
    let monitor = ended.webhook("/monitor");
    assert_eq!(
        (&monitor["statusCode"], &monitor["progressMessage"]),
        (&json!("OK"), &json!("Done"))
    );
    assert_eq!(monitor["body"], json!({ "state": "Done", "at": "Done" }));
    let asked = server.asked();
    let looks: Vec<&Asked> = asked.iter().filter(|asked| asked.path == "/status/7").collect();
    assert!(looks.iter().all(|look| look.method == "GET" && look.body.is_empty()));
    assert!(looks.iter().all(|look| look.header("authorization") == Some("Bearer hunter2")));
    let keys: Vec<_> = looks.iter().map(|look| look.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys, ["e/1/1/2/0", "e/1/1/2/1", "e/1/1/2/2"], "a look is no repetition of another");
    assert!(
        !ended.log.contains("hunter2") && !ended.context["webhook"].to_string().contains("hunter2")
    );
}

#[tokio::test]
async fn a_status_ends_the_stage_as_the_document_says() {
    for (says, kind, part) in [
        (
            json!({ "state": "Failed" }),
            "WebhookFailed",
            "`Failed`, which is one of `terminalStatuses`",
        ),
        (
            json!({ "state": "STOPPED" }),
            "WebhookCanceled",
            "`STOPPED`, which is one of `canceledStatuses`",
        ),
        (json!({}), "WebhookFailed", "Unable to parse status: JSON property '$.state' not found"),
        (json!({ "state": ["a"] }), "WebhookFailed", "did not resolve to a single value"),
        (json!("no object"), "WebhookFailed", "not found in response body"),
    ] {
        let (ended, _) = monitored(vec![says.clone()], json!({})).await;
        let (found, line) = ended.failure();
        assert!(found == kind && line.contains(part), "{says}: {found}: {line}");
        assert_eq!(ended.webhook("/monitor/statusCodeValue"), 200);
    }
    let (ended, _) =
        monitored(vec![json!({ "state": "x" })], json!({ "statusJsonPath": "$[" })).await;
    assert!(ended.failure().1.starts_with("`statusJsonPath` is `$[`"), "{ended:?}");
}

#[tokio::test]
async fn numbers_are_percents() {
    let says = [0, 42, 100].map(|state| json!({ "state": state }));
    let (ended, _) = monitored(
        says.to_vec(),
        json!({ "successStatuses": "", "canceledStatuses": "", "terminalStatuses": "" }),
    )
    .await;
    assert_eq!(ended.succeeded().again, 2);
    assert_eq!(ended.webhook("/monitor/percentComplete"), 100);
}

#[tokio::test]
async fn without_a_path_any_good_answer_is_the_end() {
    let (ended, _) = monitored(vec![json!({})], json!({ "statusJsonPath": "" })).await;
    assert_eq!(ended.succeeded().again, 0);
}

#[tokio::test]
async fn the_url_of_the_status_is_found_where_the_document_says() {
    let says = || vec![json!({ "state": "done" })];
    let own = job(|_| Reply::json(200, &json!({ "state": "done" })), says());
    let ended = play(waiting(&own.url("/"), json!({ "statusUrlResolution": "getMethod" }))).await;
    assert_eq!(ended.succeeded().webhook("/statusEndpoint"), own.url("/"));
    assert_eq!(own.asked()[1].method, "GET");
    for (path, body) in [
        ("$.links.self", json!({ "links": { "self": "/status/9" } })),
        ("concat('/status/', $.id)", json!({ "id": 9 })),
    ] {
        let server = job(move |_| Reply::json(200, &body), says());
        let more = json!({ "statusUrlResolution": "webhookResponse", "statusUrlJsonPath": path });
        let ended = play(waiting(&server.url("/"), more)).await;
        assert_eq!(ended.succeeded().webhook("/statusEndpoint"), server.url("/status/9"));
    }
    for (path, part) in [
        ("$.nothing", "nothing at `$.nothing`"),
        ("$.list", "no text"),
        ("$[", "`statusUrlJsonPath` is `$[`"),
        ("$.empty", "The status URL couldn't be resolved"),
    ] {
        let server = job(|_| Reply::json(200, &json!({ "list": ["a"], "empty": "" })), says());
        let more = json!({ "statusUrlResolution": "webhookResponse", "statusUrlJsonPath": path });
        let ended = play(waiting(&server.url("/"), more)).await;
        assert!(ended.failure().1.contains(part), "{ended:?}");
        assert_eq!(ended.tasks, ["createWebhook:TERMINAL"]);
    }
    let nowhere = job(|_| Reply::text(200, ""), says());
    let ended = play(waiting(&nowhere.url("/"), json!({}))).await;
    assert!(ended.failure().1.starts_with("The status URL couldn't be resolved"), "{ended:?}");
}

#[tokio::test]
async fn a_status_alone_can_be_looked_at() {
    for field in ["url", "statusEndpoint"] {
        let server = job(|_| Reply::text(500, "not to be asked"), vec![json!({ "state": "done" })]);
        let context = json!({
            field: server.url("/status"), "monitorOnly": true, "waitForCompletion": "true",
            "statusJsonPath": "$.state", "successStatuses": "done",
        });
        let ended = play(context).await;
        assert_eq!(ended.succeeded().tasks[0], "monitorWebhook:SUCCEEDED");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn some_failures_of_a_look_pass() {
    for (answers, more, again) in [
        (&[500, 503, 200][..], json!({}), 2),
        (&[429, 200][..], json!({}), 1),
        (&[404, 404, 200][..], json!({ "retryStatusCodes": [404] }), 2),
        (&[404, 404, 200][..], json!({ "retries": { "404": { "maxAttempts": 2 } } }), 2),
    ] {
        let server = codes(answers);
        let mut context = json!({
            "url": server.url("/"), "monitorOnly": true, "waitForCompletion": true,
            "statusJsonPath": "$.status", "successStatuses": "done",
        });
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let ended = play(context).await;
        assert_eq!(ended.succeeded().again, again, "{more}");
        let past = ended.webhook("/monitor/pastStatusCodes");
        assert_eq!(past, json!(answers[..again]), "{more}");
    }
    for (answers, more, asked) in [
        (&[406][..], json!({}), 1),
        (&[404][..], json!({ "retries": { "404": { "maxAttempts": 2 } } }), 3),
        (&[503][..], json!({ "retries": { "503": { "maxAttempts": 0 } } }), 1),
    ] {
        let server = codes(answers);
        let mut context =
            json!({ "url": server.url("/"), "monitorOnly": true, "waitForCompletion": true });
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let ended = play(context).await;
        let (_, line) = ended.failure();
        assert!(
            line.starts_with("an exception occurred in webhook monitor to http://127.0.0.1"),
            "{line}"
        );
        assert_eq!(ended.webhook("/monitor/error"), line);
        assert_eq!(server.asked().len(), asked);
    }
}

#[tokio::test]
async fn a_look_that_is_not_answered_is_repeated_for_a_while() {
    let count = AtomicUsize::new(0);
    let server = HttpServer::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Reply::Raw(Box::new(|_| Ok(()))),
        _ => Reply::text(200, ""),
    })
    .unwrap();
    let context =
        |url: String| json!({ "url": url, "monitorOnly": true, "waitForCompletion": true });
    assert_eq!(play(context(server.url("/"))).await.succeeded().again, 2);
    let url = server.url("/");
    drop(server);
    let ended = play(context(url)).await;
    assert!(ended.again > 3 && ended.failure().1.contains("cannot be reached"), "{ended:?}");
}

#[tokio::test]
async fn artifacts_of_the_last_answer_count() {
    let artifact = json!({ "type": "docker/image", "name": "web", "reference": "web:1" });
    let says = json!({ "state": "done", "artifacts": [artifact] });
    let expected = json!({ "expectedArtifacts": [{ "matchArtifact": { "name": "web" } }] });
    let (ended, _) = monitored(vec![says], expected).await;
    assert_eq!(json!(ended.succeeded().answer.result().unwrap().artifacts), json!([artifact]));
}

#[tokio::test]
async fn the_first_look_can_wait() {
    let began = std::time::Instant::now();
    let (ended, _) =
        monitored(vec![json!({ "state": "done" })], json!({ "waitBeforeMonitor": 1 })).await;
    assert_eq!(ended.succeeded().tasks[1], "waitBeforeMonitorWebhook:SUCCEEDED");
    assert!(began.elapsed().as_millis() >= 1_000);
}
