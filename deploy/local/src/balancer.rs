//! A load balancer as the stages see it: a table that it is given, and a word of its own that the
//! table is in force.

mod backends;
mod forward;
pub(crate) mod serve;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::config::LocalConfig;
use crate::error::LocalError;
use crate::files;
use crate::process::Process;
use crate::store::Store;

/// How often it is looked whether a load balancer did what it was told.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// What a load balancer is to do.
const TABLE: &str = "table.json";
/// What a load balancer does.
const STATUS: &str = "status.json";

/// What a load balancer is to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Table {
    generation: u64,
    /// The port that was asked for.
    wanted: Option<u16>,
    backends: Vec<Backend>,
}

/// A process that takes requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Backend {
    group: String,
    port: u16,
    health_path: String,
}

/// What a load balancer does; only it writes this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    process: Process,
    pub(crate) port: u16,
    generation: u64,
    /// Requests under way to processes that are not in the table any more, by port.
    draining: BTreeMap<u16, usize>,
}

/// Gives a load balancer its table, starts it if need be, and waits until the table is in force.
/// The table follows from the server groups alone, so that whoever comes last writes the truth.
/// Not on a thread that others wait for.
pub(crate) fn publish(
    config: &LocalConfig,
    store: &Store,
    name: &str,
    wanted: Option<u16>,
) -> Result<Status, LocalError> {
    let folder = store.balancer(name);
    files::make_folder(&folder)?;
    let _lock = files::lock(&folder.join("lock"), name)?;
    let table = next_table(store, &folder, name, wanted)?;
    files::write(&folder.join(TABLE), &table)?;
    let mut started = false;
    let rounds = config.limits.balancer_timeout.as_millis() / LOOK_INTERVAL.as_millis();
    for _ in 0..rounds {
        match status(&folder)? {
            Some(status) if status.generation >= table.generation => return Ok(status),
            Some(_) => {}
            None if started => {}
            None => {
                start(config, &folder, table.wanted)?;
                started = true;
            }
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Err(silent(config, name, &folder))
}

fn silent(config: &LocalConfig, name: &str, folder: &Path) -> LocalError {
    let limit = config.limits.balancer_timeout;
    let log = folder.join("log");
    let lines = crate::launch::tail(&log).join("\n");
    LocalError::Balancer(format!(
        "the load balancer `{name}` did not take its table within {limit:?}; its last lines in `{}`:\n{lines}",
        log.display()
    ))
}

fn next_table(
    store: &Store,
    folder: &Path,
    name: &str,
    wanted: Option<u16>,
) -> Result<Table, LocalError> {
    let before: Table = files::read(&folder.join(TABLE))?.unwrap_or_default();
    let mut backends = Vec::new();
    for group in store.all()? {
        let serves = group.is_live() && group.enabled;
        if serves && group.service.load_balancers.iter().any(|one| one == name) {
            let of = |port| Backend {
                group: group.name.clone(),
                port,
                health_path: group.service.health_path.clone(),
            };
            let ready = group.instances.iter().filter(|instance| instance.ready);
            backends.extend(ready.map(|instance| of(instance.port)));
        }
    }
    Ok(Table { generation: before.generation + 1, wanted: wanted.or(before.wanted), backends })
}

/// What a load balancer does; `None` if it does not run.
fn status(folder: &Path) -> Result<Option<Status>, LocalError> {
    let status: Option<Status> = files::read(&folder.join(STATUS))?;
    Ok(status.filter(|status| status.process.is_alive()))
}

fn start(config: &LocalConfig, folder: &Path, wanted: Option<u16>) -> Result<(), LocalError> {
    let failed = |source| LocalError::Start {
        program: config.balancer.program.display().to_string(),
        group: "(the load balancer)".into(),
        source,
    };
    // Where it was before, so that clients find it again.
    let former = files::read::<Status>(&folder.join(STATUS))?.map(|status| status.port);
    let port = wanted.or(former).unwrap_or(0);
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(folder.join("log"));
    let log = log.map_err(failed)?;
    // Detached on purpose (D21): `is_alive` clears it away once it ended.
    let _child = Command::new(&config.balancer.program)
        .args(&config.balancer.args)
        .arg(folder)
        .arg(port.to_string())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    Ok(())
}

/// How many requests are under way to processes that were taken out of a load balancer.
pub(crate) fn draining(store: &Store, name: &str, ports: &[u16]) -> Result<usize, LocalError> {
    let status = status(&store.balancer(name))?;
    let counts = status.map(|status| status.draining).unwrap_or_default();
    Ok(ports.iter().filter_map(|port| counts.get(port)).sum())
}

/// Ends a load balancer that no server group uses any more.
pub(crate) fn end_unused(store: &Store, name: &str) -> Result<bool, LocalError> {
    let folder: PathBuf = store.balancer(name);
    files::make_folder(&folder)?;
    let _lock = files::lock(&folder.join("lock"), name)?;
    let uses = |group: &crate::group::Group| {
        group.is_live() && group.service.load_balancers.iter().any(|one| one == name)
    };
    if store.all()?.iter().any(uses) {
        return Ok(false);
    }
    let Some(status) = status(&folder)? else { return Ok(false) };
    status.process.signal(Signal::SIGTERM);
    Ok(true)
}
