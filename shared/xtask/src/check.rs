//! `cargo xtask check`: everything that is looked at without running the product.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::steps::Steps;
use crate::{say, test, workspace};

pub(crate) fn run() -> Result<ExitCode> {
    let mut steps = Steps::default();
    let passed = run_steps(&mut steps, true)?;
    eprint!("\n{}", steps.table());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `cargo xtask ci`: one table of both, and the closing line of the tests.
pub(crate) fn run_and_test() -> Result<ExitCode> {
    let mut steps = Steps::default();
    // The rules of the repository are a test, so `test` runs them.
    let passed = run_steps(&mut steps, false)?;
    let outcome = test::run_steps(&test::Arguments::default(), &mut steps);
    test::conclude(&steps, outcome, passed)
}

/// Runs every step, the later ones too when one fails; says whether all passed.
fn run_steps(steps: &mut Steps, with_tidy: bool) -> Result<bool> {
    let everything = workspace::selection(&[])?;
    let mut rustdoc = cargo(&["doc", "--no-deps", "--document-private-items"], &everything);
    rustdoc.env("RUSTDOCFLAGS", "-D warnings");
    let mut clippy = cargo(&["clippy", "--all-targets"], &everything);
    clippy.args(["--", "-D", "warnings"]);
    let mut passed = step(steps, "formatting", &mut cargo(&["fmt", "--all", "--check"], &[]))?;
    passed &= step(steps, "clippy", &mut clippy)?;
    passed &= step(steps, "rustdoc", &mut rustdoc)?;
    if with_tidy {
        let mut tidy = cargo(&["test", "--package", "shared-testkit", "--test", "tidy"], &[]);
        passed &= step(steps, "rules of the repository", &mut tidy)?;
    }
    let deny = &["deny", "check", "--config", ".config/deny.toml"];
    passed &= optional_step(steps, "cargo-deny", deny)?;
    passed &= optional_step(steps, "cargo-machete", &["machete"])?;
    Ok(passed)
}

fn cargo(arguments: &[&str], more: &[String]) -> Command {
    let mut command = workspace::cargo();
    command.args(arguments).args(more).stdin(Stdio::null());
    command
}

fn step(steps: &mut Steps, name: &str, command: &mut Command) -> Result<bool> {
    let status = steps.time(name, || command.status()).context("failed to start `cargo`")?;
    steps.remark(if status.success() { "passed" } else { "FAILED" });
    Ok(status.success())
}

/// A tool that takes minutes to build and so is used where somebody has it.
fn optional_step(steps: &mut Steps, name: &str, arguments: &[&str]) -> Result<bool> {
    let mut probe = cargo(&arguments[..1], &[]);
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        say(&format!(
            "{name} is not installed, so it is left out (`cargo install --locked {name}`)"
        ));
        return Ok(true);
    }
    step(steps, name, &mut cargo(arguments, &[]))
}
