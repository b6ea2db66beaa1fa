//! A whole Capstan in this process, and the server that stood beside Orca.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use scheduler::api::ApiLimits;
use scheduler::{Config, Scheduler};
use serde_json::json;
use shared_adapters::open;
use shared_model::WorkerId;
use shared_plugin::Catalog;
use shared_runtime::Supervisor;
use shared_testkit::http_server::{Asked, HttpServer, Reply};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use worker::stages::webhook::{AllowList, Webhook, WebhookConfig};

/// How long the server may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Answers `/hook/N` with the status N.
pub(crate) fn stub() -> Result<HttpServer> {
    HttpServer::start(reply)
}

fn reply(asked: &Asked) -> Reply {
    let status = asked.path.strip_prefix("/hook/").and_then(|status| status.parse().ok());
    Reply::json(status.unwrap_or(404), &json!({ "hello": "world", "status": "DONE" }))
}

/// Scheduler, worker, stores and API on the embedded ports, with a worker that may ask the stub.
pub(crate) struct Embedded {
    runtime: Runtime,
    scheduler: Scheduler,
    supervisor: Supervisor,
    guard: open::Guard,
    pub(crate) address: String,
}

impl Embedded {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(serve(folder)).map(|(scheduler, supervisor, guard, address)| Self {
            runtime,
            scheduler,
            supervisor,
            guard,
            address,
        })
    }

    pub(crate) fn stop(self) -> Result<()> {
        let Self { runtime, scheduler, supervisor, guard, address: _ } = self;
        runtime.block_on(async {
            ensure!(supervisor.shut_down(STOP_LIMIT).await, "not all ended within {STOP_LIMIT:?}");
            drop(scheduler);
            guard.close().await.context("the data folder was not closed well")
        })
    }
}

async fn serve(folder: &Path) -> Result<(Scheduler, Supervisor, open::Guard, String)> {
    let (ports, guard) = open::open(&open::Config::embedded(folder)).await?;
    let supervisor = Supervisor::new();
    let allow = AllowList::new(["127.0.0.1".parse()?]);
    let webhook = Webhook::new(WebhookConfig { allow, ..WebhookConfig::default() });
    let catalog = Catalog::default().with(webhook);
    let types = catalog.descriptors();
    let scheduler = Scheduler::start(Config::default(), ports.clone(), types, &supervisor).await?;
    worker::start(worker::Config::named(WorkerId::new("oracle")), ports, catalog, &supervisor)
        .await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let limits = ApiLimits::default();
    let address = scheduler::api::serve(scheduler.clone(), listener, limits, &supervisor).await?;
    Ok((scheduler, supervisor, guard, address.to_string()))
}
