//! The settings of the distributed roles: defaults ← a file ← the environment ← flags.
//!
//! The structures in `settings.rs` are the only list of what can be set: which keys there are, what
//! is a secret and how a variable's text is read all follow from their defaults, shown as JSON.

mod entry;
mod error;
mod file;
mod given;
mod secret_file;
mod settings;
mod shape;
mod show;

use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};
use figment2::Figment;

use self::entry::Entry;
pub(crate) use self::error::missing;
pub(crate) use self::given::Given;
pub(crate) use self::settings::{KubernetesSecrets, Log, SecretSources, Settings, Start};
use self::shape::Shape;
pub(crate) use self::show::{ConfigArgs, run};

/// What variables of the environment begin with.
const PREFIX: &str = "CAPSTAN__";

/// Who reads the settings. One file serves all; each ignores what only another needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// The control plane and its API.
    Scheduler,
    /// The hands.
    Worker,
}

/// Where settings come from.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SourceArgs {
    /// The settings: TOML, or YAML.
    #[arg(long, value_name = "FILE", env = "CAPSTAN_CONFIG")]
    pub(crate) config: Option<std::path::PathBuf>,
    /// Any setting, e.g. `worker.slots=4`; may be repeated. Rather give secrets by files or the
    /// environment, which others cannot see.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = crate::args::pair)]
    pub(crate) set: Vec<(String, String)>,
}

/// The effective settings, and where each came from.
pub(crate) struct Effective {
    pub(crate) settings: Settings,
    figment: Figment,
}

impl Role {
    /// Whether a section says nothing to it.
    fn ignores(self, section: &str) -> bool {
        match self {
            Self::Scheduler => section == "worker",
            Self::Worker => {
                ["store", "api", "autoscale", "retention", "external_metrics"].contains(&section)
            }
        }
    }
}

/// Reads the settings of a role.
///
/// # Errors
/// The first that is wrong: its key, where it stands, and what to do.
pub(crate) fn read(
    role: Option<Role>,
    sources: &SourceArgs,
    flags: Vec<Given>,
) -> Result<Effective> {
    let file = sources.config.as_deref().filter(|file| !file.as_os_str().is_empty());
    let set = sources.set.iter().map(|(key, value)| Given::set(key, value));
    let variables = std::env::vars_os();
    let flags = set.chain(flags).collect();
    merged(role, [of_file(file)?, given::of_environment(variables)?, flags])
}

/// Lays sources over each other: what comes later wins.
fn merged(role: Option<Role>, groups: [Vec<Given>; 3]) -> Result<Effective> {
    let shape = Shape::new();
    let mut figment = Figment::new();
    for group in groups {
        let entries = entry::read(&shape, group)?;
        let ignored = |entry: &Entry| role.is_some_and(|role| role.ignores(entry.section()));
        let entries = entries.into_iter().filter(|entry| !ignored(entry));
        for entry in secret_file::resolve(&shape, entries.collect())? {
            figment = figment.merge(entry);
        }
    }
    let settings = figment.extract().map_err(|error| error::explained(&shape, error))?;
    Ok(Effective { settings, figment })
}

fn of_file(file: Option<&Path>) -> Result<Vec<Given>> {
    file.map_or(Ok(Vec::new()), file::read)
}

#[cfg(test)]
mod tests;
