//! `cargo xtask sim`: lives through seeds of the simulated world (`loadtest`), on every core.

use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::workspace;

/// Optimises our own crates. Dependencies stay as they are, so that they are not built once more.
const PROFILE: &str = "profile.dev.opt-level=2";

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("how much").required(true).args(["seeds", "minutes"])))]
pub(crate) struct Arguments {
    /// How many seeds.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// How long, instead.
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// The first seed.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

/// The exit code is 1 if a seed failed.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let kept = workspace::target_folder()?.join("sim-failed.txt");
    let mut command = workspace::cargo();
    command.args(["--config", PROFILE, "run", "--quiet", "--package", "loadtest"]);
    command.args(["--bin", "sim", "--", "--from", &arguments.seed.to_string()]);
    command.arg("--keep").arg(kept);
    if let Some(seeds) = arguments.seeds {
        command.args(["--count", &seeds.to_string()]);
    }
    if let Some(minutes) = arguments.minutes {
        command.args(["--minutes", &minutes.to_string()]);
    }
    let status = command.stdin(Stdio::null()).status().context("failed to start `cargo run`")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2)))
}
