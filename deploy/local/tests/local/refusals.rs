//! What cannot be done is said in words, and leaves nothing.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::scene::{Scene, processes, programs};

async fn error(more: Value) -> String {
    let scene = Scene::new();
    let error = scene.deploy("one", more).await.failed();
    assert_eq!(processes(scene.folder.path()), Vec::<i32>::new());
    assert_eq!(scene.shown(), Vec::<String>::new());
    format!("{}: {}", error.kind, error.messages.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_fails_is_quoted_and_destroyed() {
    let crashed = error(json!({"command": [programs(), "crash"]})).await;
    for part in ["NotHealthy", "exited with code 3", "cannot reach the database", "was destroyed"] {
        assert!(crashed.contains(part), "`{part}` is missing in: {crashed}");
    }
    let deaf = error(json!({"command": [programs(), "deaf"], "healthTimeoutSec": 1})).await;
    for part in ["not healthy within 1s", "warming up for ever", "was destroyed"] {
        assert!(deaf.contains(part), "`{part}` is missing in: {deaf}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_is_known_before() {
    assert!(error(json!({"command": ["no-such-program"]})).await.contains("`no-such-program`"));
    assert!(error(json!({"command": ["/etc/passwd"]})).await.contains("cannot be executed"));
    assert!(error(json!({"command": []})).await.contains("`command` is empty"));
    assert!(error(json!({"cloudProvider": "aws"})).await.contains("`aws` are not built"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_replaced_and_that_is_said() {
    let scene = Scene::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let balancers = json!({"loadBalancers": [{"name": "web", "port": port}]});
    let ended = scene.deploy("one", balancers).await.succeeded();
    assert_ne!(ended.port(), port);
    let message = ended.outputs["loadBalancers"][0]["message"].as_str().unwrap();
    assert!(message.contains(&format!("port {port} was taken")), "{message}");
    assert_eq!(ended.context["deploy.server.groups"], json!({"local": ["shop-prod-v000"]}));
}
