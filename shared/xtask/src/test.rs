//! `cargo xtask test`: every test of the workspace, those on the real servers included.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use shared_testkit::{Stack, env, install};

use crate::interrupt::Interrupt;
use crate::steps::Steps;
use crate::workspace;
use crate::{previous, say, sim};

mod child;
mod report;

use child::{Ended, Watch};
use report::Report;

/// Built within this time, or something hangs. A cold build takes about ten minutes on two cores.
const BUILD_MAX: Duration = Duration::from_secs(45 * 60);
/// All tests together; a slow machine takes twice as long as a fast one.
const TESTS_MAX: Duration = Duration::from_secs(60 * 60);
/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Only tests whose name contains one of these.
    filters: Vec<String>,
    /// Only the tests of this package; may be repeated.
    #[arg(long = "package", short = 'p', value_name = "NAME")]
    packages: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut steps = Steps::default();
    let outcome = run_steps(arguments, &mut steps);
    conclude(&steps, outcome, true)
}

/// What is known when the tests have run.
pub(crate) struct Outcome {
    report: Report,
    ended: Ended,
}

/// Prints the table and the closing line; the exit code is that of the tests and of what came before.
pub(crate) fn conclude(steps: &Steps, outcome: Result<Outcome>, before: bool) -> Result<ExitCode> {
    eprint!("\n{}", steps.table());
    let Outcome { report, ended } = outcome?;
    writeln!(std::io::stdout().lock(), "{} passed, {} failed", report.passed(), report.failed())?;
    Ok(match ended {
        Ended::Interrupted => ExitCode::from(INTERRUPTED),
        Ended::Success if before && report.failed() == 0 => ExitCode::SUCCESS,
        Ended::Success | Ended::Failure => ExitCode::FAILURE,
    })
}

/// Installs, starts, builds, tests, stops. The servers are stopped however the tests end.
pub(crate) fn run_steps(arguments: &Arguments, steps: &mut Steps) -> Result<Outcome> {
    let interrupt = Interrupt::listen()?;
    let selection = workspace::selection(&arguments.packages)?;
    let tools = steps.time("install tools", || install::ensure_all(&mut say))?;
    let previous = needs_previous(&arguments.packages)
        .then(|| steps.time("build the commit before", previous::ensure))
        .transpose()?;
    let mut report = Report::default();
    let built = steps.time("build the tests", || {
        let mut command = workspace::cargo();
        command.args(["test", "--no-run"]).args(&selection);
        let mut shown = std::io::stderr();
        Watch::new(BUILD_MAX, &interrupt, &mut shown, &mut report).run(&mut command)
    })?;
    if !matches!(built, Ended::Success) {
        report.add_failure("build");
        return Ok(Outcome { report, ended: built });
    }
    let stack = steps.time("start the servers", || Stack::start(&tools))?;
    let mut variables = stack.addresses().variables();
    variables.extend(previous.map(|program| (env::PREVIOUS, program.display().to_string())));
    variables.push((env::FIRST_SEED, sim::first_seed()?.to_string()));
    let ended = run_tests(arguments, &selection, variables, &interrupt, &mut report);
    for target in report.targets() {
        steps.note(&target.name, target.took, target.summary());
    }
    steps.time("stop the servers", || stack.stop())?;
    Ok(Outcome { ended: ended?, report })
}

/// The tests of the program restart from it.
fn needs_previous(packages: &[String]) -> bool {
    packages.is_empty() || packages.iter().any(|package| package == "scheduler-cli")
}

fn run_tests(
    arguments: &Arguments,
    selection: &[String],
    variables: Vec<(&str, String)>,
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<Ended> {
    say("run the tests");
    let mut command = workspace::cargo();
    command.args(["test", "--no-fail-fast"]).args(selection);
    command.envs(variables).env("RUST_BACKTRACE", "1");
    command.arg("--").args(&arguments.filters);
    let mut shown = std::io::stderr();
    let mut watch = Watch::new(TESTS_MAX, interrupt, &mut shown, report);
    watch.run(&mut command).context("failed to run the tests")
}
