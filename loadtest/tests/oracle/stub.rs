//! The server that stood beside Orca: `/hook/N` answers with the status N.

use std::sync::Arc;

use scheduler::{Config, Scheduler};
use serde_json::{Value, json};
use shared_model::WorkerId;
use shared_plugin::Catalog;
use shared_runtime::Supervisor;
use shared_testkit::http_server::{Asked, HttpServer, Reply};
use worker::stages::webhook::{AllowList, Webhook, WebhookConfig};

use crate::case::{Case, STUB};
use crate::orca::{self, Answer, QUEUE_LEN_MAX, STOP_LIMIT};

/// Asks our scheduler, with a worker that may ask the stub. Real requests take real time.
pub(crate) fn ask(case: &Case) -> Answer {
    let stub = HttpServer::start(reply).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut answer = runtime.block_on(async {
        let clock = Arc::new(shared_adapters::SystemClock::default());
        let ports = shared_adapters::memory::ports(clock, QUEUE_LEN_MAX);
        let supervisor = Supervisor::new();
        let allow = AllowList::new(["127.0.0.1".parse().unwrap()]);
        let webhook = Webhook::new(WebhookConfig { allow, ..WebhookConfig::default() });
        let catalog = Catalog::default().with(webhook);
        let types = catalog.descriptors();
        let scheduler = Scheduler::start(Config::default(), ports.clone(), types, &supervisor);
        let scheduler = scheduler.await.unwrap();
        let config = worker::Config::named(WorkerId::new("oracle"));
        worker::start(config, ports, catalog, &supervisor).await.unwrap();
        let pipeline = told(&case.pipeline, STUB, &stub.url(""));
        let answer = orca::with(&scheduler, case, pipeline).await;
        supervisor.shut_down(STOP_LIMIT).await;
        answer
    });
    answer.execution = told(&answer.execution, &stub.url(""), STUB);
    answer
}

fn reply(asked: &Asked) -> Reply {
    let status = asked.path.strip_prefix("/hook/").and_then(|status| status.parse().ok());
    Reply::json(status.unwrap_or(404), &json!({ "hello": "world", "status": "DONE" }))
}

/// A document in which the stub is called otherwise.
fn told(document: &Value, from: &str, to: &str) -> Value {
    serde_json::from_str(&document.to_string().replace(from, to)).unwrap()
}
