//! The real servers that tests run against: etcd, the three of Kubernetes, KWOK in place of the
//! kubelets, docker, an image registry, PostgreSQL, RabbitMQ, Redis and MinIO.
//!
//! Everything listens on a free port of 127.0.0.1, keeps its data in one temporary folder, and is
//! ended by its own process id. A server also dies with the process that started it (by the
//! kernel's parent-death signal), so that a killed test run leaves nothing behind.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;

use crate::deadline::Deadline;
use crate::install::Tools;

mod addresses;
mod api;
mod certificates;
mod credentials;
mod docker;
mod minio;
mod ports;
mod postgres;
mod rabbitmq;
mod redis;
mod server;
mod servers;

pub use addresses::StackAddresses;
pub use api::{Api, Response};
pub use minio::MinIo;
pub use postgres::{PostgresServer, sql};
pub use rabbitmq::{Management, RabbitMq};
pub use redis::Redis;

use credentials::Credentials;
use ports::Ports;
use postgres::Cluster;
use server::Server;
use servers::Layout;

/// How long the whole stack may take to become ready.
const START_MAX: Duration = Duration::from_secs(120);
/// The machines that pods land on.
const NODES: [&str; 2] = ["node-a", "node-b"];

/// A running stack. Dropping it stops every server.
///
/// Start it from a thread that lives as long as the stack: the kernel ends a server when the
/// *thread* that started it is gone.
#[derive(Debug)]
pub struct Stack {
    // Ended from the last to the first, before their data goes.
    servers: Vec<Server>,
    rabbitmq: RabbitMq,
    redis: Redis,
    minio: MinIo,
    addresses: StackAddresses,
    postgres: Cluster,
    data: TempDir,
}

impl Stack {
    /// Starts every server and waits until pods can run.
    ///
    /// # Errors
    /// A server ends or is not ready in time: the error carries the end of its log.
    pub fn start(tools: &Tools) -> Result<Self> {
        let data = tempfile::Builder::new()
            .prefix("capstan-stack-")
            .tempdir()
            .context("failed to make the folder of the test stack")?;
        let ports = Ports::choose()?;
        let credentials = Credentials::make()?;
        let layout = Layout::write(data.path(), &ports, &credentials)?;
        // They need nobody: they start beside the others and are looked at last.
        let rabbitmq = RabbitMq::start(&data.path().join("rabbitmq"), &[])?;
        let redis = Redis::start(&data.path().join("redis"), &[])?;
        let minio = MinIo::start(&data.path().join("minio"))?;
        let postgres = Cluster::make()?;
        let more = (&postgres, &rabbitmq, &redis, &minio);
        let addresses = StackAddresses::of(&layout, &ports, tools, more);
        let servers = Vec::new();
        let mut stack = Self { servers, rabbitmq, redis, minio, addresses, postgres, data };
        stack.bring_up(tools, &layout, &ports, &credentials)?;
        Ok(stack)
    }

    /// Where everything is.
    pub fn addresses(&self) -> &StackAddresses {
        &self.addresses
    }

    /// The temporary folder of all data and logs.
    pub fn data_folder(&self) -> &Path {
        self.data.path()
    }

    /// The name and process id of each server, in the order of their start.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        let more = [
            ("rabbitmq", self.rabbitmq.pid()),
            ("redis", self.redis.pid()),
            ("minio", self.minio.pid()),
        ];
        let more = more.into_iter().filter_map(|(name, pid)| Some((name, pid?)));
        more.chain(self.servers.iter().map(|server| (server.name(), server.pid()))).collect()
    }

    /// The first server that has ended by itself, with the end of its log.
    ///
    /// # Errors
    /// One has ended, or its state can't be read.
    pub fn check(&mut self) -> Result<()> {
        self.rabbitmq.check()?;
        self.redis.check()?;
        self.minio.check()?;
        self.servers.iter_mut().try_for_each(Server::check)
    }

    /// Stops every server, the last one first, and removes the data.
    ///
    /// # Errors
    /// A server could not be ended, or the folder not be removed.
    pub fn stop(mut self) -> Result<()> {
        self.stop_servers()?;
        let data = self.data.path();
        fs::remove_dir_all(data).with_context(|| format!("failed to remove {}", data.display()))
    }

    fn bring_up(
        &mut self,
        tools: &Tools,
        layout: &Layout,
        ports: &Ports,
        credentials: &Credentials,
    ) -> Result<()> {
        let deadline = Deadline::after(START_MAX);
        let api = Api::new(ports.apiserver, Some(layout.ca()), &credentials.admin);
        // These need nobody: they start beside the others and are looked at last.
        self.launch(self.postgres.launch(&layout.logs(), &[]))?;
        self.launch(docker::dockerd(layout))?;
        self.launch(docker::registry(layout, ports))?;
        self.launch(servers::etcd(tools, layout, ports))?;
        self.launch(servers::kube_apiserver(tools, layout, ports))?;
        self.wait(&deadline, "kube-apiserver", || api.is_ok("/readyz"))?;
        for name in NODES {
            api.create(
                "/api/v1/nodes",
                &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}),
            )?;
        }
        self.launch(servers::kube_controller_manager(tools, layout, ports))?;
        self.launch(servers::kube_scheduler(tools, layout, ports))?;
        self.launch(servers::kwok(tools, layout, ports))?;
        for (name, port) in [
            ("kube-controller-manager", ports.controller_manager),
            ("kube-scheduler", ports.scheduler),
        ] {
            let health = Api::new(port, None, "");
            self.wait(&deadline, name, || health.is_ok("/healthz"))?;
        }
        for name in NODES {
            self.wait(&deadline, "kwok", || node_is_ready(&api, name))?;
        }
        self.wait(&deadline, "kube-controller-manager", || {
            api.is_ok("/api/v1/namespaces/default/serviceaccounts/default")
        })?;
        self.bring_up_docker(&deadline, layout, ports)?;
        let url = self.postgres.url("postgres");
        self.wait(&deadline, "postgres", || postgres::is_ready(&url))?;
        self.redis.wait()?;
        self.minio.wait()?;
        self.rabbitmq.wait()
    }

    fn bring_up_docker(
        &mut self,
        deadline: &Deadline,
        layout: &Layout,
        ports: &Ports,
    ) -> Result<()> {
        self.wait(deadline, "dockerd", || docker::is_ready(layout))?;
        docker::make_base_image(layout)?;
        let registry = docker::registry_address(ports);
        self.wait(deadline, "docker-registry", || TcpStream::connect(&registry).is_ok())
    }

    fn launch(&mut self, server: Result<Server>) -> Result<()> {
        self.servers.push(server?);
        Ok(())
    }

    /// Waits for a server, and fails at once if any has ended.
    fn wait(
        &mut self,
        deadline: &Deadline,
        name: &'static str,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let found = deadline.poll(|| {
            self.check()?;
            anyhow::Ok(is_ready().then_some(()))
        })?;
        let log = self.servers.iter().find(|server| server.name() == name).map(Server::log_tail);
        found.with_context(|| {
            format!(
                "`{name}` was not ready within {} s; its log ends:\n{}",
                deadline.limit().as_secs(),
                log.unwrap_or_default()
            )
        })
    }

    fn stop_servers(&mut self) -> Result<()> {
        let mut stopped: Vec<Result<()>> = self.servers.drain(..).rev().map(Server::stop).collect();
        stopped.extend([self.rabbitmq.stop(), self.redis.crash(), self.minio.crash()]);
        stopped.into_iter().collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Err(error) = self.stop_servers() {
            eprintln!("warning: {error:#}");
        }
    }
}

fn node_is_ready(api: &Api, name: &str) -> bool {
    let Ok(node) = api.get(&format!("/api/v1/nodes/{name}")) else { return false };
    let schedulable = node["spec"].get("taints").is_none();
    let ready = node["status"]["conditions"].as_array().is_some_and(|conditions| {
        conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
    });
    ready && schedulable
}
