#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod archive;
mod artifact;
mod chart;
mod input;
mod local;
pub mod manifest;
pub mod packer;
pub mod recipe;
mod stage;

use std::path::PathBuf;
use std::time::Duration;

use shared_runtime::Tools;

pub use input::InputError;
pub use packer::{Bake, PackerConfig};
pub use stage::BakeManifest;

/// How baking is done here.
#[derive(Debug, Clone)]
pub struct Config {
    /// How tools are run.
    pub tools: Tools,
    /// Helm 3 or 4: a name to look for on the tools' path, or a path.
    pub helm: String,
    /// Where `local/file` artifacts lie; nothing outside is read.
    pub artifact_root: PathBuf,
    /// How long one rendering may take.
    pub timeout: Duration,
    /// Limits on what goes in and comes out.
    pub limits: Limits,
}

impl Config {
    /// `helm` from the tools' path, five minutes, default limits. A rendering has no effect but its
    /// result, so it may go on for ten seconds to end by itself once we are gone.
    pub fn new(mut tools: Tools, artifact_root: PathBuf) -> Self {
        let limits = Limits::default();
        tools.limits.stdout_bytes_max = limits.manifest_bytes_max;
        tools.limits.finish_grace = Duration::from_secs(10);
        let timeout = Duration::from_secs(300);
        Self { tools, helm: "helm".into(), artifact_root, timeout, limits }
    }
}

/// Limits on what goes into a baking and comes out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Size of a chart, unpacked, or of a folder of recipes.
    pub chart_bytes_max: u64,
    /// Files and folders of a chart, or of a folder of recipes.
    pub chart_entries_max: u64,
    /// How often larger a chart may be unpacked than packed.
    pub archive_ratio_max: u64,
    /// Size of one values file, or of a Packer template.
    pub values_bytes_max: u64,
    /// Size of what is rendered.
    pub manifest_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chart_bytes_max: 512 * 1024 * 1024,
            chart_entries_max: 10_000,
            archive_ratio_max: 100,
            values_bytes_max: 8 * 1024 * 1024,
            manifest_bytes_max: 16 * 1024 * 1024,
        }
    }
}
