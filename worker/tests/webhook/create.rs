//! The request itself: what is sent, and what becomes of the answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use shared_model::TaskAnswer;
use shared_plugin::StageType;
use shared_testkit::http_server::{HttpServer, Reply};

use crate::scene::{play, scene};

fn echo() -> HttpServer {
    HttpServer::start(|_| Reply::json(200, &json!({ "hello": "world" }))).unwrap()
}

/// Answers with the first codes one after another, and with the last for ever.
pub(crate) fn codes(codes: &'static [u16]) -> HttpServer {
    let count = AtomicUsize::new(0);
    HttpServer::start(move |_| {
        let asked = count.fetch_add(1, Ordering::SeqCst);
        Reply::json(codes[asked.min(codes.len() - 1)], &json!({ "status": "DONE" }))
    })
    .unwrap()
}

#[tokio::test]
async fn a_webhook_is_sent_and_its_answer_is_in_the_context() {
    let server = echo();
    let ended = play(json!({ "url": server.url("/a?token=hunter2"), "payload": { "a": 2 },
        "customHeaders": { "X-Secret": "hunter2", "X-SPINNAKER-USER": "root" } }))
    .await;
    ended.succeeded();
    assert_eq!(ended.tasks, ["createWebhook:SUCCEEDED"]);
    let webhook = ended.webhook("");
    assert_eq!(webhook["statusCode"], "OK");
    assert_eq!(webhook["statusCodeValue"], 200);
    assert_eq!(webhook["body"], json!({ "hello": "world" }));
    assert_eq!(webhook["headers"]["Content-Type"], "application/json");
    let asked = server.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/a?token=hunter2"));
    assert_eq!(
        (asked.body.as_str(), asked.header("content-type")),
        (r#"{"a":2}"#, Some("application/json"))
    );
    assert_eq!(asked.header("x-secret"), Some("hunter2"));
    assert_eq!(asked.header("x-spinnaker-user"), None);
    assert_eq!(asked.header("idempotency-key"), Some("e/1/1/0/0"));
    assert!(
        ended.log.contains(&format!("POST {}: answered 200 OK", server.url("/a"))),
        "{}",
        ended.log
    );
    assert!(!ended.log.contains("hunter2"), "{}", ended.log);
}

#[tokio::test]
async fn payloads_are_sent_as_orca_sends_them() {
    let server = echo();
    let form = "application/x-www-form-urlencoded";
    for (more, kind, body) in [
        (json!({ "payload": [1, "x"] }), Some("application/json"), r#"[1,"x"]"#),
        (json!({ "payload": "plain" }), Some("text/plain;charset=UTF-8"), "plain"),
        (json!({ "payload": 7, "method": "put" }), Some("application/json"), "7"),
        (json!({ "method": "GET" }), None, ""),
        (json!({ "method": "get", "payload": {} }), None, ""),
        (json!({ "payload": null }), None, ""),
        (
            json!({ "payload": "<a/>", "customHeaders": { "content-type": "text/xml" } }),
            Some("text/xml"),
            "<a/>",
        ),
        (
            json!({ "payload": { "a b": "c&d", "n": 1 }, "customHeaders": { "Content-Type": form } }),
            Some(form),
            "a+b=c%26d&n=1",
        ),
    ] {
        let mut context = json!({ "url": server.url("/") });
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        play(context).await.succeeded();
        let asked = server.asked().pop().unwrap();
        assert_eq!((asked.header("content-type"), asked.body.as_str()), (kind, body), "{more}");
    }
    let several = json!({ "url": server.url("/"), "customHeaders": { "X": ["1", "2"], "Idempotency-Key": "mine" } });
    play(several).await.succeeded();
    let asked = server.asked().pop().unwrap();
    let values: Vec<&str> = asked
        .headers
        .iter()
        .filter(|(name, _)| name == "x")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(values, ["1", "2"]);
    assert_eq!(asked.header("idempotency-key"), Some("mine"));
}

#[tokio::test]
async fn what_cannot_be_sent_names_the_field_and_sends_nothing() {
    let server = echo();
    for (more, field) in [
        (json!({ "method": "GET", "payload": { "a": 1 } }), "payload"),
        (json!({ "customHeaders": { "a b": "x" } }), "customHeaders.a b"),
        (json!({ "customHeaders": { "A": "x\r\nB: y" } }), "customHeaders.A"),
        (json!({ "account": "github" }), "account"),
        (json!({ "failFastStatusCodes": 503 }), "failFastStatusCodes"),
    ] {
        let mut context = json!({ "url": server.url("/") });
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (kind, line) = play(context).await.failure();
        assert!(
            kind == "WebhookField" && line.starts_with(&format!("`{field}` ")),
            "{kind}: {line}"
        );
    }
    let host = json!({ "url": server.url("/"), "customHeaders": { "Host": "other" } });
    assert!(play(host).await.failure().1.contains("`host`"));
    assert_eq!(server.asked(), []);
}

#[tokio::test]
async fn an_answer_without_json_is_text_and_one_without_body_has_none() {
    let server = HttpServer::start(|asked| match asked.path.as_str() {
        "/html" => {
            Reply::With(200, vec![("Content-Type".into(), "text/html".into())], b"<p>".to_vec())
        }
        "/bad" => Reply::With(
            200,
            vec![("Content-Type".into(), "application/json".into())],
            b"{x".to_vec(),
        ),
        _ => Reply::With(204, Vec::new(), Vec::new()),
    })
    .unwrap();
    let html = play(json!({ "url": server.url("/html") })).await;
    assert_eq!(html.succeeded().webhook("/body"), "<p>");
    let bad = play(json!({ "url": server.url("/bad") })).await;
    assert_eq!(bad.succeeded().webhook("/body"), "{x");
    let none = play(json!({ "url": server.url("/204") })).await;
    assert_eq!(none.succeeded().webhook("/statusCode"), "NO_CONTENT");
    assert_eq!(none.webhook("/body"), Value::Null);
}

#[tokio::test]
async fn a_refusal_fails_the_stage_in_orcas_words() {
    let server = codes(&[404]);
    let ended = play(json!({ "url": server.url("/x?token=hunter2") })).await;
    let expected = format!(
        "Error submitting webhook for pipeline e to {} with status code 404.",
        server.url("/x")
    );
    assert_eq!(ended.failure(), ("WebhookFailed".to_owned(), expected.clone()));
    assert_eq!(ended.webhook("/error"), expected);
    assert_eq!(ended.webhook("/statusCode"), "NOT_FOUND");
    assert_eq!(ended.webhook("/body/status"), "DONE");
    assert_eq!(ended.tasks, ["createWebhook:TERMINAL"]);
}

#[tokio::test]
async fn some_statuses_are_asked_again_under_the_same_key() {
    for (answers, more, asked) in [
        (&[503, 500, 200][..], json!({}), 3),
        (&[429, 200][..], json!({}), 2),
        (&[404, 404, 201][..], json!({ "webhookRetryStatusCodes": [404] }), 3),
    ] {
        let server = codes(answers);
        let mut context = json!({ "url": server.url("/") });
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let ended = play(context).await;
        assert_eq!(ended.succeeded().again, asked - 1);
        assert_eq!(ended.webhook("/error"), Value::Null);
        let keys = server.asked();
        assert_eq!(keys.len(), asked);
        assert!(keys.iter().all(|asked| asked.header("idempotency-key") == Some("e/1/1/0/0")));
    }
}

#[tokio::test]
async fn some_statuses_fail_fast_and_none_is_asked_for_ever() {
    let server = codes(&[503]);
    let ended = play(json!({ "url": server.url("/"), "failFastStatusCodes": [503] })).await;
    assert!(
        ended.failure().1.starts_with("Received status code 503, which is configured to fail fast")
    );
    let timeout = codes(&[504]);
    play(json!({ "url": timeout.url("/") })).await.failure();
    assert_eq!((server.asked().len(), timeout.asked().len()), (1, 1));
    let failing = codes(&[500]);
    let ended = play(json!({ "url": failing.url("/") })).await;
    assert!(ended.again > 3 && ended.failure().1.ends_with("with status code 500."), "{ended:?}");
}

#[tokio::test]
async fn a_target_may_say_when_it_is_to_be_asked_again() {
    let server = HttpServer::start(|_| {
        Reply::With(429, vec![("Retry-After".into(), "7".into())], Vec::new())
    });
    let server = server.unwrap();
    let mut scene = scene(json!({ "url": server.url("/") }));
    let TaskAnswer::Again { after, .. } = scene.run(0).await else { panic!("asks again") };
    assert_eq!(after.as_secs(), 7);
}

#[tokio::test]
async fn an_answer_that_never_came_is_asked_again_only_where_that_does_no_harm() {
    let broken = || HttpServer::start(|_| Reply::Raw(Box::new(|_| Ok(())))).unwrap();
    let server = broken();
    let ended = play(json!({ "url": server.url("/") })).await;
    // Not a failure: a person is asked what became of it.
    assert!(matches!(ended.answer, TaskAnswer::Canceled { .. }), "{ended:?}");
    for said in [&ended.webhook("/error").to_string(), &ended.log] {
        assert!(said.contains("is not known") && said.contains("idempotent"), "{said}");
    }
    assert_eq!(server.asked().len(), 1);
    for more in
        [json!({ "method": "GET" }), json!({ "method": "PUT" }), json!({ "idempotent": true })]
    {
        let server = broken();
        let mut context = json!({ "url": server.url("/") });
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let ended = play(context).await;
        assert_eq!(ended.failure().0, "WebhookNotAnswered");
        assert!(server.asked().len() > 3, "{more}");
    }
    let server = echo();
    let url = server.url("/");
    drop(server);
    let ended = play(json!({ "url": url })).await;
    let (kind, line) = ended.failure();
    assert!(kind == "WebhookNotAnswered" && line.contains("nothing was sent"), "{line}");
    assert_eq!(ended.again, 0);
}

#[tokio::test]
async fn a_target_that_hangs_or_floods_ends_with_an_error_that_names_the_limit() {
    let server = HttpServer::start(|asked| match asked.path.as_str() {
        "/hang" => Reply::hang(),
        _ => Reply::Raw(Box::new(|to| {
            use std::io::Write;
            write!(to, "HTTP/1.1 200 OK\r\n\r\n")?;
            (0..1_600).try_for_each(|_| to.write_all(&[b'x'; 65_536]))
        })),
    })
    .unwrap();
    let began = std::time::Instant::now();
    let hangs = play(json!({ "url": server.url("/hang") })).await;
    assert!(hangs.webhook("/error").to_string().contains("request_timeout"), "{hangs:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
    let hangs = play(json!({ "url": server.url("/hang"), "method": "GET" })).await;
    assert!(hangs.failure().1.contains("request_timeout"), "{hangs:?}");
    let floods = play(json!({ "url": server.url("/flood") })).await;
    assert!(floods.failure().1.contains("response_bytes_max"), "{floods:?}");
}

#[tokio::test]
async fn artifacts_of_the_answer_are_the_stages_where_it_expects_some() {
    let artifact = json!({ "type": "docker/image", "name": "web", "reference": "web:1" });
    let body = json!({ "artifacts": [artifact] });
    let server = HttpServer::start(move |asked| match asked.path.as_str() {
        "/good" => Reply::json(200, &body),
        _ => Reply::json(200, &json!({ "artifacts": "none" })),
    })
    .unwrap();
    let expected = json!([{ "matchArtifact": { "type": "docker/image" } }]);
    let mut good = scene(json!({ "url": server.url("/good"), "expectedArtifacts": expected }));
    let TaskAnswer::Succeeded { result } = good.run(0).await else { panic!("succeeds") };
    assert_eq!(json!(result.artifacts), json!([artifact]));
    let bad = play(json!({ "url": server.url("/bad"), "expectedArtifacts": expected })).await;
    assert!(
        bad.failure().1.starts_with("Expected artifacts in webhook response couldn't be parsed")
    );
    let unasked = scene(json!({ "url": server.url("/good") })).run(0).await;
    assert!(unasked.result().unwrap().artifacts.is_empty());
}

#[test]
fn only_the_request_itself_has_effects() {
    let descriptor = scene(json!({})).stage.describe();
    let effects: Vec<String> =
        descriptor.tasks.iter().map(|task| format!("{:?}", task.effects)).collect();
    assert_eq!(effects, ["Request", "Watch", "Watch"]);
}
