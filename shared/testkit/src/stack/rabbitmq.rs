//! RabbitMQ, with its management API.
//!
//! It lives in a process namespace of its own, so that nothing of it outlives us. Erlang's name server
//! `epmd` runs beside it and stays when it is killed, as it does on any machine: it counts the lives
//! of a node.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::api::{Response, parse};
use super::ports;
use super::server::Server;
use crate::deadline::Deadline;

/// The script itself: the one on the `PATH` runs it as another user.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";
/// Seconds that one command of [`CONTROL`] may take.
const CONTROL_SECONDS_MAX: &str = "60";
const CALL_MAX: Duration = Duration::from_secs(10);
const START_MAX: Duration = Duration::from_secs(120);
/// `guest:guest`, the user that RabbitMQ begins with, who may come from loopback only.
const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// A RabbitMQ of one node on free ports of 127.0.0.1. Dropping it ends it.
#[derive(Debug)]
pub struct RabbitMq {
    folder: PathBuf,
    ports: Ports,
    // Dropped in this order.
    server: Option<Server>,
    epmd: Option<Server>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    amqp: u16,
    management: u16,
    distribution: u16,
    epmd: u16,
}

/// RabbitMQ's management API, as the user `guest`.
#[derive(Debug, Clone)]
pub struct Management {
    address: String,
}

impl RabbitMq {
    /// Starts one that keeps everything in `folder`; `settings` are lines of `rabbitmq.conf`. It is
    /// ready when [`RabbitMq::is_ready`] says so.
    ///
    /// # Errors
    /// It is not installed, or a file cannot be written.
    pub fn start(folder: &Path, settings: &[&str]) -> Result<Self> {
        let [amqp, management, distribution, epmd] = ports::choose()?;
        let ports = Ports { amqp, management, distribution, epmd };
        fs::create_dir_all(folder.join("home"))?;
        fs::write(folder.join("enabled_plugins"), "[rabbitmq_management].\n")?;
        let mut text = format!(
            "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n\
             disk_free_limit.absolute = 50MB\n"
        );
        settings.iter().for_each(|line| text.extend([line, "\n"]));
        fs::write(folder.join("rabbitmq.conf"), text)?;
        let name_server = ["-address", "127.0.0.1", "-port", &epmd.to_string()];
        let epmd = Server::start("epmd", Path::new("epmd"), name_server, folder)?;
        let mut rabbitmq =
            Self { folder: folder.to_owned(), ports, server: None, epmd: Some(epmd) };
        rabbitmq.start_again()?;
        Ok(rabbitmq)
    }

    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// As [`RabbitMq::start`]; or it ends, or is not ready in time.
    pub fn start_ready(folder: &Path, settings: &[&str]) -> Result<Self> {
        let mut rabbitmq = Self::start(folder, settings)?;
        rabbitmq.wait()?;
        Ok(rabbitmq)
    }

    /// Starts it again, with what it had, after [`RabbitMq::crash`].
    ///
    /// # Errors
    /// It is not installed.
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(
            Path::new(PROGRAM).exists(),
            "no {PROGRAM}; on Debian: `apt-get install rabbitmq-server`"
        );
        let environment = self.environment();
        let args = environment.map(|(name, value)| format!("{name}={value}"));
        let args = args.into_iter().chain([PROGRAM.to_owned()]);
        self.server = Some(Server::start_walled("rabbitmq", "env", args, &self.folder)?);
        Ok(())
    }

    /// Runs `rabbitmqctl`.
    ///
    /// # Errors
    /// It fails, or takes too long.
    pub fn control(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new("timeout");
        command.args([CONTROL_SECONDS_MAX, CONTROL]).args(args).envs(self.environment());
        crate::install::run(&mut command, &format!("`rabbitmqctl {}`", args.join(" ")))
    }

    fn environment(&self) -> [(&'static str, String); 13] {
        let Ports { amqp, management: _, distribution, epmd } = self.ports;
        let file = |name: &str| self.folder.join(name).display().to_string();
        [
            ("HOME", file("home")),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("ERL_EPMD_PORT", epmd.to_string()),
            ("RABBITMQ_NODENAME", "capstan@localhost".to_owned()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODE_PORT", amqp.to_string()),
            ("RABBITMQ_DIST_PORT", distribution.to_string()),
            ("RABBITMQ_MNESIA_BASE", file("data")),
            ("RABBITMQ_LOG_BASE", file("log")),
            ("RABBITMQ_PID_FILE", file("pid")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins")),
            ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf")),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
            ),
        ]
    }

    /// `amqp://…` of the virtual host `/`.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.ports.amqp)
    }

    /// The port of AMQP.
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// The management API.
    pub fn management(&self) -> Management {
        Management { address: format!("127.0.0.1:{}", self.ports.management) }
    }

    /// Whether it answers.
    pub fn is_ready(&self) -> bool {
        let overview = self.management().request("GET", "/api/overview", "");
        overview.is_ok_and(|response| response.status == 200)
            && TcpStream::connect(("127.0.0.1", self.ports.amqp)).is_ok()
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready in time; with the end of its log.
    pub fn wait(&mut self) -> Result<()> {
        let deadline = Deadline::after(START_MAX);
        let ready = deadline.poll(|| {
            self.check()?;
            anyhow::Ok(self.is_ready().then_some(()))
        })?;
        let log = self.log_tail();
        ready.with_context(|| format!("`rabbitmq` was not ready in time; its log ends:\n{log}"))
    }

    /// Ends it, and all that belongs to it.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.crash()?;
        self.epmd.take().map_or(Ok(()), Server::stop)
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Errors
    /// It could not be ended.
    pub fn crash(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), Server::stop)
    }

    /// Holds it where it stands (SIGSTOP), until [`RabbitMq::thaw`].
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&self) -> Result<()> {
        Ok(kill(self.beam()?, Signal::SIGSTOP)?)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&self) -> Result<()> {
        Ok(kill(self.beam()?, Signal::SIGCONT)?)
    }

    /// Fails if it has ended by itself, with the end of its log.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&mut self) -> Result<()> {
        self.server.as_mut().map_or(Ok(()), Server::check)
    }

    fn log_tail(&self) -> String {
        self.server.as_ref().map(Server::log_tail).unwrap_or_default()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid)
    }

    /// The process that is RabbitMQ, among those that we started.
    fn beam(&self) -> Result<Pid> {
        let mut below: Vec<u32> = self.pid().into_iter().collect();
        while let Some(pid) = below.pop() {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == "beam.smp" {
                return Ok(Pid::from_raw(i32::try_from(pid)?));
            }
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let children = children.unwrap_or_default();
            below.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        anyhow::bail!("RabbitMQ does not run")
    }
}

impl Management {
    /// At `http://127.0.0.1:<port>`.
    pub fn at(url: &str) -> Self {
        Self { address: url.trim_start_matches("http://").trim_end_matches('/').to_owned() }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a virtual host of which `guest` may do everything.
    ///
    /// # Errors
    /// No answer, or it was refused.
    pub fn make_vhost(&self, name: &str) -> Result<()> {
        self.must("PUT", &format!("/api/vhosts/{name}"), "{}")?;
        let all = r#"{"configure": ".*", "write": ".*", "read": ".*"}"#;
        self.must("PUT", &format!("/api/permissions/{name}/guest"), all)
    }

    /// A request that must succeed.
    ///
    /// # Errors
    /// No answer, or it was refused.
    pub fn must(&self, method: &str, path: &str, body: &str) -> Result<()> {
        let Response { status, body } = self.request(method, path, body)?;
        ensure!((200..300).contains(&status), "{method} {path} answered {status}: {}", body.trim());
        Ok(())
    }

    /// One request.
    ///
    /// # Errors
    /// No answer.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Result<Response> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(CALL_MAX))?;
        stream.set_write_timeout(Some(CALL_MAX))?;
        // HTTP/1.0: the answer comes unchunked and ends with the connection.
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nAuthorization: {GUEST}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        parse(&answer).with_context(|| format!("{method} {path}: no HTTP answer"))
    }
}
