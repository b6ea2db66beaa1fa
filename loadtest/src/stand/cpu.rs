//! Processor time and memory of everything that stands, from `/proc`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel counts processor time for programs in hundredths of a second, whatever its own clock is.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of each sort of process, those that ended and were waited for included.
#[derive(Debug, Clone, Default)]
pub struct Spent(pub BTreeMap<String, Duration>);

impl Spent {
    /// Of every process that descends from this one; itself and those of `load`, which make the load, are
    /// `load`.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn now(load: &[u32]) -> Result<Self> {
        let all = processes()?;
        let me = std::process::id();
        let mut spent = BTreeMap::<String, Duration>::new();
        for (pid, process) in all.iter().filter(|(pid, _)| is_below(&all, **pid, me)) {
            let is_load = load.iter().any(|one| one == pid || is_below(&all, *pid, *one));
            let sort = if is_load { "load" } else { &process.sort };
            *spent.entry(sort.to_owned()).or_default() += process.spent;
        }
        if let Some(own) = all.get(&me) {
            *spent.entry("load".to_owned()).or_default() += own.spent;
        }
        Ok(Self(spent))
    }

    /// What was spent since.
    pub fn since(&self, before: &Self) -> Self {
        let passed = |(sort, spent): (&String, &Duration)| {
            let earlier = before.0.get(sort).copied().unwrap_or_default();
            (sort.clone(), spent.saturating_sub(earlier))
        };
        Self(self.0.iter().map(passed).collect())
    }

    /// All but the load itself.
    pub fn total(&self) -> Duration {
        self.0.iter().filter(|(sort, _)| *sort != "load").map(|(_, spent)| *spent).sum()
    }
}

/// Bytes that processes below this one had the kernel write to disks, so far; of those that live.
///
/// # Errors
/// `/proc` cannot be read.
pub fn written_bytes() -> Result<u64> {
    let all = processes()?;
    let me = std::process::id();
    let below = all.keys().filter(|pid| is_below(&all, **pid, me));
    let written = below.map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        line.and_then(|bytes| bytes.trim().parse::<u64>().ok()).unwrap_or_default()
    });
    Ok(written.sum())
}

struct Found {
    parent: u32,
    sort: String,
    spent: Duration,
}

fn processes() -> Result<BTreeMap<u32, Found>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").context("failed to list /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may have ended since.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if let Some(process) = parse(&stat, &String::from_utf8_lossy(&command)) {
            found.insert(pid, process);
        }
    }
    Ok(found)
}

/// Fields 4 (parent) and 14 to 15 (time of its own) of `stat`, counted behind the name, which may hold
/// anything.
fn parse(stat: &str, command: &str) -> Option<Found> {
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
    let ticks = number(11)? + number(12)?;
    let role = command.split('\0').nth(1).unwrap_or_default();
    let sort = match name {
        "beam.smp" => "rabbitmq",
        "redis-server" => "redis",
        "postgres" => "postgres",
        _ if ["scheduler", "worker", "floor", "beats"].contains(&role) => role,
        "restate-server" | "temporal" | "node" | "python" | "python3" => name,
        _ => "other",
    };
    Some(Found { parent: number(1)?, sort: sort.to_owned(), spent: TICK * ticks })
}

fn is_below(all: &BTreeMap<u32, Found>, pid: u32, above: u32) -> bool {
    let mut at = pid;
    while let Some(process) = all.get(&at) {
        if process.parent == above {
            return true;
        }
        at = process.parent;
    }
    false
}

/// Memory of a process in MiB: resident, and its part of what is shared.
///
/// # Errors
/// It has ended, or is another user's.
pub fn memory_mib(pid: u32) -> Result<(f64, f64)> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("no {path}"))?;
    let mib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        (kib.unwrap_or_default() / 102.4).round() / 10.0
    };
    Ok((mib("Rss:"), mib("Pss:")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 3 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0";
        let found = parse(stat, "/bin/capstan\0scheduler\0--config").unwrap();
        assert_eq!((found.parent, found.sort.as_str()), (3, "scheduler"));
        assert_eq!(found.spent, Duration::from_secs(2));
    }
}
