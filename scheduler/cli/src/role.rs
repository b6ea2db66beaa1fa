//! The distributed roles: what both have in common.

pub(crate) mod opened;
pub(crate) mod scheduler;
pub(crate) mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use shared_adapters::Patience;
use shared_runtime::Supervisor;
use shared_runtime::telemetry::{self, Format};

use crate::args::LogFormat;
use crate::config::{Given, Log, SourceArgs, Start};
use crate::say::{self, say};

/// Flags that every role has; each stands for a setting and wins over it.
#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    /// The address to serve; port 0 takes a free one. Any but a loopback one needs a token.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The folder of this process alone.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What is logged to stderr: a level, or a filter such as `worker=debug`.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How everything on stderr looks.
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
}

impl RoleArgs {
    /// The flags as settings; `section` is the role's own.
    fn given(&self, section: &str) -> Vec<Given> {
        let listen = format!("{section}.listen");
        let format = self.log_format.and_then(|format| format.to_possible_value());
        let path = |path: &PathBuf| path.display().to_string();
        [
            self.listen.map(|address| Given::flag("--listen", &listen, address)),
            self.data_dir
                .as_ref()
                .map(|dir| Given::flag("--data-dir", "local.data_dir", path(dir))),
            self.log.as_ref().map(|filter| Given::flag("--log", "log.filter", filter)),
            format.map(|format| Given::flag("--log-format", "log.format", format.get_name())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Starts logging as the settings say.
fn start_logs(log: &Log) -> Result<()> {
    let format = match log.format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    say::in_format(format);
    telemetry::start(&log.filter, format)
}

/// Runs a role on threads of its own.
fn on_threads(role: impl Future<Output = Result<u8>>) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("no threads can be started")?.block_on(role)
}

/// An owner of tasks that a signal stops.
fn supervisor() -> Result<Supervisor> {
    let supervisor = Supervisor::new();
    shared_runtime::shutdown::on_signals(&supervisor).context("signals cannot be caught")?;
    telemetry::start_export(&supervisor)?;
    Ok(supervisor)
}

/// Waits for servers as long as the settings allow, and says so.
fn patience(start: &Start) -> Patience {
    let wait_max = start.wait_max.unsigned_abs();
    Patience::of(wait_max, move |cause| say(&format!("waiting for up to {wait_max:?}: {cause}")))
}

/// Starts something; `None` if a signal came first.
async fn unless_stopped<T>(
    supervisor: &Supervisor,
    start: impl Future<Output = Result<T>>,
) -> Result<Option<T>> {
    let stopping = supervisor.stopping();
    tokio::select! {
        biased;
        started = start => started.map(Some),
        () = stopping.cancelled() => {
            say("stopped before everything was there");
            Ok(None)
        }
    }
}

/// Stops everything that runs, at most within a limit.
async fn shut_down(supervisor: &Supervisor, limit: Duration) {
    if !supervisor.shut_down(limit).await {
        say(&format!("warning: not everything ended within {limit:?}"));
    }
}

/// The exit code of a process that has stopped.
fn ended(supervisor: &Supervisor) -> u8 {
    if supervisor.has_failed() {
        say("error: it stopped by itself; see the log above");
        return crate::EXIT_FAILED;
    }
    0
}
