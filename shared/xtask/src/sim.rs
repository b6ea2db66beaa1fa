//! `cargo xtask sim`: lives through seeds of the simulated world (`loadtest`), on every core.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use shared_testkit::env;

use crate::workspace;

/// The profile of the workspace that is meant for it.
const PROFILE: &str = "sim";

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
    /// How many at once; as many as there are cores unless it is said.
    #[arg(long, value_name = "T")]
    threads: Option<std::num::NonZero<usize>>,
}

/// The exit code is 1 if a seed failed.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let kept = workspace::target_folder()?.join("sim-failed.txt");
    let mut command = workspace::cargo();
    command.args(["run", "--profile", PROFILE, "--quiet", "--package", "loadtest"]);
    command.args(["--bin", "sim", "--", "--from", &arguments.seed.to_string()]);
    command.arg("--shrink").arg("--keep").arg(kept);
    if let Some(threads) = arguments.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    if let Some(seeds) = arguments.seeds {
        command.args(["--count", &seeds.to_string()]);
    }
    if let Some(minutes) = arguments.minutes {
        command.args(["--minutes", &minutes.to_string()]);
    }
    let status = command.stdin(Stdio::null()).status().context("failed to start `cargo run`")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2)))
}

/// The seed with which the tests of this commit begin: another one for each commit.
pub(crate) fn first_seed() -> Result<u64> {
    let head = Command::new("git")
        .args(["-c", "safe.directory=*", "rev-parse", "--verify", "HEAD"])
        .current_dir(env::checkout())
        .output()
        .context("failed to start git")?;
    Ok(seed_of(&String::from_utf8_lossy(&head.stdout)))
}

/// A commit's id as a seed; 0 where there is none.
fn seed_of(commit: &str) -> u64 {
    let first = commit.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    first.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_a_seed() {
        assert_eq!(seed_of("0000010f93242a932421107bd5d0f1f6d5e0a0b1\n"), 0x10f);
        assert_eq!(seed_of(""), 0);
    }
}
