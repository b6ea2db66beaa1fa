//! Real servers, and schedulers and workers as processes of their own, that a workload runs on.

pub mod beating;
pub mod cpu;
mod ledger;
pub(crate) mod left;
pub mod process;
mod sizes;
pub mod working;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared_testkit::stack::{PostgresServer, RabbitMq, Redis};

pub use self::ledger::{Entry, Ledger, Moment};
use self::process::Process;
use crate::serve::http::Connection;
use crate::serve::now;

/// How long until workers are heard, and given leases: a Redis that knows nothing gives out none before
/// its grace is over.
const HEARD_LIMIT: Duration = Duration::from_secs(60);

/// What stands.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The program that ships.
    pub program: PathBuf,
    /// A new folder for everything.
    pub folder: PathBuf,
    /// Schedulers.
    pub schedulers: usize,
    /// Workers.
    pub workers: usize,
    /// Attempts that each worker runs at once.
    pub slots: u16,
    /// How long each piece of work takes on average, in milliseconds: from half to one and a half of it.
    pub work_ms: u64,
}

/// They end with it.
pub struct Stand {
    // Ended before what they use.
    pub(crate) workers: Vec<Process>,
    pub(crate) schedulers: Vec<Process>,
    pub(crate) ledger: Ledger,
    shape: Shape,
    pub(crate) rabbitmq: RabbitMq,
    pub(crate) redis: Redis,
    pub(crate) postgres: PostgresServer,
}

impl Stand {
    /// Starts everything, and waits until all of it is ready.
    ///
    /// # Errors
    /// What could not be started, and why.
    pub fn start(shape: Shape) -> Result<Self> {
        let folder = &shape.folder;
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make the folder {}", folder.display()))?;
        let rabbitmq = RabbitMq::start_ready(&folder.join("rabbitmq"), &[])?;
        let redis = Redis::start_ready(&folder.join("redis"), &[])?;
        let postgres = PostgresServer::start(&[])?;
        let settings = settings(folder, &rabbitmq, &redis, &postgres);
        std::fs::write(folder.join("settings.yaml"), settings.to_string())?;
        let ledger = Ledger::listen(&folder.join("ledger"))?;
        let mut stand = Self {
            workers: Vec::new(),
            schedulers: Vec::new(),
            ledger,
            shape,
            rabbitmq,
            redis,
            postgres,
        };
        stand.schedulers =
            (0..stand.shape.schedulers).map(|n| stand.start_scheduler(n)).collect::<Result<_>>()?;
        stand.start_workers()?;
        Ok(stand)
    }

    /// Starts as many workers as there are to be, and waits until every scheduler knows of them.
    ///
    /// # Errors
    /// One could not be started, or is not heard.
    pub(crate) fn start_workers(&mut self) -> Result<()> {
        self.workers =
            (0..self.shape.workers).map(|n| self.start_worker(n)).collect::<Result<_>>()?;
        self.wait_for_workers(self.workers.len())
    }

    /// Waits until every scheduler knows of so many workers.
    ///
    /// # Errors
    /// They are not heard.
    pub(crate) fn wait_for_workers(&self, workers: usize) -> Result<()> {
        let mut each = self.schedulers.iter().map(Process::address);
        each.try_for_each(|address| wait_for_workers(address, workers))
    }

    /// Asks all workers to end, and waits for that.
    ///
    /// # Errors
    /// One did not end.
    pub(crate) fn stop_workers(&mut self) -> Result<()> {
        self.workers.drain(..).try_for_each(Process::stop)
    }

    pub(crate) fn start_scheduler(&self, number: usize) -> Result<Process> {
        self.start_role("scheduler", format!("scheduler-{number}"), &[])
    }

    /// A worker whose work is to be measured.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start_worker(&self, number: usize) -> Result<Process> {
        let name = format!("worker-{number}");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", "--name", &name, "--work-ms", &self.shape.work_ms.to_string()]);
        command.args(["--slots", &self.shape.slots.to_string(), "--folder"]);
        command.arg(&self.shape.folder);
        Process::start(&name, command, &self.shape.folder, None)
    }

    /// A role of the program that ships, to see what it needs.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start_shipped(&self, role: &str) -> Result<Process> {
        self.start_shipped_with(role, &[])
    }

    /// The same, with more arguments.
    ///
    /// # Errors
    /// It could not be started.
    pub(crate) fn start_shipped_with(&self, role: &str, arguments: &[&str]) -> Result<Process> {
        self.start_role(role, format!("shipped-{role}"), arguments)
    }

    fn start_role(&self, role: &str, name: String, arguments: &[&str]) -> Result<Process> {
        let folder = &self.shape.folder;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string();
        let mut command = Command::new(&self.shape.program);
        command.arg(role).arg("--config").arg(folder.join("settings.yaml"));
        command.arg("--data-dir").arg(folder.join(&name)).args(["--listen", &free]);
        command.args(arguments);
        Process::start(&name, command, folder, Some(free))
    }

    /// The folder of everything.
    pub(crate) fn folder(&self) -> &Path {
        &self.shape.folder
    }

    /// Where requests go: one scheduler after the other.
    pub(crate) fn address(&self, turn: usize) -> &str {
        self.schedulers[turn % self.schedulers.len()].address()
    }

    /// Where requests may go.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.schedulers.iter().map(|one| one.address().to_owned()).collect()
    }

    /// What is left behind of executions that have all ended, in words: messages, leases, rows.
    ///
    /// # Errors
    /// A server does not say.
    pub(crate) fn left(&self) -> Result<Vec<String>> {
        left::behind(&self.rabbitmq.management(), &self.redis, &self.postgres)
    }

    /// Memory of each role, all processes of it together.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(crate) fn memory(&self) -> Result<Value> {
        let of = |processes: &[Process]| -> Result<Value> {
            let each = processes.iter().map(|process| cpu::memory_mib(process.pid()));
            let each: Vec<_> = each.collect::<Result<_>>()?;
            let rss: f64 = each.iter().map(|(rss, _)| rss).sum();
            let pss: f64 = each.iter().map(|(_, pss)| pss).sum();
            Ok(json!({ "RSS, MiB": rss.round(), "PSS, MiB": pss.round() }))
        };
        Ok(json!({ "schedulers": of(&self.schedulers)?, "workers": of(&self.workers)? }))
    }
}

/// A scheduler knows of workers, and of their stage types, once it has heard them.
fn wait_for_workers(address: &str, workers: usize) -> Result<()> {
    let (mut connection, began) = (Connection::open(address)?, now());
    loop {
        let (_, fleet) = connection.send("GET", "/v1/fleet", "")?;
        let fleet: Value = serde_json::from_str(&fleet)?;
        let heard = fleet["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_known = heard.iter().all(|worker| worker["unknownCapabilities"].is_null());
        if heard.len() >= workers && is_known && fleet["heldUp"].is_null() {
            return Ok(());
        }
        ensure!(began.elapsed() < HEARD_LIMIT, "workers are not heard: {fleet:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What everything of a stand was told.
fn settings_of(folder: &Path) -> Result<Value> {
    let path = folder.join("settings.yaml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

fn settings(folder: &Path, rabbitmq: &RabbitMq, redis: &Redis, postgres: &PostgresServer) -> Value {
    json!({
        "store": { "url": postgres.url("postgres") },
        "amqp": { "url": rabbitmq.url() },
        "redis": { "url": redis.url() },
        "local": { "shared_dir": folder.join("shared") },
        // The load comes from one address.
        "api": {
            "listen": "127.0.0.1:0",
            "requests_per_second_max": 1_000_000, "requests_burst_max": 1_000_000,
            // `park100k`.
            "executions_unfinished_max": 2_000_000,
            "executions_unfinished_per_application_max": 2_000_000,
        },
        "worker": { "listen": "127.0.0.1:0" },
        // As an installation is ten minutes after its schedulers were replaced.
        "fleet": { "references_after": "0s" },
        // `dag10k`.
        "limits": {
            "stages_max": 20_000, "edges_max": 200_000, "document_bytes_max": 16 * 1024 * 1024,
        },
        "start": { "wait_max": "60s" },
    })
}
