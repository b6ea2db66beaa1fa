//! Times out of a ledger.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::stand::{Entry, Moment};

/// From the end of each stage to the beginning of the one behind it, sorted.
pub(crate) fn between_stages(entries: &[Entry]) -> Vec<Duration> {
    let mut done: BTreeMap<(Arc<str>, u32), u64> = BTreeMap::new();
    let mut found = Vec::new();
    let mut ordered: Vec<&Entry> = entries.iter().collect();
    ordered.sort_by_key(|entry| entry.at);
    for entry in ordered {
        let execution = Arc::clone(&entry.execution);
        match entry.moment {
            Moment::Done => drop(done.insert((execution, entry.stage), entry.at)),
            Moment::Began => {
                let before = entry.stage.checked_sub(1);
                let at = before.and_then(|before| done.remove(&(execution, before)));
                found.extend(at.map(|at| Duration::from_nanos(entry.at.saturating_sub(at))));
            }
        }
    }
    found.sort();
    found
}

/// From the death of a worker to the next beginning of each piece of work that it had not done, which
/// the entries from `from` on tell of.
pub(super) fn again(entries: &[Entry], from: usize, worker: u32, at: u64) -> Vec<Duration> {
    let of_it = entries.iter().filter(|entry| entry.worker == worker);
    let mut open: BTreeMap<(Arc<str>, u32), ()> = BTreeMap::new();
    for entry in of_it {
        let key = (Arc::clone(&entry.execution), entry.stage);
        match entry.moment {
            Moment::Began => drop(open.insert(key, ())),
            Moment::Done => drop(open.remove(&key)),
        }
    }
    let later = entries[from..]
        .iter()
        .filter(|entry| entry.worker != worker && entry.moment == Moment::Began && entry.at >= at);
    let again =
        later.filter(|entry| open.remove(&(Arc::clone(&entry.execution), entry.stage)).is_some());
    again.map(|entry| Duration::from_nanos(entry.at - at)).collect()
}

pub(crate) fn sorted(mut durations: Vec<Duration>) -> Vec<Duration> {
    durations.sort();
    durations
}

/// Of sorted times, in milliseconds; of none at all, nothing is known.
pub(crate) fn quantiles(sorted: &[Duration]) -> Value {
    let at = |share: f64| {
        let place = (sorted.len() as f64 * share) as usize;
        let found = sorted.get(place.min(sorted.len().saturating_sub(1)))?;
        Some((found.as_secs_f64() * 100_000.0).round() / 100.0)
    };
    json!({
        "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p99.9": at(0.999), "most": at(1.0),
        "of": sorted.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stage: u32, moment: Moment, at: u64, worker: u32) -> Entry {
        Entry { execution: "e".into(), stage, moment, at, worker }
    }

    #[test]
    fn the_next_stage_is_what_counts() {
        let entries = [
            entry(0, Moment::Began, 5, 1),
            entry(0, Moment::Done, 10, 1),
            entry(1, Moment::Began, 17, 2),
            entry(1, Moment::Done, 18, 2),
        ];
        assert_eq!(between_stages(&entries), [Duration::from_nanos(7)]);
    }

    #[test]
    fn of_nothing_nothing_is_known() {
        let none = json!({
            "p50": null, "p90": null, "p99": null, "p99.9": null, "most": null, "of": 0,
        });
        assert_eq!(quantiles(&[]), none);
        assert_eq!(quantiles(&[Duration::from_millis(3)])["p99"], 3.0);
    }

    #[test]
    fn work_that_was_done_is_not_waited_for() {
        let entries = [
            entry(0, Moment::Began, 5, 1),
            entry(0, Moment::Done, 10, 1),
            entry(1, Moment::Began, 17, 1),
            entry(2, Moment::Began, 25, 2),
            entry(1, Moment::Began, 30, 2),
        ];
        assert_eq!(again(&entries, 3, 1, 20), [Duration::from_nanos(10)]);
    }
}
