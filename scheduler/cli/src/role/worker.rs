//! `capstan worker`: the hands. It needs no store.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use jiff::SignedDuration;
use shared_adapters::{Guard, Patience, open_worker};
use shared_model::{Capability, WorkerId};
use shared_plugin::Catalog;
use shared_ports::WorkerPorts;
use shared_runtime::Supervisor;
use worker::Standing;
use worker::probes::{self, Probes};

use super::{
    RoleArgs, ended, on_threads, opened, patience, shut_down, start_logs, supervisor,
    unless_stopped,
};
use crate::config::{self, Given, Role, Settings};
use crate::listen::listen;
use crate::say::say;
use crate::stages::{Chosen, Stages};

/// How much longer than attempts everything else may take to stop.
const STOP_MARGIN: Duration = Duration::from_secs(5);
/// How long a tool may go on once its worker is gone, where the settings do not say and the lease is
/// longer.
const TOOL_GRACE_MAX: Duration = Duration::from_secs(10);
/// Length of a worker's name.
const NAME_BYTES_MAX: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    role: RoleArgs,
    /// Its name, which no other live worker has [default: the machine's and the process id].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Attempts that it runs at once.
    #[arg(long, value_name = "COUNT")]
    slots: Option<u16>,
    /// A queue that it takes work from, e.g. `bake.helm`; may be repeated [default: all that it can
    /// serve].
    #[arg(long = "capability", value_name = "NAME")]
    capabilities: Vec<String>,
    /// How long running attempts may take to end, or to be handed over, when it stops.
    #[arg(long, value_name = "DURATION")]
    drain_timeout: Option<String>,
    /// The clusters: every context of this file is an account of its name.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A further name for a context, as documents use it; may be repeated.
    #[arg(long = "account", value_name = "NAME=CONTEXT", value_parser = crate::args::pair)]
    accounts: Vec<(String, String)>,
    /// A name for the cluster that it runs in, as documents use it: reached by its own service account.
    #[arg(long, value_name = "NAME")]
    in_cluster: Option<String>,
    /// Below this folder `local/file` artifacts may lie.
    #[arg(long, value_name = "DIR")]
    artifacts_root: Option<PathBuf>,
    /// The helm to run: a name on the PATH, or a path.
    #[arg(long, value_name = "PROGRAM")]
    helm: Option<String>,
    /// The packer to run: a name on the PATH, or a path.
    #[arg(long, value_name = "PROGRAM")]
    packer: Option<String>,
    /// The folder of Packer templates.
    #[arg(long, value_name = "DIR")]
    recipes: Option<PathBuf>,
}

impl WorkerArgs {
    fn given(&self) -> Vec<Given> {
        let path = |path: &PathBuf| path.display().to_string();
        let slots = self.slots.map(|slots| slots.to_string());
        let capabilities = (!self.capabilities.is_empty()).then(|| self.capabilities.join(","));
        let flags = [
            ("name", self.name.clone()),
            ("slots", slots),
            ("drain-timeout", self.drain_timeout.clone()),
            ("kubeconfig", self.kubeconfig.as_ref().map(path)),
            ("in-cluster", self.in_cluster.clone()),
            ("artifacts-root", self.artifacts_root.as_ref().map(path)),
            ("helm", self.helm.clone()),
            ("packer", self.packer.clone()),
            ("recipes", self.recipes.as_ref().map(path)),
        ];
        let mut given = self.role.given("worker");
        for (name, value) in flags {
            let key = format!("worker.{}", name.replace('-', "_"));
            given.extend(value.map(|value| Given::flag(&format!("--{name}"), &key, value)));
        }
        given.extend(
            capabilities.map(|names| Given::flag("--capability", "worker.capabilities", names)),
        );
        given.extend(self.accounts.iter().map(|(name, context)| Given::account(name, context)));
        given
    }
}

/// Works until a signal.
///
/// # Errors
/// What is wrong with the settings, or could not be started, and what to do.
pub(crate) fn run(arguments: &WorkerArgs) -> Result<u8> {
    let sources = &arguments.role.sources;
    let settings = config::read(Some(Role::Worker), sources, arguments.given())?.settings;
    start_logs(&settings.log)?;
    on_threads(Box::pin(serve(settings)))
}

async fn serve(settings: Settings) -> Result<u8> {
    let config = opened::of_worker(&settings)?;
    let working = working(&settings)?;
    let stages = Stages::look(&chosen(&settings)?)?;
    let token = settings.worker.token.clone();
    let listener = listen(settings.worker.listen, "choose another with --listen")?;
    let supervisor = supervisor()?;
    let mut patience = patience(&settings.start);
    let opened = unless_stopped(
        &supervisor,
        Box::pin(async { Ok(open_worker(&config, &mut patience).await?) }),
    );
    let Some((ports, guard)) = opened.await? else { return Ok(0) };
    let limit = working.drain_timeout + STOP_MARGIN;
    let worker = working.id.clone();
    let start = start(working, ports.clone(), stages, &supervisor, &mut patience);
    let started = unless_stopped(&supervisor, Box::pin(start)).await;
    if let Ok(Some(standing)) = &started {
        if let Some(pod) = settings.worker.pod {
            worker::pod::tell(pod, standing.clone(), Arc::clone(&ports.clock), &supervisor);
        }
        let probes = Probes { ports, worker, standing: standing.clone(), token };
        say(&format!("listening on http://{}", listener.local_addr()?));
        probes::serve(listener, probes, &supervisor);
        supervisor.stopping().cancelled().await;
        say("stopping; what runs is ended or handed over; a second signal exits at once");
    }
    shut_down(&supervisor, limit).await;
    close(guard).await;
    started.map(|_| ended(&supervisor))
}

async fn start(
    mut working: worker::Config,
    ports: WorkerPorts,
    stages: Stages,
    supervisor: &Supervisor,
    patience: &mut Patience,
) -> Result<Standing> {
    let catalog = stages.catalog()?;
    working.capabilities = served(&working.capabilities, &catalog)?;
    let started = patience.open(async || {
        let (working, ports, catalog) = (working.clone(), ports.clone(), catalog.clone());
        Ok(worker::start(working, ports, catalog, supervisor).await?)
    });
    let standing = started.await.context("the worker did not start")?;
    let (name, slots) = (&working.id, working.slots);
    let served: Vec<_> = working.capabilities.iter().map(ToString::to_string).collect();
    say(&format!("worker {name} with {slots} slots serves {}", served.join(", ")));
    Ok(standing)
}

/// The queues of what was named, in every account that this worker reaches; of everything where
/// nothing was. A queue that nobody fills would make a worker that waits for ever.
fn served(wanted: &[Capability], catalog: &Catalog) -> Result<Vec<Capability>> {
    let known = worker::capabilities_by_account(catalog);
    if wanted.is_empty() {
        return Ok(known);
    }
    for name in wanted {
        let is_there = known.iter().any(|known| is_of(known, name));
        ensure!(is_there, "{}", cannot_serve(name, &known, catalog));
    }
    Ok(known.into_iter().filter(|known| wanted.iter().any(|name| is_of(known, name))).collect())
}

/// Whether it is what a setting names: itself, or the same in an account.
fn is_of(known: &Capability, named: &Capability) -> bool {
    known == named || known.account().is_some_and(|(what, _)| what == named.as_str())
}

fn cannot_serve(name: &Capability, known: &[Capability], catalog: &Catalog) -> String {
    let what = name.account().map_or(name.as_str(), |(what, _)| what);
    let needs_account = worker::capabilities(catalog).iter().any(|one| one.as_str() == what);
    if needs_account && !known.iter().any(|known| known.as_str() == what) {
        return format!(
            "`worker.capabilities` names `{name}`, but this worker reaches no account that it could be \
             done in; give it a kubeconfig with --kubeconfig (`worker.kubeconfig`), or \
             `worker.in_cluster`"
        );
    }
    let listed = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!(
        "`worker.capabilities` names `{name}`, which this worker cannot serve; it can serve {listed}"
    )
}

fn working(settings: &Settings) -> Result<worker::Config> {
    let worker = &settings.worker;
    ensure!(worker.slots > 0, "`worker.slots` is 0: it would never do anything; give it 1 or more");
    let (ttl, beat) = (worker.lease_ttl, worker.heartbeat_interval);
    ensure!(
        beat > SignedDuration::ZERO && beat * 3 <= ttl,
        "`worker.heartbeat_interval` is {beat:#}, and `worker.lease_ttl` {ttl:#}: make the one a third \
         of the other, or less, or a late heartbeat loses the lease"
    );
    ensure!(
        worker.tool_grace <= ttl,
        "`worker.tool_grace` is {:#}, and `worker.lease_ttl` {ttl:#}: a tool whose worker is gone would go \
         on while another worker runs it again; make the one as long as the other, or less",
        worker.tool_grace
    );
    Ok(worker::Config {
        slots: worker.slots,
        lease_ttl: ttl,
        heartbeat_interval: beat.unsigned_abs(),
        hold_message_for: worker.hold_message_for.unsigned_abs(),
        drain_timeout: worker.drain_timeout.unsigned_abs(),
        cancel_grace: worker.cancel_grace.unsigned_abs(),
        log_bytes_max: worker.log_bytes_max,
        announces: true,
        capabilities: worker.capabilities.iter().map(Capability::new).collect(),
        scratch_dir: settings.local.data_dir.clone(),
        ..worker::Config::named(name(worker.name.as_deref())?)
    })
}

/// It becomes part of the name of a queue.
fn name(given: Option<&str>) -> Result<WorkerId> {
    let of_machine = || {
        let machine = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        format!("{}-{}", machine.unwrap_or_else(|| "worker".to_owned()), std::process::id())
    };
    let name = given.map_or_else(of_machine, str::to_owned);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    ensure!(
        (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(is_plain),
        "`worker.name` is {name:?}; it has 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`"
    );
    Ok(WorkerId::new(name))
}

fn chosen(settings: &Settings) -> Result<Chosen> {
    let (worker, fleet) = (&settings.worker, &settings.fleet);
    let allow_urls = worker.allow_urls.iter().map(|entry| entry.parse());
    let allow_urls: Result<_, worker::catalog::AllowError> = allow_urls.collect();
    Ok(Chosen {
        data_dir: settings.local.data_dir.clone(),
        kubeconfig: worker.kubeconfig.clone(),
        in_cluster: worker.in_cluster.clone(),
        accounts: worker.accounts.clone().into_iter().collect(),
        artifacts_root: worker.artifacts_root.clone(),
        helm: worker.helm.clone(),
        packer: worker.packer.clone(),
        recipes: worker.recipes.clone(),
        docker_host: worker.docker_host.clone().map(OsString::from),
        packer_env: worker.packer_env.clone(),
        allow_urls: allow_urls.context("`worker.allow_urls` cannot be used")?,
        tool_grace: Some(match worker.tool_grace.is_zero() {
            true => TOOL_GRACE_MAX.min(worker.lease_ttl.unsigned_abs()),
            false => worker.tool_grace.unsigned_abs(),
        }),
        secrets: worker.secrets.clone(),
        local_provider: fleet.local_provider,
        artifact_templates: fleet.artifact_templates,
    })
}

async fn close(guard: Guard) {
    if let Err(error) = guard.close().await {
        say(&format!("warning: not everything was closed well: {error}"));
    }
}
