//! Workers that stopped answering while they had an attempt. The engine counts them; the stage's
//! context has their names, so that whoever looks at work that kills worker after worker knows where.

use jiff::Timestamp;
use scheduler_engine::event::{AttemptKey, StageIndex};
use serde_json::{Value, json};
use shared_model::{Epoch, Object, WorkerId};
use shared_ports::journal::StageBody;

use super::fold;
use super::loaded::Loaded;

/// Where they stand in a stage's context.
const KEY: &str = "lostWorkers";
/// Of how many a stage knows; the oldest go first.
const KEPT_MAX: usize = 20;

/// An attempt whose worker stopped answering.
#[derive(Clone)]
pub(crate) struct Lost {
    attempt: AttemptKey,
    worker: WorkerId,
    pub(crate) epoch: Epoch,
    /// Since when that worker had it.
    pub(crate) since: Timestamp,
}

impl Lost {
    /// The attempt that a worker has, as long as it is known which epoch of it: before the event that
    /// says it is lost.
    pub(crate) fn held(loaded: &Loaded, attempt: AttemptKey, epoch: Epoch) -> Option<Self> {
        let flight = loaded.engine.flight(attempt.stage);
        let held = flight.filter(|flight| flight.attempt == attempt && flight.epoch == epoch)?;
        let task = loaded.engine.stage(attempt.stage).task(attempt.task);
        let (worker, since) = (task.worker()?.clone(), held.since);
        Some(Self { attempt, worker, epoch, since })
    }

    /// Whose attempt it is.
    pub(crate) fn stage(&self) -> StageIndex {
        self.attempt.stage
    }

    /// Writes it into its stage's context.
    pub(crate) fn note(&self, body: &mut StageBody, at: Timestamp) {
        let mut list = entries(body).to_vec();
        list.push(json!({
            "worker": self.worker.as_str(),
            "run": self.attempt.run,
            "task": self.attempt.task,
            "attempt": self.attempt.number,
            "since": self.since,
            "lost": at,
        }));
        let kept = list.split_off(list.len().saturating_sub(KEPT_MAX));
        fold::patch(body, &Object::from_iter([(KEY.to_owned(), Value::Array(kept))]));
    }

    /// Everybody who was lost with this attempt, and when, for people.
    pub(crate) fn told(&self, body: &StageBody) -> String {
        let AttemptKey { run, task, number, .. } = self.attempt;
        let of_it = |entry: &&Value| {
            (&entry["run"], &entry["task"], &entry["attempt"])
                == (&json!(run), &json!(task), &json!(number))
        };
        let words = entries(body).iter().filter(of_it).filter_map(|entry| {
            let at: Timestamp = entry["lost"].as_str()?.parse().ok()?;
            Some(format!("{} (at {at:.0})", entry["worker"].as_str()?))
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

fn entries(body: &StageBody) -> &[Value] {
    body.context.get(KEY).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_were_lost_with_an_attempt_are_told_and_no_others() {
        let mut body = StageBody::default();
        let lost = |worker: &str, number: u32| Lost {
            attempt: AttemptKey { stage: 0, run: 1, task: 0, number },
            worker: WorkerId::new(worker),
            epoch: Epoch(1),
            since: Timestamp::UNIX_EPOCH,
        };
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        lost("worker-1", 1).note(&mut body, at(1));
        lost("worker-7", 2).note(&mut body, at(63));
        let last = lost("worker-2", 2);
        last.note(&mut body, at(120));
        assert_eq!(
            last.told(&body),
            "worker-7 (at 1970-01-01T00:01:03Z), worker-2 (at 1970-01-01T00:02:00Z)"
        );
        (0..100).for_each(|second| last.note(&mut body, at(second)));
        assert_eq!(entries(&body).len(), KEPT_MAX);
    }
}
