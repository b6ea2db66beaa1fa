//! What happened in a stretch of time.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::figures::{quantiles, sorted};
use super::load::{Ended, Submission};
use crate::serve::now;
use crate::stand::cpu::{self, Spent};
use crate::stand::working::nanoseconds;
use crate::stand::{Entry, Ledger, Moment};

/// What happened while it was measured.
pub(crate) struct Window {
    from: u64,
    to: u64,
    pub(crate) seconds: f64,
    spent: Spent,
    pub(crate) entries: Vec<Entry>,
    pub(crate) written: u64,
}

impl Window {
    /// Looks on for so long. The processes `load` submit, and so cost nothing.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(crate) fn open(ledger: &Ledger, duration: Duration, load: &[u32]) -> Result<Self> {
        let (line, from, began) = (ledger.len(), nanoseconds(), now());
        let (before, wrote) = (Spent::now(load)?, cpu::written_bytes()?);
        std::thread::sleep(duration);
        let spent = Spent::now(load)?.since(&before);
        let written = cpu::written_bytes()?.saturating_sub(wrote);
        let seconds = began.elapsed().as_secs_f64();
        let (entries, to) = (ledger.from(line), nanoseconds());
        Ok(Self { from, to, seconds, spent, entries, written })
    }

    /// Stages whose work was done in it.
    pub(crate) fn stages(&self) -> usize {
        self.entries.iter().filter(|entry| entry.moment == Moment::Done).count()
    }

    /// Processor time in microseconds, of all and of each sort of process.
    pub(crate) fn per_stage(&self) -> Value {
        let stages = self.stages().max(1) as f64;
        let microseconds = |spent: Duration| (spent.as_secs_f64() * 1e6 / stages).round();
        let each = self.spent.0.iter().map(|(sort, spent)| (sort.clone(), microseconds(*spent)));
        let each: serde_json::Map<_, _> = each.map(|(sort, spent)| (sort, spent.into())).collect();
        json!({ "without the load": microseconds(self.spent.total()), "of each": each })
    }

    /// Whether a moment of the machine's clock, in nanoseconds, lies in it.
    pub(crate) fn holds(&self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// Of those that were to be submitted in it: how long until the answer, and until the end.
    pub(super) fn executions(&self, ledger: &Ledger, ended: &Ended) -> Value {
        let inside = ended.submissions.iter().filter(|one| self.holds(one.intended));
        let inside: Vec<_> = inside.collect();
        let since = |at: u64, from: u64| Duration::from_nanos(at.saturating_sub(from));
        let accepted = inside.iter().map(|one| since(one.accepted, one.intended)).collect();
        let finished = ledger.finish_times();
        let whole =
            |one: &&&Submission| finished.get(one.id.as_str()).map(|at| since(*at, one.intended));
        let whole = inside.iter().filter_map(|one| whole(&one)).collect();
        json!({
            "request to answer, ms": quantiles(&sorted(accepted)),
            "request to the work of the last stage, ms": quantiles(&sorted(whole)),
        })
    }
}
