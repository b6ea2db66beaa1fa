//! Streams over connections that break.

use shared_client::Happening;

use crate::stub::{Stub, answer, broken_events, events, json};

fn entry(number: u64) -> String {
    format!(
        "event: history\nid: {number}\ndata: {{\"number\":{number},\"at\":\"2026-01-01T00:00:00Z\",\
         \"stage\":null,\"kind\":\"k\",\"text\":\"t{number}\"}}\n\n"
    )
}

const END: &str = "event: end\ndata: {\"status\":\"SUCCEEDED\"}\n\n";

/// What is heard of an execution, in short.
async fn heard(stub: &Stub) -> Vec<String> {
    let mut happenings = stub.client().happenings("x", 0);
    let mut heard = Vec::new();
    while let Some(happening) = happenings.next().await.unwrap() {
        heard.push(match happening {
            Happening::Entry(entry) => entry.text,
            Happening::Lost(_) => "lost".to_owned(),
            Happening::Ended { status } => status,
        });
    }
    heard
}

#[tokio::test]
async fn a_stream_is_followed_to_its_end() {
    let stub = Stub::start([events(&format!(": hello\n\n{}{}{END}", entry(1), entry(2)))]).await;
    assert_eq!(heard(&stub).await, ["t1", "t2", "SUCCEEDED"]);
}

#[tokio::test]
async fn a_broken_stream_goes_on_where_it_was() {
    let stub = Stub::start([
        broken_events(&entry(1)),
        answer("503 Service Unavailable", "text/plain", ""),
        events(&entry(2)),
        events(&format!("{}{END}", entry(3))),
    ])
    .await;
    assert_eq!(heard(&stub).await, ["t1", "lost", "t2", "lost", "t3", "SUCCEEDED"]);
    let asked = stub.asked();
    for (request, id) in asked.iter().zip([0, 1, 1, 2]) {
        assert!(request.contains(&format!("last-event-id: {id}\r\n")), "{request}");
    }
}

// Its pauses are skipped.
#[tokio::test(start_paused = true)]
async fn a_server_that_stays_away_is_given_up() {
    let stub = Stub::start([]).await;
    let client = stub.client();
    drop(stub);
    tokio::task::yield_now().await;
    let mut happenings = client.happenings("x", 0);
    assert!(matches!(happenings.next().await, Ok(Some(Happening::Lost(_)))));
    assert!(happenings.next().await.is_err());
}

#[tokio::test]
async fn what_is_no_stream_or_refused_is_an_error() {
    let missing = json("404 Not Found", r#"{"status":404,"code":"not-found","message":"gone"}"#);
    for raw in [json("200 OK", "[]"), missing] {
        let stub = Stub::start([raw]).await;
        assert!(stub.client().happenings("x", 0).next().await.is_err());
    }
}

#[tokio::test]
async fn a_log_is_followed_until_its_stage_has_ended() {
    let running = r#"{"id":"x","status":"RUNNING","stages":[{"id":"s","status":"RUNNING"}]}"#;
    let stub = Stub::start([
        events("id: 4\ndata: a\ndata: b\n\n"),
        json("200 OK", running),
        events("id: 6\ndata: c\n\nid: 9\ndata: cut\n\n"),
        json(
            "200 OK",
            &running.replace(r#""s","status":"RUNNING""#, r#""s","status":"SUCCEEDED""#),
        ),
        answer("200 OK", "text/plain", "tail"),
        answer("200 OK", "text/plain", ""),
    ])
    .await;
    let mut log = stub.client().log_stream("x", "s", 0);
    let mut text = Vec::new();
    while let Some(chunk) = log.next().await.unwrap() {
        text.extend(chunk.text);
    }
    assert_eq!(String::from_utf8_lossy(&text), "a\nb\nc\ncuttail");
    assert!(stub.asked()[2].contains("last-event-id: 4\r\n"));
    assert_eq!(stub.lines()[4], "GET /v1/executions/x/stages/s/log?offset=9");
    assert_eq!(stub.lines()[5], "GET /v1/executions/x/stages/s/log?offset=13");
}
