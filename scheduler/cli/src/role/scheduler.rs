//! `capstan scheduler`: the control plane and its API, without a worker.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use scheduler::access::Tokens;
use scheduler::{Account, Config, Scheduler, Sharing, StartError};
use secrecy::ExposeSecret;
use shared_adapters::{Guard, OpenError, Patience, open_patiently};
use shared_ports::Ports;
use shared_runtime::Supervisor;
use tokio::net::TcpListener;
use worker::catalog::LOCAL;

use super::{
    RoleArgs, ended, on_threads, opened, patience, shut_down, start_logs, supervisor,
    unless_stopped,
};
use crate::config::{self, Role, Settings};
use crate::listen::listen;
use crate::say::say;
use crate::{limits, stages};

/// How long everything may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// How often attempts without a lease are looked for: one is lost that has none twice in a row.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct SchedulerArgs {
    #[command(flatten)]
    role: RoleArgs,
}

/// Serves until a signal.
///
/// # Errors
/// What is wrong with the settings, or could not be started, and what to do.
pub(crate) fn run(arguments: &SchedulerArgs) -> Result<u8> {
    let flags = arguments.role.given("api");
    let settings = config::read(Some(Role::Scheduler), &arguments.role.sources, flags)?.settings;
    start_logs(&settings.log)?;
    on_threads(Box::pin(serve(settings)))
}

async fn serve(settings: Settings) -> Result<u8> {
    let config = opened::of_scheduler(&settings)?;
    // Before anything is made: a taken port leaves nothing behind.
    let listener = listen(settings.api.listen, "choose another with --listen")?;
    let supervisor = supervisor()?;
    let mut patience = patience(&settings.start);
    let opened = unless_stopped(
        &supervisor,
        Box::pin(async { Ok(open_patiently(&config, &mut patience).await?) }),
    );
    let Some((ports, guard)) = opened.await? else { return Ok(0) };
    let start = start(&settings, ports, listener, &supervisor, &mut patience);
    let started = unless_stopped(&supervisor, Box::pin(start)).await;
    if let Ok(Some(())) = started {
        supervisor.stopping().cancelled().await;
        say("stopping; others go on with what runs; a second signal exits at once");
    }
    shut_down(&supervisor, STOP_LIMIT).await;
    close(guard).await;
    started.map(|_| ended(&supervisor))
}

async fn start(
    settings: &Settings,
    ports: Ports,
    listener: TcpListener,
    supervisor: &Supervisor,
    patience: &mut Patience,
) -> Result<()> {
    if let Some(token) = &settings.api.token {
        let configured = Tokens::new(&ports).configure(token.expose_secret()).await;
        configured.context("the token of `api.token` cannot be used")?;
    }
    // Before anything runs: what is there is not taken up in vain.
    scheduler::api::may_serve(&ports, listener.local_addr()?).await?;
    let descriptors = stages::descriptors(settings.fleet.local_provider)?;
    let config = control(settings, ports.clock.new_id());
    let scheduler = patience.open(async || {
        let started =
            Scheduler::start(config.clone(), ports.clone(), descriptors.clone(), supervisor);
        started.await.map_err(|StartError::Port(error)| OpenError::from(error))
    });
    let scheduler = scheduler.await.context("the scheduler did not start")?;
    let api = limits::of_api(&settings.api.limits())?;
    if let Some(config) = &settings.external_metrics {
        let served = scheduler::external::serve(scheduler.clone(), config, supervisor).await;
        let address = served.context("external metrics are not served")?;
        say(&format!("serving external metrics on https://{address}"));
    }
    let served = scheduler::api::serve(scheduler, listener, api, supervisor).await;
    let address = served.context("the API is not served")?;
    say(&format!("listening on http://{address}"));
    Ok(())
}

/// How the control plane behaves, as one of several of a name that nobody else ever has.
fn control(settings: &Settings, name: String) -> Config {
    let kubernetes = settings.fleet.accounts.iter().map(|name| Account::new("kubernetes", name));
    let local = settings.fleet.local_provider.then(|| Account::new(LOCAL, LOCAL));
    Config {
        limits: settings.limits.clone(),
        executions_unfinished_max: settings.api.executions_unfinished_max,
        executions_unfinished_per_application_max: settings
            .api
            .executions_unfinished_per_application_max,
        accounts: kubernetes.chain(local).collect(),
        fleet: settings.autoscale.clone(),
        window_zone: settings.fleet.window_zone.clone(),
        retention: settings.retention.clone(),
        // Workers outlive us, and their leases with them.
        leases_are_fresh: false,
        sharing: Some(Sharing {
            name,
            shards: settings.fleet.shards.get(),
            references_after: settings.fleet.references_after.unsigned_abs(),
        }),
        sweep_interval: SWEEP_INTERVAL,
        ..Config::default()
    }
}

async fn close(guard: Guard) {
    if let Err(error) = guard.close().await {
        say(&format!("warning: the store was not closed well: {error}"));
    }
}
