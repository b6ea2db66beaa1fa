//! PostgreSQL servers: the one of the stack, and those that a test may kill and fill.
//!
//! A server never runs as root, so its files are given to the user that the package makes, and lie
//! in a folder of their own that this user can reach.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use tempfile::TempDir;

use super::credentials::token;
use super::ports;
use super::server::Server;
use crate::deadline::Deadline;
use crate::install;

/// The user that may do everything.
const USER: &str = "capstan";
/// The user of the system that a server runs as, where we are root.
const SYSTEM_USER: &str = "postgres";
const START_MAX: Duration = Duration::from_secs(60);
/// What a server says whose sessions of before it was killed have not ended yet.
const STILL_IN_USE: &str = "pre-existing shared memory block";
/// How long one statement of a test may take, in seconds.
const STATEMENT_SECONDS_MAX: &str = "60";

/// The files of a server, and how to reach it.
#[derive(Debug)]
pub(super) struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    password: String,
    /// Removed with the cluster, unless the folder is the caller's.
    _folder: Option<TempDir>,
}

/// A server of a test's own: to be killed, filled and restarted. Dropping it ends it and removes its
/// data.
#[derive(Debug)]
pub struct PostgresServer {
    // Ended before its data goes.
    server: Option<Server>,
    cluster: Cluster,
    settings: Vec<String>,
}

impl PostgresServer {
    /// Starts a server with settings such as `max_connections=10`, its data in a temporary folder.
    ///
    /// # Errors
    /// It ends or is not ready in time: the error carries the end of its log.
    pub fn start(settings: &[&str]) -> Result<Self> {
        Self::of(Cluster::make()?, settings)
    }

    /// Starts a server with its data below a folder, which stays.
    ///
    /// # Errors
    /// As [`PostgresServer::start`].
    pub fn start_in(folder: &Path, settings: &[&str]) -> Result<Self> {
        Self::of(Cluster::make_in(folder.to_owned(), None)?, settings)
    }

    /// Starts the server again that [`PostgresServer::start_in`] made in a folder, once nothing of it runs
    /// any more; `url` is what [`PostgresServer::url`] said, and says again.
    ///
    /// # Errors
    /// As [`PostgresServer::start`]; the URL is another one's.
    pub fn resume_in(folder: &Path, url: &str, settings: &[&str]) -> Result<Self> {
        let parts = || {
            let (password, place) =
                url.strip_prefix(&format!("postgres://{USER}:"))?.split_once('@')?;
            let port = place.strip_prefix("127.0.0.1:")?.split_once('/')?.0;
            Some((password.to_owned(), port.parse().ok()?))
        };
        let (password, port) =
            parts().context("no URL of a server that was started in a folder")?;
        let programs = install::postgres_programs()?;
        let cluster =
            Cluster { folder: folder.to_owned(), programs, port, password, _folder: None };
        Self::of(cluster, settings)
    }

    /// `postgres://user:password@127.0.0.1:port/database`.
    pub fn url(&self, database: &str) -> String {
        self.cluster.url(database)
    }

    /// Runs a statement in a database and gives what it prints, a row a line.
    ///
    /// # Errors
    /// It failed: what the server said is in the error.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String> {
        sql(&self.url(database), statement)
    }

    /// Kills the server as a crash of its machine would, but for the disk.
    ///
    /// # Errors
    /// It could not be ended.
    pub fn kill(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), Server::kill)
    }

    /// Starts it again, at the same address and with the same data.
    ///
    /// # Errors
    /// As [`PostgresServer::start`].
    pub fn launch(&mut self) -> Result<()> {
        let deadline = Deadline::after(START_MAX);
        let url = self.url("postgres");
        let mut server = self.cluster.launch(&self.cluster.folder, &self.settings)?;
        let ready = deadline.poll(|| {
            if server.check().is_err() && server.log_tail().contains(STILL_IN_USE) {
                server = self.cluster.launch(&self.cluster.folder, &self.settings)?;
            }
            server.check()?;
            anyhow::Ok(is_ready(&url).then_some(()))
        })?;
        ready.with_context(|| {
            format!("`postgres` is not ready; its log ends:\n{}", server.log_tail())
        })?;
        self.server = Some(server);
        Ok(())
    }

    fn of(cluster: Cluster, settings: &[&str]) -> Result<Self> {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut made = Self { server: None, cluster, settings };
        made.launch()?;
        Ok(made)
    }
}

impl Cluster {
    /// Makes a cluster in a temporary folder, with a port and a password of its own.
    pub(super) fn make() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("capstan-postgres-")
            .tempdir()
            .context("failed to make the folder of a PostgreSQL server")?;
        Self::make_in(folder.path().to_owned(), Some(folder))
    }

    fn make_in(folder: PathBuf, temporary: Option<TempDir>) -> Result<Self> {
        let programs = install::postgres_programs()?;
        if Uid::effective().is_root() {
            let user = User::from_name(SYSTEM_USER)?.with_context(|| {
                format!("no user `{SYSTEM_USER}`; on Debian: `apt-get install postgresql`")
            })?;
            chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let [port] = ports::choose()?;
        let cluster = Self { folder, programs, port, password: token()?, _folder: temporary };
        cluster.initialize()?;
        Ok(cluster)
    }

    /// Starts the server, with its log in `logs`. It syncs, as a server in earnest does.
    pub(super) fn launch(&self, logs: &Path, settings: &[String]) -> Result<Server> {
        let mut args = as_system_user();
        args.extend([
            // Our own folder may be closed to that user.
            "env".to_owned(),
            format!("--chdir={}", self.folder.display()),
            self.programs.join("postgres").display().to_string(),
            "-D".to_owned(),
            self.data(),
        ]);
        let fixed = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            "unix_socket_directories=".to_owned(),
            "fsync=on".to_owned(),
        ];
        for setting in fixed.iter().chain(settings) {
            args.extend(["-c".to_owned(), setting.clone()]);
        }
        let program = args.remove(0);
        let server = Server::start("postgres", Path::new(&program), args, logs)?;
        // Its polite end waits for every client; this one tells them.
        Ok(server.ended_by(Signal::SIGINT))
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    fn initialize(&self) -> Result<()> {
        let password_file = self.folder.join("password");
        fs::write(&password_file, &self.password).context("failed to write a password file")?;
        fs::set_permissions(&password_file, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        let mut args = as_system_user();
        args.extend([
            "env".to_owned(),
            format!("--chdir={}", self.folder.display()),
            self.programs.join("initdb").display().to_string(),
            format!("--pgdata={}", self.data()),
            format!("--username={USER}"),
            format!("--pwfile={}", password_file.display()),
            "--auth=scram-sha-256".to_owned(),
            "--encoding=UTF8".to_owned(),
            "--locale=C.UTF-8".to_owned(),
            "--no-sync".to_owned(),
        ]);
        let mut command = Command::new(&args[0]);
        install::run(command.args(&args[1..]), "`initdb`")?;
        fs::remove_file(&password_file).context("failed to remove a password file")
    }

    fn data(&self) -> String {
        self.folder.join("data").display().to_string()
    }
}

/// Whether a server answers at a URL.
pub(super) fn is_ready(url: &str) -> bool {
    sql(url, "SELECT 1").is_ok()
}

/// Runs a statement in the database that a URL names, and gives what it prints, a row a line. With
/// `psql`: a client library of our own would make every `cargo xtask` wait for its build.
///
/// # Errors
/// It failed: what the server said is in the error.
pub fn sql(url: &str, statement: &str) -> Result<String> {
    let psql = install::postgres_programs()?.join("psql");
    let mut command = Command::new("timeout");
    command.arg(STATEMENT_SECONDS_MAX).arg(psql).args([
        "--no-psqlrc",
        "--tuples-only",
        "--no-align",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
    ]);
    command.args(["--command", statement]).arg(url);
    install::output(&mut command, "`psql`")
}

/// The command line before that of a server: another user where we are root. The kernel forgets
/// whom a process is to die with when its user changes, so that is said again.
fn as_system_user() -> Vec<String> {
    if !Uid::effective().is_root() {
        return Vec::new();
    }
    let args = ["setpriv", "--reuid", SYSTEM_USER, "--regid", SYSTEM_USER, "--init-groups"];
    let args = args.into_iter().chain(["--pdeathsig", "KILL", "--"]);
    args.map(str::to_owned).collect()
}
