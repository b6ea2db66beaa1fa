//! MinIO, which speaks S3.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::credentials;
use super::ports;
use super::server::Server;
use crate::deadline::Deadline;
use crate::install;

/// The bucket that is there from the start.
const BUCKET: &str = "capstan";
const CALL_MAX: Duration = Duration::from_secs(5);
const START_MAX: Duration = Duration::from_secs(60);

/// A MinIO on a free port of 127.0.0.1, with random keys. Dropping it ends it.
#[derive(Debug)]
pub struct MinIo {
    program: PathBuf,
    folder: PathBuf,
    ports: [u16; 2],
    keys: [String; 2],
    server: Option<Server>,
}

impl MinIo {
    /// Starts one that keeps everything in `folder`. It is ready when [`MinIo::is_ready`] says so.
    ///
    /// # Errors
    /// It is neither installed nor can it be built, or a file cannot be written.
    pub fn start(folder: &Path) -> Result<Self> {
        let program = install::minio(&mut |line| eprintln!("{line}"))?;
        let keys = [credentials::token()?, credentials::token()?];
        fs::create_dir_all(folder.join("home"))?;
        let [access, secret] = &keys;
        let environment = format!(
            "MINIO_ROOT_USER={access}\nMINIO_ROOT_PASSWORD={secret}\nMINIO_BROWSER=off\n\
             MINIO_UPDATE=off\n"
        );
        fs::write(folder.join("environment"), environment)?;
        let ports = ports::choose()?;
        let mut minio = Self { program, folder: folder.to_owned(), ports, keys, server: None };
        minio.make_bucket(BUCKET)?;
        minio.start_again()?;
        Ok(minio)
    }

    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// As [`MinIo::start`]; or it ends, or is not ready in time.
    pub fn start_ready(folder: &Path) -> Result<Self> {
        let mut minio = Self::start(folder)?;
        minio.wait()?;
        Ok(minio)
    }

    /// Starts it again, with what it had, after [`MinIo::crash`].
    ///
    /// # Errors
    /// Its program is gone.
    pub fn start_again(&mut self) -> Result<()> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let [port, console] = self.ports;
        // The keys are in the file, so that no list of processes shows them.
        let args = [
            format!("HOME={}", file("home")),
            format!("MINIO_CONFIG_ENV_FILE={}", file("environment")),
            self.program.display().to_string(),
            "server".to_owned(),
            file("data"),
            "--address".to_owned(),
            format!("127.0.0.1:{port}"),
            "--console-address".to_owned(),
            format!("127.0.0.1:{console}"),
        ];
        self.server = Some(Server::start("minio", Path::new("env"), args, &self.folder)?);
        Ok(())
    }

    /// Makes a bucket: a folder beside its others is one.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn make_bucket(&self, name: &str) -> Result<()> {
        let bucket = self.folder.join("data").join(name);
        fs::create_dir_all(&bucket)
            .with_context(|| format!("failed to make the bucket {}", bucket.display()))
    }

    /// `http://127.0.0.1:<port>`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// The bucket that is there from the start.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// The id of the key that may do everything.
    pub fn access_key(&self) -> &str {
        &self.keys[0]
    }

    /// And its secret.
    pub fn secret_key(&self) -> &str {
        &self.keys[1]
    }

    /// Whether it answers.
    pub fn is_ready(&self) -> bool {
        self.status("/minio/health/ready").is_ok_and(|answer| answer.contains(" 200 "))
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
        let log = self.server.as_ref().map(Server::log_tail).unwrap_or_default();
        ready.with_context(|| format!("`minio` was not ready in time; its log ends:\n{log}"))
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

    /// Holds it where it stands (SIGSTOP), until [`MinIo::thaw`].
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
        let pid = self.pid().context("MinIO does not run")?;
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
    }

    /// The first line of the answer to a GET.
    fn status(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port()))?;
        stream.set_read_timeout(Some(CALL_MAX))?;
        stream.set_write_timeout(Some(CALL_MAX))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.lines().next().unwrap_or_default().to_owned())
    }

    pub(super) fn check(&mut self) -> Result<()> {
        self.server.as_mut().map_or(Ok(()), Server::check)
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid)
    }
}
