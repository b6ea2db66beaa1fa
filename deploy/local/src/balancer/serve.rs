//! The process of a load balancer. It outlives whoever started it, and ends when it is told to or
//! when its folder is gone.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backends::Backends;
use super::forward::forward;
use super::{STATUS, Status, TABLE, Table};
use crate::files::{self, Lock};
use crate::health::{self, address};
use crate::process::Process;

/// How often the table is read.
const TABLE_INTERVAL: Duration = Duration::from_millis(25);
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
const LOGS_INTERVAL: Duration = Duration::from_secs(5);
/// How long a client may keep a connection without asking anything.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long requests may take to end once it is told to end.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// How long another load balancer of the same folder may take to end, in intervals of the table.
const LOCK_TRIES: u32 = 400;
const CONNECTIONS_MAX: usize = 4_096;

/// Runs as a load balancer. `args` is what follows the hidden subcommand: its folder and its port,
/// 0 for a free one.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let folder = args.next().map(PathBuf::from);
    let port = args.next().and_then(|port| port.to_str()?.parse().ok());
    let (Some(folder), Some(port)) = (folder, port) else { return ExitCode::FAILURE };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(&folder, port))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody = writeln!(io::stderr(), "the load balancer ended: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(folder: &Path, wanted: u16) -> io::Result<()> {
    let mut told = signal(SignalKind::terminate())?;
    let _lock = take(folder).await?;
    allow_many_files();
    let listener = listen(wanted).await?;
    let (backends, tasks) = (Backends::default(), TaskTracker::new());
    let end = CancellationToken::new();
    let watcher = Watcher { folder, backends: &backends, port: listener.local_addr()?.port() };
    tokio::select! {
        _ = told.recv() => {}
        ended = watcher.run() => ended?,
        () = accept(listener, &backends, &tasks, &end) => {}
        () = check_all(&backends) => {}
        () = shorten_logs(folder) => {}
    }
    // The port is closed; what is under way ends.
    end.cancel();
    tasks.close();
    let _late = tokio::time::timeout(END_TIMEOUT, tasks.wait()).await;
    Ok(())
}

/// One per folder, whoever started them.
async fn take(folder: &Path) -> io::Result<Lock> {
    for _ in 0..LOCK_TRIES {
        if let Some(lock) = files::try_lock(&folder.join("running"))? {
            return Ok(lock);
        }
        tokio::time::sleep(TABLE_INTERVAL).await;
    }
    Err(io::Error::other("another load balancer has this folder"))
}

/// A request holds two.
fn allow_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _fewer = setrlimit(Resource::RLIMIT_NOFILE, most.min(65_536), most);
    }
}

async fn listen(wanted: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(address(wanted)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(address(0)).await,
    }
}

async fn accept(
    listener: TcpListener,
    backends: &Backends,
    tasks: &TaskTracker,
    end: &CancellationToken,
) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (backends, own, end) = (backends.clone(), tasks.clone(), end.clone());
                tasks.spawn(async move {
                    serve(stream, backends, own, end).await;
                    drop(place);
                });
            }
            // Too many files, or a client that is gone already.
            Err(_) => tokio::time::sleep(TABLE_INTERVAL).await,
        }
    }
}

async fn serve(stream: TcpStream, backends: Backends, tasks: TaskTracker, end: CancellationToken) {
    let _small = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let (backends, tasks) = (backends.clone(), tasks.clone());
        async move { Ok::<_, Infallible>(forward(backends, tasks, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a client's connection broke");
    }
}

/// Follows the table, and says what is in force.
struct Watcher<'a> {
    folder: &'a Path,
    backends: &'a Backends,
    port: u16,
}

impl Watcher<'_> {
    /// Ends when the folder is gone.
    async fn run(&self) -> io::Result<()> {
        let mut said = None;
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        let process = Process::of(pid).ok_or_else(|| io::Error::other("/proc is needed"))?;
        while self.folder.is_dir() {
            // One that cannot be read for now leaves the old one in force.
            if let Ok(Some(table)) = files::read::<Table>(&self.folder.join(TABLE))
                && table.generation != self.backends.generation()
            {
                self.backends.replace(table);
            }
            let status = Status {
                process: process.clone(),
                port: self.port,
                generation: self.backends.generation(),
                draining: self.backends.draining(),
            };
            if said.as_ref() != Some(&status)
                && files::write(&self.folder.join(STATUS), &status).is_ok()
            {
                said = Some(status);
            }
            tokio::time::sleep(TABLE_INTERVAL).await;
        }
        Ok(())
    }
}

/// Finds the processes that do not answer.
async fn check_all(backends: &Backends) {
    loop {
        let mut checks = tokio::task::JoinSet::new();
        for backend in backends.all() {
            let backends = backends.clone();
            checks.spawn(async move {
                let healthy = health::check(backend.port, &backend.health_path).await.is_ok();
                backends.checked(backend.port, healthy);
            });
        }
        let _all = checks.join_all().await;
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// The services write on while Capstan does not run; somebody has to keep their logs short.
async fn shorten_logs(folder: &Path) {
    let top = folder.parent().and_then(Path::parent);
    let logs = top.unwrap_or(folder).join("logs");
    loop {
        crate::launch::shorten_logs(&logs);
        tokio::time::sleep(LOGS_INTERVAL).await;
    }
}
