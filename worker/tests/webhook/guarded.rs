//! Where webhooks do not go.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use shared_runtime::http::Resolver;
use shared_testkit::http_server::{HttpServer, Reply};
use worker::stages::webhook::Webhook;

use crate::scene::{Scene, config};

struct Means(IpAddr);

#[async_trait]
impl Resolver for Means {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.0])
    }
}

#[tokio::test]
async fn a_webhook_reaches_nothing_inside_unless_it_is_opened() {
    let server = HttpServer::start(|_| Reply::text(200, "inside")).unwrap();
    let closed = Webhook::new(config(&[]));
    for context in [
        json!({ "url": server.url("/?token=hunter2") }),
        json!({ "url": "http://169.254.169.254/latest/meta-data/" }),
        json!({ "url": server.url("/"), "monitorOnly": true, "waitForCompletion": true }),
    ] {
        let ended = Scene::new(closed.clone(), context).play().await;
        let (kind, line) = ended.failure();
        assert!(kind == "WebhookTargetRefused" && line.contains("--allow-url "), "{kind}: {line}");
        assert!(!line.contains("hunter2") && !ended.log.contains("hunter2"));
    }
    let named = Webhook::with_resolver(config(&[]), Arc::new(Means("10.0.0.7".parse().unwrap())));
    let ended = Scene::new(named, json!({ "url": "http://ci.example/" })).play().await;
    let (kind, line) = ended.failure();
    assert!(kind == "WebhookTargetRefused" && line.contains("10.0.0.7"), "{line}");
    assert!(line.contains("--allow-url ci.example:80"), "{line}");
    assert_eq!(server.asked(), []);
}

#[tokio::test]
async fn neither_a_redirect_nor_an_answer_leads_inside() {
    let inside = HttpServer::start(|_| Reply::text(200, "inside")).unwrap();
    let to = inside.url("/");
    let server = HttpServer::start(move |asked| match asked.path.as_str() {
        "/redirect" => Reply::location(307, &to),
        "/metadata" => Reply::location(302, "http://169.254.169.254/"),
        "/loop" => Reply::location(302, "/loop"),
        _ => Reply::location(201, &to),
    })
    .unwrap();
    let open = format!("ci.example:{}", server.port());
    let stage =
        Webhook::with_resolver(config(&[&open]), Arc::new(Means("127.0.0.1".parse().unwrap())));
    let url = |path: &str| format!("http://ci.example:{}{path}", server.port());
    for (path, kind) in [
        ("/redirect", "WebhookTargetRefused"),
        ("/metadata", "WebhookTargetRefused"),
        ("/loop", "WebhookNotAnswered"),
        ("/location", "WebhookTargetRefused"),
    ] {
        let context = json!({ "url": url(path), "method": "PUT", "waitForCompletion": true,
                              "statusUrlResolution": "locationHeader" });
        let ended = Scene::new(stage.clone(), context).play().await;
        assert_eq!(ended.failure().0, kind, "{path}: {ended:?}");
    }
    assert_eq!(inside.asked(), []);
}
