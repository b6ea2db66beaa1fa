//! Whoever does the work: what is asked of each of them, and how it is measured.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use shared_testkit::deadline::Deadline;

use super::trial::Trial;
use crate::stand::Ledger;
use crate::workload::figures::{between_stages, quantiles, sorted};
use crate::workload::graph::Graph;
use crate::workload::load::check;
use crate::workload::window::Window;

/// How long it runs before anything is counted.
const WARM_UP: Duration = Duration::from_secs(3);
/// How long what workers said may be under way to the ledger.
const SAID_LIMIT: Duration = Duration::from_secs(10);

/// One execution, with nanoseconds of the machine's clock.
#[derive(Debug, Clone)]
pub(super) struct Execution {
    /// As the ledger calls it.
    pub(super) id: String,
    /// When it was to be submitted.
    pub(super) began: u64,
    /// When whoever submitted it saw that it had ended; unless nobody looked.
    pub(super) ended: Option<u64>,
}

/// Servers, workers, and whoever submits to them.
pub(super) trait Contestant {
    /// Versions and settings, for people.
    fn about(&self) -> Value;

    /// What its workers say.
    fn ledger(&self) -> &Ledger;

    /// The processes of those who submit.
    fn load(&self) -> Vec<u32>;

    /// How many stages one execution has.
    fn stages(&self, trial: Trial) -> usize;

    /// Submits, from now on.
    fn begin(&mut self, trial: Trial) -> Result<()>;

    /// Submits no more, waits until everything has ended, and says what that was.
    fn end(&mut self) -> Result<Vec<Execution>>;
}

/// Runs a trial and verifies it; the figures by name.
pub(super) fn measure(who: &mut dyn Contestant, trial: Trial, duration: Duration) -> Result<Value> {
    who.ledger().clear();
    who.begin(trial)?;
    std::thread::sleep(WARM_UP);
    let window = Window::open(who.ledger(), duration, &who.load())?;
    let executions = who.end()?;
    let stages = who.stages(trial);
    verify(who.ledger(), &executions, stages)?;
    ensure!(window.stages() > 0, "no stage was worked on in {duration:?}");
    let mut figures = json!({
        "stages per second": (window.stages() as f64 / window.seconds).round(),
        "CPU per stage, us": window.per_stage(),
        "verified": { "executions": executions.len(), "stages": executions.len() * stages },
    });
    latencies(&mut figures, who.ledger(), &window, &executions);
    if matches!(trial.graph(), Graph::Chain { stages: 2.. }) {
        figures["stage to next stage, ms"] = quantiles(&between_stages(&window.entries));
    }
    Ok(figures)
}

/// Whether every stage of what was submitted was worked on once, and nothing else was.
fn verify(ledger: &Ledger, executions: &[Execution], stages: usize) -> Result<()> {
    let ids: BTreeSet<&str> = executions.iter().map(|one| one.id.as_str()).collect();
    ensure!(ids.len() == executions.len(), "two executions have one id");
    let expected = executions.len() * stages;
    // Each says that it begins and that it is done.
    let said = || Ok::<_, anyhow::Error>((ledger.len() >= expected * 2).then_some(()));
    // Where something is missing, the check says so.
    let _late = Deadline::after(SAID_LIMIT).poll(said)?;
    let repeated = check(ledger, &ids, stages)?;
    ensure!(repeated == 0, "{repeated} stages of {expected} were worked on twice");
    Ok(())
}

fn latencies(figures: &mut Value, ledger: &Ledger, window: &Window, executions: &[Execution]) {
    let since = |at: u64, from: u64| Duration::from_nanos(at.saturating_sub(from));
    let inside = || executions.iter().filter(|one| window.holds(one.began));
    let finished = ledger.finish_times();
    let last = |one: &Execution| Some(since(*finished.get(one.id.as_str())?, one.began));
    let last = sorted(inside().filter_map(last).collect());
    figures["request to the last stage, ms"] = quantiles(&last);
    let end = sorted(inside().filter_map(|one| Some(since(one.ended?, one.began))).collect());
    if !end.is_empty() {
        figures["request to the end, ms"] = quantiles(&end);
    }
}
