//! What is being worked on, and what was lately.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared_model::{AttemptId, Epoch};
use tokio_util::sync::CancellationToken;

/// Attempts that are remembered after they ended, so that a message that comes twice is known.
const REMEMBERED_MAX: usize = 10_000;

/// Why an attempt is to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The execution was cancelled or its time is up: the answer is wanted.
    Aborted,
    /// Its lease is gone: the answer is not wanted.
    LeaseLost,
    /// The worker stops: it is to be handed over.
    Draining,
}

#[derive(Clone)]
struct Entry {
    epoch: Epoch,
    cancel: CancellationToken,
    why: Option<Why>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<AttemptId, Entry>,
    ended: VecDeque<(AttemptId, Epoch)>,
}

/// What is being worked on. Clones are handles on the same list.
#[derive(Clone, Default)]
pub(crate) struct InFlight {
    state: Arc<Mutex<State>>,
}

impl InFlight {
    /// Begins an attempt; `None` if this epoch of it, or a newer one, runs or ran here already.
    pub(crate) fn begin(&self, attempt: &AttemptId, epoch: Epoch) -> Option<CancellationToken> {
        let mut state = self.lock();
        let running = state.running.get(attempt).is_some_and(|entry| entry.epoch >= epoch);
        let ended = state.ended.iter().any(|(id, old)| id == attempt && *old >= epoch);
        if running || ended {
            return None;
        }
        if let Some(older) = state.running.get_mut(attempt) {
            older.why = Some(Why::LeaseLost);
            older.cancel.cancel();
        }
        let cancel = CancellationToken::new();
        let entry = Entry { epoch, cancel: cancel.clone(), why: None };
        state.running.insert(attempt.clone(), entry);
        Some(cancel)
    }

    /// Ends an attempt.
    pub(crate) fn end(&self, attempt: &AttemptId, epoch: Epoch) {
        let mut state = self.lock();
        if state.running.get(attempt).is_some_and(|entry| entry.epoch == epoch) {
            state.running.remove(attempt);
        }
        state.ended.push_back((attempt.clone(), epoch));
        if state.ended.len() > REMEMBERED_MAX {
            state.ended.pop_front();
        }
    }

    /// Forgets an attempt that was not begun after all.
    pub(crate) fn forget(&self, attempt: &AttemptId, epoch: Epoch) {
        let mut state = self.lock();
        if state.running.get(attempt).is_some_and(|entry| entry.epoch == epoch) {
            state.running.remove(attempt);
        }
    }

    /// Tells an attempt to end; the first reason counts.
    pub(crate) fn stop(&self, attempt: &AttemptId, why: Why) {
        if let Some(entry) = self.lock().running.get_mut(attempt) {
            entry.why.get_or_insert(why);
            entry.cancel.cancel();
        }
    }

    /// Tells every attempt to end.
    pub(crate) fn stop_all(&self, why: Why) {
        for entry in self.lock().running.values_mut() {
            entry.why.get_or_insert(why);
            entry.cancel.cancel();
        }
    }

    /// Why an attempt was told to end, if it was.
    pub(crate) fn why(&self, attempt: &AttemptId, epoch: Epoch) -> Option<Why> {
        let state = self.lock();
        match state.running.get(attempt) {
            Some(entry) if entry.epoch == epoch => entry.why,
            Some(_) | None => Some(Why::LeaseLost),
        }
    }

    /// Everything in flight.
    pub(crate) fn list(&self) -> Vec<(AttemptId, Epoch)> {
        self.lock().running.iter().map(|(id, entry)| (id.clone(), entry.epoch)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use shared_model::{ExecutionId, StageRef};

    use super::*;

    fn attempt() -> AttemptId {
        AttemptId {
            execution: ExecutionId::new("e"),
            stage: StageRef::new("1"),
            run: 1,
            task: 0,
            number: 1,
        }
    }

    #[test]
    fn a_message_that_comes_twice_begins_once() {
        let list = InFlight::default();
        assert!(list.begin(&attempt(), Epoch(3)).is_some());
        assert!(list.begin(&attempt(), Epoch(3)).is_none(), "while it runs");
        list.end(&attempt(), Epoch(3));
        assert!(list.begin(&attempt(), Epoch(3)).is_none(), "after it ended");
        assert!(list.begin(&attempt(), Epoch(4)).is_some(), "a takeover");
    }

    #[test]
    fn a_takeover_ends_the_older_one_whose_answer_is_not_wanted() {
        let list = InFlight::default();
        let old = list.begin(&attempt(), Epoch(1)).unwrap();
        assert!(list.begin(&attempt(), Epoch(2)).is_some());
        assert!(old.is_cancelled());
        assert_eq!(list.why(&attempt(), Epoch(1)), Some(Why::LeaseLost));
        assert_eq!(list.why(&attempt(), Epoch(2)), None);
    }
}
