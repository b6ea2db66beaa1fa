//! What somebody gave, before it is known what it means.

use std::ffi::OsString;

use anyhow::{Result, bail};
use serde_json::Value;

use super::PREFIX;

/// A setting as it was given.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// Where it belongs, from its section on.
    pub(super) path: Vec<String>,
    pub(super) value: Text,
    /// Where it was given: `capstan.toml`, `CAPSTAN__WORKER__SLOTS`, `--slots`.
    pub(super) source: String,
}

/// Text whose kind is not known, or a value of a file, which has one.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Raw(String),
    Typed(Value),
}

impl Given {
    /// By a flag of its own.
    pub(crate) fn flag(flag: &str, key: &str, value: impl ToString) -> Self {
        let value = Text::Raw(value.to_string());
        Self { path: path(key), value, source: flag.to_owned() }
    }

    /// A name for a context of the kubeconfig, which may have dots in it.
    pub(crate) fn account(name: &str, context: &str) -> Self {
        let path = ["worker", "accounts", name].map(str::to_owned).to_vec();
        Self { path, value: Text::Raw(context.to_owned()), source: "--account".to_owned() }
    }

    /// By `--set`.
    pub(super) fn set(key: &str, value: &str) -> Self {
        Self { path: path(key), value: Text::Raw(value.to_owned()), source: "--set".to_owned() }
    }
}

/// What the environment has.
///
/// # Errors
/// If one of our variables is not UTF-8.
pub(super) fn of_environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Given>> {
    let mut given = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Ok(value) = value.into_string() else { bail!("{name} is not UTF-8") };
        let path = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        given.push(Given { path, value: Text::Raw(value), source: name.to_owned() });
    }
    // Whatever the order of the environment: what is wrong is told in the same order.
    given.sort_by(|one, other| one.source.cmp(&other.source));
    Ok(given)
}

fn path(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}
