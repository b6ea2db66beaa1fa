//! Redis.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ports;
use super::server::Server;
use crate::deadline::Deadline;

const CALL_MAX: Duration = Duration::from_secs(5);
const START_MAX: Duration = Duration::from_secs(60);

/// A Redis on a free port of 127.0.0.1. Dropping it ends it.
#[derive(Debug)]
pub struct Redis {
    folder: PathBuf,
    port: u16,
    args: Vec<String>,
    server: Option<Server>,
}

impl Redis {
    /// Starts one that keeps everything in `folder`; `settings` are more arguments. It is ready when
    /// [`Redis::is_ready`] says so.
    ///
    /// # Errors
    /// It is not installed, or the folder cannot be made.
    pub fn start(folder: &Path, settings: &[&str]) -> Result<Self> {
        let [port] = ports::choose()?;
        fs::create_dir_all(folder)?;
        let own = ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "everysec"];
        let args = own.iter().chain(settings).map(|arg| (*arg).to_owned());
        let place = ["--port", &port.to_string(), "--dir", &folder.display().to_string()];
        let args = args.chain(place.map(ToOwned::to_owned)).collect();
        let mut redis = Self { folder: folder.to_owned(), port, args, server: None };
        redis.start_again()?;
        Ok(redis)
    }

    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// As [`Redis::start`]; or it ends, or is not ready in time.
    pub fn start_ready(folder: &Path, settings: &[&str]) -> Result<Self> {
        let mut redis = Self::start(folder, settings)?;
        redis.wait()?;
        Ok(redis)
    }

    /// Starts a Sentinel that watches the server at `port` under the name `main`, and makes its
    /// replica the master half a second after it is gone.
    ///
    /// # Errors
    /// As [`Redis::start_ready`].
    pub fn start_sentinel(folder: &Path, master: u16) -> Result<Self> {
        let [port] = ports::choose()?;
        fs::create_dir_all(folder)?;
        let file = folder.join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
            folder.display()
        );
        fs::write(&file, settings)?;
        let args = vec![file.display().to_string(), "--sentinel".to_owned()];
        let mut sentinel = Self { folder: folder.to_owned(), port, args, server: None };
        sentinel.start_again()?;
        sentinel.wait()?;
        Ok(sentinel)
    }

    /// Starts it again, with what is in its folder, after [`Redis::crash`].
    ///
    /// # Errors
    /// It is not installed.
    pub fn start_again(&mut self) -> Result<()> {
        let program = Path::new("redis-server");
        self.server = Some(Server::start("redis", program, &self.args, &self.folder)?);
        Ok(())
    }

    /// `redis://…`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it answers.
    pub fn is_ready(&self) -> bool {
        self.command("PING")
            .is_ok_and(|answer| answer.contains("PONG") || answer.contains("NOAUTH"))
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready in time; with the end of its log.
    pub fn wait(&mut self) -> Result<()> {
        let ready = Deadline::after(START_MAX).poll(|| {
            self.check()?;
            anyhow::Ok(self.is_ready().then_some(()))
        })?;
        let log = self.log_tail();
        ready.with_context(|| format!("`redis` was not ready in time; its log ends:\n{log}"))
    }

    /// Sends a command, words between spaces, and says what came back, as it came.
    ///
    /// # Errors
    /// No answer.
    pub fn command(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(CALL_MAX))?;
        stream.set_write_timeout(Some(CALL_MAX))?;
        write!(stream, "{command}\r\n")?;
        // It ends the connection once it has answered.
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Errors
    /// It could not be ended.
    pub fn crash(&mut self) -> Result<()> {
        let Some(server) = self.server.take() else { return Ok(()) };
        kill(Pid::from_raw(i32::try_from(server.pid())?), Signal::SIGKILL)?;
        server.stop()
    }

    /// Throws away what it has stored; while it does not run.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn forget_all(&self) -> Result<()> {
        for name in ["appendonlydir", "dump.rdb"] {
            let path = self.folder.join(name);
            if path.is_dir() {
                fs::remove_dir_all(&path)?;
            } else if path.exists() {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Holds it where it stands (SIGSTOP), until [`Redis::thaw`].
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().context("Redis does not run")?;
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
    }

    pub(super) fn check(&mut self) -> Result<()> {
        self.server.as_mut().map_or(Ok(()), Server::check)
    }

    fn log_tail(&self) -> String {
        self.server.as_ref().map(Server::log_tail).unwrap_or_default()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid)
    }
}
