//! Starts processes, each once.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::config::LocalConfig;
use crate::error::LocalError;
use crate::files;
use crate::group::{Group, Instance};
use crate::health::address;
use crate::process::{self, Process};
use crate::store::Store;

/// Ports of processes: below those that the system gives to outgoing connections, which would
/// otherwise sit on one by chance.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Size of a log at which its older part is dropped, and how much is kept then.
pub(crate) const LOG_BYTES_MAX: u64 = 4 * 1024 * 1024;
const LOG_BYTES_KEPT: u64 = 256 * 1024;
/// How much of a log's end an error quotes.
const QUOTED_LINES: usize = 10;
const QUOTED_BYTES: u64 = 8 * 1024;

/// The program of a command: absolute, or why it cannot be run. `capstan` is this very program.
pub(crate) fn program(config: &LocalConfig, command: &[String]) -> Result<PathBuf, LocalError> {
    let Some(name) = command.first().filter(|name| !name.is_empty()) else {
        let why = "`command` is empty; give the program and its arguments as a list";
        return Err(LocalError::Invalid(why.to_owned()));
    };
    if let Some(found) = shared_runtime::tool::find(name, &config.path) {
        return std::path::absolute(&found).map_err(crate::error::invalid);
    }
    if name == "capstan" {
        return Ok(config.balancer.program.clone());
    }
    let place = if name.contains('/') { "there" } else { "on the PATH of Capstan" };
    Err(LocalError::Invalid(format!(
        "the command `{name}` is not {place} or cannot be executed; install it or correct `command`"
    )))
}

/// Free ports, none of which another instance has. Looked for from anywhere: another Capstan on this
/// machine, with another folder, would otherwise choose the same ones in the same moment.
pub(crate) fn free_ports(taken: &BTreeSet<u16>, count: usize) -> Result<Vec<u16>, LocalError> {
    let free = |port: &u16| !taken.contains(port) && TcpListener::bind(address(*port)).is_ok();
    let start = RandomState::new().hash_one(count);
    let start =
        PORTS.start + u16::try_from(start % u64::from(PORTS.end - PORTS.start)).unwrap_or(0);
    let round = (start..PORTS.end).chain(PORTS.start..start);
    let ports: Vec<u16> = round.filter(free).take(count).collect();
    if ports.len() < count {
        let why =
            format!("fewer than {count} of the ports {PORTS:?} are free; end what listens there");
        return Err(LocalError::Invalid(why));
    }
    Ok(ports)
}

/// Finds the process of an instance, or starts it.
pub(crate) fn ensure(
    config: &LocalConfig,
    store: &Store,
    group: &Group,
    instance: &Instance,
) -> Result<Process, LocalError> {
    // Started by an attempt that died before it could store that.
    if let Some(found) = process::find_by_variable(&group.variable(instance)) {
        return Ok(found);
    }
    let program = program(config, &group.service.command)?;
    let failed = |source| LocalError::Start {
        program: group.service.command.first().cloned().unwrap_or_default(),
        group: group.name.clone(),
        source,
    };
    files::make_folder(&store.logs())?;
    let log = open_log(&store.log(&group.name, instance.index)).map_err(failed)?;
    start(config, &program, group, instance, log).map_err(failed)
}

fn start(
    config: &LocalConfig,
    program: &Path,
    group: &Group,
    instance: &Instance,
    log: File,
) -> io::Result<Process> {
    // Detached on purpose (D21): `is_alive` clears it away once it ended.
    let child = Command::new(program)
        .args(&group.service.command[1..])
        .env_clear()
        .env("PATH", &config.path)
        .envs(&group.service.env)
        .env("PORT", instance.port.to_string())
        .env("CAPSTAN_SERVER_GROUP", &group.name)
        .env("CAPSTAN_EFFECT", group.effect_of(instance))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A signal to our group, such as Ctrl-C, is not for it.
        .process_group(0)
        .spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    Process::of(pid).ok_or_else(|| io::Error::other("it ended at once"))
}

/// Appended to, so that whoever shortens it need not ask who writes.
fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The last lines of a log.
pub(crate) fn tail(path: &Path) -> Vec<String> {
    let text = end_of(path, QUOTED_BYTES).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].iter().map(|&line| line.to_owned()).collect()
}

fn end_of(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end)?;
    Ok(end)
}

/// Shortens every log that grew too long. What is written in the same moment may be lost.
pub(crate) fn shorten_logs(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let long = entry.metadata().is_ok_and(|meta| meta.len() > LOG_BYTES_MAX);
        if long && let Err(error) = shorten(&entry.path()) {
            tracing::warn!(%error, log = %entry.path().display(), "a log cannot be shortened");
        }
    }
}

fn shorten(path: &Path) -> io::Result<()> {
    let kept = end_of(path, LOG_BYTES_KEPT)?;
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.set_len(0)?;
    file.write_all(b"... older lines were dropped\n")?;
    file.write_all(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_given_out_once() {
        let first = free_ports(&BTreeSet::new(), 2).unwrap();
        let second = free_ports(&first.iter().copied().collect(), 2).unwrap();
        assert!(first.iter().all(|port| !second.contains(port)));
    }

    #[test]
    fn a_long_log_keeps_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let line = "x".repeat(1023) + "\n";
        std::fs::write(&path, line.repeat(4097) + "last\n").unwrap();
        shorten_logs(folder.path());
        assert!(std::fs::metadata(&path).unwrap().len() < 2 * LOG_BYTES_KEPT);
        assert_eq!(tail(&path).last().map(String::as_str), Some("last"));
    }
}
