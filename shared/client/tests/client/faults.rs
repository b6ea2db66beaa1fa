//! Servers that are away, slow, broken, or something else.

use std::time::Duration;

use shared_client::{Client, Config, Error};

use crate::stub::{Stub, answer, json};

/// What the client says of one answer to `GET /applications`, and what to do.
async fn said(raw: String) -> (String, String) {
    let stub = Stub::start([raw]).await;
    let error = stub.client().applications().await.unwrap_err();
    (error.to_string().replace(&stub.url, "SERVER"), error.hint())
}

#[tokio::test]
async fn nobody_listens() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let error = Client::new(Config::of(&url)).unwrap().version().await.unwrap_err();
    assert_eq!(error.to_string(), format!("no server answers at {url}"));
    assert!(error.is_passing() && error.hint().contains("capstan dev"));
}

#[tokio::test]
async fn another_server_is_named_as_such() {
    let cases = [
        (answer("200 OK", "text/html", "<h1>hi</h1>"), "the answer is `text/html`, not JSON"),
        (answer("404 Not Found", "text/html", "no"), "`404 Not Found` and `text/html`"),
        (json("200 OK", "{\"cut"), "the answer is not readable"),
        (json("200 OK", "{}"), "the answer is no list"),
        ("HTTP/1.1 302 Found\r\nlocation: http://x/\r\n\r\n".into(), "it sends us to http://x/"),
    ];
    for (raw, why) in cases {
        let (said, hint) = said(raw).await;
        assert!(said.starts_with("SERVER does not answer GET /applications"), "{said}");
        assert!(said.contains(why) && hint.contains("--server URL"), "{said}");
    }
}

#[tokio::test]
async fn what_speaks_no_http_or_breaks_off_is_told() {
    for raw in [
        "SSH-2.0-x\r\n",
        "",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n[",
    ] {
        let (said, _) = said(raw.to_owned()).await;
        assert_eq!(said, "the answer of SERVER to GET /applications broke off", "{raw}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let call_timeout = Duration::from_millis(50);
    let client = Client::new(Config { call_timeout, ..Config::of(url) }).unwrap();
    let error = client.version().await.unwrap_err();
    assert!(matches!(error, Error::TooSlow { limit, .. } if limit == call_timeout), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let stub = Stub::start([json("200 OK", &format!("[\"{}\"]", "x".repeat(2_000)))]).await;
    let config = Config { body_bytes_max: 1_000, ..Config::of(&stub.url) };
    let error = Client::new(config).unwrap().applications().await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1_000, .. }), "{error}");
}

#[tokio::test]
async fn a_refusal_is_read_whole() {
    let problem = r#"{"severity":"error","code":"stage-cycle","pointer":"/stages/0","line":3,
        "message":"it waits for itself","hint":"remove it"}"#;
    let body = format!(
        r#"{{"timestamp":1,"status":400,"error":"Bad Request","code":"invalid-document",
        "message":"1 error","path":"/pipelines","errors":[{problem},"of another shape"]}}"#
    );
    let stub = Stub::start([json("400 Bad Request", &body)]).await;
    let error = stub.client().save_pipeline(&serde_json::json!({})).await.unwrap_err();
    let Error::Refused(refusal) = &error else { panic!("{error}") };
    assert_eq!((refusal.status, refusal.code.as_str()), (400, "invalid-document"));
    assert_eq!(refusal.problems.len(), 1);
    assert_eq!(refusal.problems[0].line, Some(3));
}

#[tokio::test]
async fn problem_details_are_read_as_well() {
    let body = r#"{"type":"about:blank","title":"Not Found","status":404,"code":"not-found",
        "detail":"execution `x` was not found","instance":"/v1/executions/x/history"}"#;
    let stub = Stub::start([answer("404 Not Found", "application/problem+json", body)]).await;
    let error = stub.client().history("x", 0).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "execution `x` was not found");
}

#[tokio::test]
async fn whoever_stands_in_front_of_a_server_speaks_for_it() {
    let (said, hint) = said(answer("401 Unauthorized", "text/html", "<h1>login</h1>")).await;
    assert!(said.contains("401") && hint.contains("CAPSTAN_TOKEN"), "{said}: {hint}");
    let stub = Stub::start([answer("503 Service Unavailable", "text/plain", "")]).await;
    assert!(stub.client().version().await.unwrap_err().is_passing());
}

#[test]
fn a_setting_that_cannot_be_sent_is_refused_and_a_token_is_not_shown() {
    let token = Some("s3cret\n".into());
    let error = Client::new(Config { token, ..Config::of("http://h") }).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    let user = Some("ü".to_owned());
    assert!(Client::new(Config { user, ..Config::of("http://h") }).is_err());
    let token = Some("s3cret".into());
    let client = Client::new(Config { token, ..Config::of("http://h") }).unwrap();
    assert!(!format!("{client:?}").contains("s3cret"));
}
