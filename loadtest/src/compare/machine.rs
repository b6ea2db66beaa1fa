//! The machine that it runs on.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::serve::now;
use crate::workload::figures::{quantiles, sorted};

/// How often a disk is made to sync.
const SYNCS: usize = 100;
const BLOCK: [u8; 4096] = [1; 4096];

/// Processor, memory, kernel, how busy it is, and how long it takes to sync 4 KiB to a folder's disk.
///
/// # Errors
/// The folder cannot be written to.
pub(super) fn describe(folder: &Path) -> Result<Value> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    Ok(json!({
        "cores": std::thread::available_parallelism()?.get(),
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load average": read("/proc/loadavg").split(' ').next(),
        "sync of 4 KiB, ms": syncs(folder)?,
    }))
}

fn syncs(folder: &Path) -> Result<Value> {
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    let mut one = || {
        let began = now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        anyhow::Ok(began.elapsed())
    };
    let times = (0..SYNCS).map(|_| one()).collect::<Result<_>>()?;
    std::fs::remove_file(path)?;
    Ok(quantiles(&sorted(times)))
}
