//! What the provider needs to know.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shared_runtime::tool::GuardCommand;

/// Where state is kept, and how a load balancer is started.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// The folder that holds everything of this provider, absolute.
    pub folder: PathBuf,
    /// The program that calls [`crate::balancer_main`], and what makes it do so.
    pub balancer: GuardCommand,
    /// Where commands are looked for: a `PATH`. It is also theirs.
    pub path: OsString,
    /// Limits.
    pub limits: Limits,
}

/// How many there may be, and how long things may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Instances of one server group.
    pub instances_max: u32,
    /// How long instances may take to become healthy where the stage does not say.
    pub health_timeout: Duration,
    /// How long requests of a disabled server group are waited for before its processes are ended.
    pub drain_timeout: Duration,
    /// How long a process may take to end once it is asked to, before it is killed.
    pub end_grace: Duration,
    /// How long a load balancer may take to start or to take over a table.
    pub balancer_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instances_max: 50,
            health_timeout: Duration::from_secs(120),
            drain_timeout: Duration::from_secs(60),
            end_grace: Duration::from_secs(10),
            balancer_timeout: Duration::from_secs(20),
        }
    }
}

impl LocalConfig {
    /// State below `<data_dir>/local`, with the default limits.
    ///
    /// # Errors
    /// If the data folder cannot be made absolute.
    pub fn new(data_dir: &Path, balancer: GuardCommand, path: OsString) -> io::Result<Self> {
        let folder = std::path::absolute(data_dir.join("local"))?;
        Ok(Self { folder, balancer, path, limits: Limits::default() })
    }
}
