//! How each peer is put up: as its own manuals have it, everything that it promises switched on.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use shared_testkit::deadline::Deadline;
use shared_testkit::install;
use shared_testkit::stack::{PostgresServer, RabbitMq, Redis};

use super::dialogue::Dialogue;
use super::packages;
use super::peer::Peer;
use super::scripted::{Scripted, Servers, ledger};
use crate::stand::process::Process;

/// The program itself: the script beside it would be a process of its own.
const RESTATE_SERVER: &str = "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server";
/// How long until a server listens.
const LISTEN_LIMIT: Duration = Duration::from_secs(60);

/// Starts servers, workers and a client in a folder.
///
/// # Errors
/// What could not be started.
pub(super) fn start(peer: Peer, folder: &Path) -> Result<Scripted> {
    match peer {
        Peer::Floor => floor(folder),
        Peer::Bullmq => bullmq(folder),
        Peer::Celery => celery(folder),
        Peer::Restate => restate(peer, "Steps", folder),
        Peer::RestateCalls => restate(peer, "Calls", folder),
        Peer::Temporal => temporal(folder),
    }
}

fn floor(folder: &Path) -> Result<Scripted> {
    let ledger = ledger(folder)?;
    let rabbitmq = RabbitMq::start_ready(&folder.join("rabbitmq"), &[])?;
    let postgres = PostgresServer::start(&[])?;
    let mut command = bound(&std::env::current_exe()?);
    command.arg("floor").args(["--amqp", &rabbitmq.url()]);
    command.args(["--postgres", &postgres.url("postgres")]);
    command.arg("--ledger").arg(folder.join("ledger"));
    let client = Dialogue::start("client", command, folder)?;
    let servers =
        Servers { rabbitmq: Some(rabbitmq), postgres: Some(postgres), ..Servers::default() };
    Scripted::of(Peer::Floor, ledger, servers, Vec::new(), client)
}

fn bullmq(folder: &Path) -> Result<Scripted> {
    let (home, ledger) = (packages::ready(Peer::Bullmq)?, ledger(folder)?);
    let redis = Redis::start_ready(&folder.join("redis"), &[])?;
    let node = |script: &str| {
        let mut command = bound(Path::new("node"));
        command.arg(home.join(script)).env("REDIS_URL", redis.url());
        command.env("LEDGER", folder.join("ledger"));
        command
    };
    let worker = Process::start("worker", node("worker.mjs"), folder, None)?;
    let client = Dialogue::start("client", node("load.mjs"), folder)?;
    let servers = Servers { redis: Some(redis), ..Servers::default() };
    Scripted::of(Peer::Bullmq, ledger, servers, vec![worker], client)
}

fn celery(folder: &Path) -> Result<Scripted> {
    let (home, ledger) = (packages::ready(Peer::Celery)?, ledger(folder)?);
    let rabbitmq = RabbitMq::start_ready(&folder.join("rabbitmq"), &[])?;
    let redis = Redis::start_ready(&folder.join("redis"), &[])?;
    let python = |args: &[&str]| {
        let mut command = bound(&home.join("environment/bin/python"));
        command.args(args).current_dir(&home).env("LEDGER", folder.join("ledger"));
        command.env("AMQP_URL", rabbitmq.url()).env("REDIS_URL", redis.url());
        command
    };
    let cores = std::thread::available_parallelism()?.to_string();
    let prefork = ["-m", "celery", "-A", "tasks", "worker", "-P", "prefork", "-c", &cores];
    let quiet = ["-l", "ERROR", "--without-gossip", "--without-mingle"];
    let worker = python(&[&prefork[..], &quiet[..]].concat());
    let worker = Process::start("worker", worker, folder, None)?;
    let client = Dialogue::start("client", python(&["load.py"]), folder)?;
    let servers = Servers { rabbitmq: Some(rabbitmq), redis: Some(redis), ..Servers::default() };
    Scripted::of(Peer::Celery, ledger, servers, vec![worker], client)
}

/// `service` is the one of `service.mjs` that is called.
fn restate(peer: Peer, service: &str, folder: &Path) -> Result<Scripted> {
    let (home, ledger) = (packages::ready(peer)?, ledger(folder)?);
    let [ingress, admin, node, port] = free_ports()?;
    let at = |port: u16| format!("127.0.0.1:{port}");
    let mut server = bound(&home.join(RESTATE_SERVER));
    server.arg("--no-logo").env("RESTATE_BASE_DIR", folder.join("restate"));
    server.env("RESTATE_NODE_NAME", "beside").env("RESTATE_LISTEN_MODE", "tcp");
    server.env("RESTATE_INGRESS__BIND_ADDRESS", at(ingress));
    server.env("RESTATE_ADMIN__BIND_ADDRESS", at(admin));
    server.env("RESTATE_BIND_ADDRESS", at(node));
    server.env("RESTATE_ADVERTISED_ADDRESS", format!("http://{}", at(node)));
    server.env("RESTATE_LOG_FILTER", "warn").env("DO_NOT_TRACK", "1");
    let mut processes = vec![Process::start("server", server, folder, None)?];
    wait_for(admin, "Restate's server", folder)?;
    let script = |script: &str| {
        let mut command = bound(Path::new("node"));
        command.arg(home.join(script)).env("LEDGER", folder.join("ledger"));
        command.env("SERVICE_PORT", port.to_string()).env("RESTATE_LOGGING", "ERROR");
        command.env("ADMIN_URL", format!("http://{}", at(admin)));
        command.env("INGRESS_URL", format!("http://{}", at(ingress))).env("SERVICE", service);
        command
    };
    processes.insert(0, Process::start("service", script("service.mjs"), folder, None)?);
    let client = Dialogue::start("client", script("load.mjs"), folder)?;
    Scripted::of(peer, ledger, Servers::default(), processes, client)
}

fn temporal(folder: &Path) -> Result<Scripted> {
    let program = install::temporal(&mut |_| ())?;
    let (home, ledger) = (packages::ready(Peer::Temporal)?, ledger(folder)?);
    let [port, metrics] = free_ports()?;
    let mut server = bound(&program);
    server.args(["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "error"]);
    server.args(["--port", &port.to_string(), "--metrics-port", &metrics.to_string()]);
    server.arg("--db-filename").arg(folder.join("temporal.db"));
    let mut processes = vec![Process::start("server", server, folder, None)?];
    wait_for(port, "Temporal's server", folder)?;
    let peer = |role: &str| {
        let mut command = bound(&home.join("peer"));
        command.arg(role).env("LEDGER", folder.join("ledger"));
        command.env("TEMPORAL_ADDRESS", format!("127.0.0.1:{port}"));
        command
    };
    processes.insert(0, Process::start("worker", peer("worker"), folder, None)?);
    let client = Dialogue::start("client", peer("load"), folder)?;
    Scripted::of(Peer::Temporal, ledger, Servers::default(), processes, client)
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until the last is chosen.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Until somebody listens.
fn wait_for(port: u16, who: &str, folder: &Path) -> Result<()> {
    let deadline = Deadline::after(LISTEN_LIMIT);
    let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
    let found = deadline.poll(|| Ok::<_, anyhow::Error>(listens()))?;
    found.map(drop).with_context(|| format!("{who} does not listen; see {}", folder.display()))
}

/// A program that the kernel ends together with us.
fn bound(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}
