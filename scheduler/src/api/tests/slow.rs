//! Clients that send nothing, or take nothing; and limits on what is asked for.

use std::io::ErrorKind;

use serde_json::json;

use super::*;

/// A second address of the scene's API, with little patience.
async fn impatient(scene: &Scene) -> SocketAddr {
    let limits = ApiLimits {
        head_timeout: Duration::from_millis(300),
        write_timeout: Duration::from_millis(300),
        ..ApiLimits::default()
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    serve(scene.scheduler.clone(), listener, limits, &scene.supervisor).await.unwrap()
}

/// Sends something; what comes until the server ends the connection.
async fn until_the_end(address: SocketAddr, sent: String) -> Vec<u8> {
    let exchange = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes);
        assert!(ended.is_ok(), "the server does not end it: {ended:?}");
        bytes
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_finish_a_head_is_sent_away() {
    let scene = Scene::new().await;
    let address = impatient(&scene).await;
    for sent in ["", "GET /health HTTP/1.1\r\nHost:"] {
        let answer = until_the_end(address, sent.to_owned()).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{sent}: {answer:?}");
    }
    let idle = format!("GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let answer = until_the_end(address, idle).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "an answer, and then the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_answer_is_sent_away() {
    const ASKED: usize = 400;
    let scene = Scene::new().await;
    let address = impatient(&scene).await;
    let exchange = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET /v1/openapi.json HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.repeat(ASKED).as_bytes()).unwrap();
        // Longer than the server's patience; nothing else can show that it was not waited for.
        std::thread::sleep(Duration::from_secs(2));
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut taken = Vec::new();
        let ended = stream.read_to_end(&mut taken);
        assert!(ended.map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true));
        taken.len()
    };
    let taken = tokio::task::spawn_blocking(exchange).await.unwrap();
    assert!(taken < openapi::text().len() * ASKED, "everything was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_may_be_only_so_large() {
    let scene = Scene::new().await;
    let long = format!("Host: {}\r\nX-Long: {}\r\n", scene.address, "x".repeat(400_000));
    let reply = scene.raw("GET", "/nowhere/at/all", &long, "").await;
    assert!(reply.status == 431 || reply.status == 0, "{}", reply.status);
}

/// The scene allows five executions that have not ended; one waits already.
#[tokio::test(flavor = "multi_thread")]
async fn so_many_executions_may_be_unfinished() {
    let scene = Scene::new().await;
    let start = async |application: &str| {
        let asks = json!({"application": application, "name": "p", "stages": [
            {"refId": "1", "type": "manualJudgment", "name": "Ask"},
        ]});
        scene.send("POST", "/pipelines/start", &asks.to_string()).await
    };
    for number in 1..UNFINISHED_MAX {
        assert_eq!(start(&format!("a{number}")).await.status, 202);
    }
    let refused = start("b").await;
    assert!(refused.is_error(429, "too-many-executions"), "{}", refused.body);
    assert!(refused.body.contains("executions_unfinished_max"), "{}", refused.body);
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    assert_eq!(scene.send("PUT", &format!("{}/cancel", scene.pipeline()), "").await.status, 200);
    assert_eq!(start("b").await.status, 202, "one has ended");
}

/// The scene allows three of one application.
#[tokio::test(flavor = "multi_thread")]
async fn so_many_executions_of_one_application_may_be_unfinished() {
    let scene = Scene::new().await;
    let asks = |application: &str| {
        json!({"application": application, "name": "p", "stages": [
            {"refId": "1", "type": "manualJudgment", "name": "Ask"},
        ]})
        .to_string()
    };
    let start = async |body: &str| scene.send("POST", "/pipelines/start", body).await;
    for _ in 0..PER_APPLICATION_MAX {
        assert_eq!(start(&asks("flood")).await.status, 202);
    }
    let refused = start(&asks("Flood")).await;
    assert!(refused.is_error(429, "too-many-executions-of-application"), "{}", refused.body);
    assert!(refused.body.contains("executions_unfinished_per_application_max"), "{}", refused.body);
    assert!(refused.body.contains("`Flood`"), "{}", refused.body);
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    assert_eq!(start(&asks("small")).await.status, 202, "others have their own");
}
