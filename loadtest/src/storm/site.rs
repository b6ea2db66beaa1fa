//! What the storm goes over: real servers, schedulers and workers as processes, each behind a stretch of
//! network of its own, and somebody who starts again what has ended.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared_runtime::Supervisor;
use shared_testkit::stack::{PostgresServer, RabbitMq, Redis};

use super::guards::Guard;
use super::ledger::Asking;
use super::proxy::{Proxy, Weather};
use super::roles::{LEASE_TTL, SHARDS};
use super::schedule::{Link, Role, SCHEDULERS_MAX, WORKERS_MAX};
use crate::serve::now;
use crate::stand::process::Process;

/// How often one execution's attempt may be taken over: storms do that more often than life.
pub(super) const TAKEOVERS_MAX: u32 = 100_000;
/// How many of each are there when nothing happens.
const SCHEDULERS: usize = 2;
const WORKERS: usize = 3;
/// How long until everything is ready again.
const READY_LIMIT: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
const LEDGER_LIMIT: Duration = Duration::from_secs(20);

/// What there is.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) program: PathBuf,
    /// Another version of it.
    pub(super) previous: Option<PathBuf>,
    pub(super) folder: PathBuf,
    pub(super) without: Option<Guard>,
}

/// They end with it.
pub(super) struct Site {
    // Ended before what they use.
    slots: Mutex<Vec<Slot>>,
    _ledger: Process,
    pub(super) ledger_port: u16,
    pub(super) shape: Shape,
    pub(super) rabbitmq: Mutex<RabbitMq>,
    pub(super) redis: Mutex<Redis>,
    pub(super) store: Mutex<PostgresServer>,
    /// Processes that ended though nobody ended them.
    pub(super) ended_by_themselves: AtomicUsize,
    is_over: AtomicBool,
    // The stretches of network live on it.
    _supervisor: Supervisor,
    _runtime: tokio::runtime::Runtime,
}

/// One place for a process.
pub(super) struct Slot {
    pub(super) role: Role,
    number: usize,
    links: BTreeMap<Link, Proxy>,
    process: Option<Process>,
    /// Where its API listens, as long as it is the one that was started last.
    address: String,
    starts: usize,
    /// Whether it is to run at all.
    is_wanted: bool,
    /// Whether it is left as it is, whatever that is.
    is_held: bool,
    /// Whether what runs was asked to end.
    is_told: bool,
    /// By how much its clock is off, as `faketime` reads it from a file.
    clock: Option<PathBuf>,
    is_previous: bool,
}

impl Site {
    /// Starts everything, or everything again that was there when the load test was ended.
    pub(super) fn start(shape: Shape, earlier_store: Option<&str>) -> Result<Self> {
        let folder = &shape.folder;
        std::fs::create_dir_all(folder.join("shared"))?;
        let rabbitmq = RabbitMq::start(&folder.join("rabbitmq"), &[])?;
        let redis = Redis::start_ready(&folder.join("redis"), &[])?;
        let at = folder.join("postgres");
        let store = match earlier_store {
            Some(url) => PostgresServer::resume_in(&at, url, &[])?,
            None => {
                std::fs::create_dir_all(&at)?;
                PostgresServer::start_in(&at, &[])?
            }
        };
        let ports = [rabbitmq.port(), redis.port(), port_of(&store.url("postgres"))?];
        let (ledger, ledger_port) = start_ledger(folder)?;
        let mut rabbitmq = rabbitmq;
        rabbitmq.wait()?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build()?;
        let supervisor = Supervisor::new();
        let url = store.url("postgres");
        let slots = runtime.block_on(slots(folder, ports, &url, &supervisor))?;
        Ok(Self {
            slots: Mutex::new(slots),
            _ledger: ledger,
            ledger_port,
            shape,
            rabbitmq: Mutex::new(rabbitmq),
            redis: Mutex::new(redis),
            store: Mutex::new(store),
            ended_by_themselves: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            _supervisor: supervisor,
            _runtime: runtime,
        })
    }

    /// Starts what should run and does not, until the site is over. On one thread for good: the processes
    /// end with it.
    pub(super) fn keep(&self) -> Result<()> {
        while !self.is_over.load(Ordering::SeqCst) {
            for slot in lock(&self.slots).iter_mut() {
                self.look_after(slot)?;
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    fn look_after(&self, slot: &mut Slot) -> Result<()> {
        if slot.is_held {
            return Ok(());
        }
        if let Some(process) = &mut slot.process
            && process.has_ended()?
        {
            slot.process = None;
            let is_surprise = slot.is_wanted && !slot.is_told;
            self.ended_by_themselves.fetch_add(usize::from(is_surprise), Ordering::SeqCst);
        }
        if slot.is_wanted && slot.process.is_none() {
            self.start_process(slot)?;
        }
        Ok(())
    }

    fn start_process(&self, slot: &mut Slot) -> Result<()> {
        let (folder, name) = (&self.shape.folder, slot.name());
        slot.starts += 1;
        slot.address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string();
        // It ends with the thread that started it, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        let own = match (slot.role, self.shape.without, slot.is_previous, &self.shape.previous) {
            (Role::Worker, ..) => std::env::current_exe()?,
            (Role::Scheduler, Some(_), ..) => std::env::current_exe()?,
            (Role::Scheduler, None, true, Some(previous)) => previous.clone(),
            (Role::Scheduler, None, ..) => self.shape.program.clone(),
        };
        command.arg(own);
        let without =
            self.shape.without.and_then(|guard| clap::ValueEnum::to_possible_value(&guard));
        let without = without.map(|value| format!("--without={}", value.get_name()));
        match slot.role {
            Role::Worker => {
                let ledger = self.ledger_port.to_string();
                command.args(["storm-worker", "--name", &name, "--ledger", &ledger]).args(without);
            }
            Role::Scheduler if self.shape.without.is_some() => {
                command.args(["storm-scheduler", "--listen", &slot.address]).args(without);
            }
            Role::Scheduler => drop(command.args(["scheduler", "--listen", &slot.address])),
        }
        command.arg("--config").arg(folder.join(format!("{name}.yaml")));
        command.arg("--data-dir").arg(folder.join(&name));
        if let Some(file) = &slot.clock {
            command.envs(super::faults::off_by(file)?);
        }
        let log = format!("{name}-{}", slot.starts);
        slot.process = Some(Process::start(&log, command, folder, None)?);
        slot.is_told = false;
        Ok(())
    }

    /// Does something to one of the places of a role that run, and says which it was.
    pub(super) fn at<T>(
        &self,
        role: Role,
        which: u8,
        act: impl FnOnce(&mut Slot) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut slots = lock(&self.slots);
        let mut running: Vec<_> =
            slots.iter_mut().filter(|slot| slot.role == role && slot.process.is_some()).collect();
        let count = running.len();
        let Some(chosen) = usize::from(which).checked_rem(count) else { return Ok(None) };
        act(running[chosen]).map(Some)
    }

    /// Does something to the place of a name.
    pub(super) fn named<T>(&self, name: &str, act: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        lock(&self.slots).iter_mut().find(|slot| slot.name() == name).map(act)
    }

    /// The names of all places of a role, in order, and whether each is to run.
    pub(super) fn places(&self) -> Vec<(Role, String, bool)> {
        lock(&self.slots).iter().map(|slot| (slot.role, slot.name(), slot.is_wanted)).collect()
    }

    /// As many of a role as `to` are to run.
    pub(super) fn scale(&self, role: Role, to: usize) -> Result<()> {
        for slot in lock(&self.slots).iter_mut().filter(|slot| slot.role == role) {
            slot.is_wanted = slot.number < to;
            if !slot.is_wanted {
                slot.ask_to_end()?;
            }
        }
        Ok(())
    }

    /// Where requests go at present.
    pub(super) fn addresses(&self) -> Vec<String> {
        let slots = lock(&self.slots);
        let running = slots.iter().filter(|slot| slot.role == Role::Scheduler && slot.is_wanted);
        running.filter(|slot| slot.process.is_some()).map(|slot| slot.address.clone()).collect()
    }

    /// Where the store is.
    pub(super) fn store_url(&self) -> String {
        lock(&self.store).url("postgres")
    }

    /// Somebody who asks the ledger.
    pub(super) fn ask_ledger(&self) -> Result<Asking> {
        Asking::open(self.ledger_port)
    }

    /// As it is without a storm, and ready.
    pub(super) fn calm(&self) -> Result<()> {
        for slot in lock(&self.slots).iter_mut() {
            slot.links.values().for_each(|link| link.set(Weather::Fair));
            (slot.is_held, slot.clock, slot.is_previous) = (false, None, false);
            if let Some(process) = &slot.process {
                // One that ends anyhow cannot be told.
                drop(process.signal("-CONT"));
            }
        }
        self.scale(Role::Scheduler, SCHEDULERS)?;
        self.scale(Role::Worker, WORKERS)?;
        self.ask_ledger()?.be(super::schedule::Mood::Well)?;
        self.wait()
    }

    /// Waits until every scheduler says that it is ready.
    fn wait(&self) -> Result<()> {
        let began = now();
        loop {
            let ready = lock(&self.slots).iter().filter(|slot| slot.is_ready()).count();
            if ready == SCHEDULERS {
                return Ok(());
            }
            ensure!(
                began.elapsed() < READY_LIMIT,
                "{ready} schedulers are ready after {READY_LIMIT:?}"
            );
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

impl Slot {
    pub(super) fn name(&self) -> String {
        let role = match self.role {
            Role::Scheduler => "scheduler",
            Role::Worker => "worker",
        };
        format!("{role}-{}", self.number)
    }

    fn is_ready(&self) -> bool {
        let asked =
            || crate::serve::http::Connection::open_within(&self.address, LOOK_INTERVAL * 10);
        let ready = || asked().and_then(|mut at| at.send("GET", "/readyz", ""));
        self.role == Role::Scheduler
            && self.is_wanted
            && self.process.is_some()
            && ready().is_ok_and(|(status, _)| status == 200)
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    pub(super) fn signal(&self, signal: &str) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(signal))
    }

    pub(super) fn ask_to_end(&mut self) -> Result<()> {
        self.is_told = true;
        self.signal("-TERM")
    }

    /// Leaves it as it is, or looks after it again.
    pub(super) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    pub(super) fn set_weather(&self, link: Link, weather: Weather) {
        if let Some(link) = self.links.get(&link) {
            link.set(weather);
        }
    }

    pub(super) fn set_clock(&mut self, file: Option<PathBuf>) {
        self.clock = file;
    }

    /// From its next start on it is the other version, where there is one, or this one again.
    pub(super) fn change_version(&mut self) {
        self.is_previous = !self.is_previous;
    }

    /// How often it was started.
    pub(super) fn starts(&self) -> usize {
        self.starts
    }
}

/// Every place, each with its stretches of network and its settings.
async fn slots(
    folder: &Path,
    servers: [u16; 3],
    store: &str,
    supervisor: &Supervisor,
) -> Result<Vec<Slot>> {
    let mut slots = Vec::new();
    for (role, count, wanted) in [
        (Role::Scheduler, usize::from(SCHEDULERS_MAX), SCHEDULERS),
        (Role::Worker, usize::from(WORKERS_MAX), WORKERS),
    ] {
        for number in 0..count {
            let mut links = BTreeMap::new();
            for (link, server) in [Link::Broker, Link::Redis, Link::Store].into_iter().zip(servers)
            {
                links.insert(link, Proxy::start(server, supervisor).await?);
            }
            let ports = [Link::Broker, Link::Redis, Link::Store].map(|link| links[&link].port());
            let store = store.replace(&format!(":{}/", servers[2]), &format!(":{}/", ports[2]));
            let slot = Slot {
                role,
                number,
                links,
                process: None,
                address: String::new(),
                starts: 0,
                is_wanted: number < wanted,
                is_held: false,
                is_told: false,
                clock: None,
                is_previous: false,
            };
            let file = folder.join(format!("{}.yaml", slot.name()));
            std::fs::write(file, settings(folder, ports, &store).to_string())?;
            slots.push(slot);
        }
    }
    Ok(slots)
}

fn settings(folder: &Path, [amqp, redis, _]: [u16; 3], store: &str) -> Value {
    let ttl = format!("{LEASE_TTL:#}");
    json!({
        "store": { "url": store },
        "amqp": { "url": format!("amqp://guest:guest@127.0.0.1:{amqp}/%2f") },
        "redis": { "url": format!("redis://127.0.0.1:{redis}"), "grace": ttl },
        "local": { "shared_dir": folder.join("shared") },
        "fleet": { "shards": SHARDS },
        "limits": { "takeovers_max": TAKEOVERS_MAX },
        "start": { "wait_max": "120s" },
    })
}

fn start_ledger(folder: &Path) -> Result<(Process, u16)> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(std::env::current_exe()?);
    command.args(["storm-ledger", "--port", &port.to_string(), "--file"]);
    command.arg(folder.join("ledger"));
    let (process, began) = (Process::start("ledger", command, folder, None)?, now());
    while Asking::open(port).and_then(|mut asking| asking.count()).is_err() {
        ensure!(began.elapsed() < LEDGER_LIMIT, "the ledger does not answer");
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok((process, port))
}

fn port_of(url: &str) -> Result<u16> {
    let port = url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
    port.with_context(|| format!("no port in {url}"))
}

pub(super) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
