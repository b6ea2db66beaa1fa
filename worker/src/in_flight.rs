//! What is being worked on, and what was lately.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared_model::{AttemptId, Epoch};
use shared_plugin::EndSignal;
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
    /// The worker stops, and it did not end in time: it is to be handed over.
    Draining,
}

/// What becomes of a message that asks for an attempt.
pub(crate) enum Begin {
    /// It begins; the signal tells when it is to end early.
    Now(EndSignal),
    /// It runs here.
    Runs,
    /// It ran here.
    Ended,
}

/// What is known of an attempt's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    /// It is being asked for: there is nothing to renew, nor to lose.
    Asked,
    /// None could be had, and it runs all the same.
    None,
    /// It was granted.
    Granted,
}

#[derive(Clone)]
struct Entry {
    epoch: Epoch,
    end: EndSignal,
    why: Option<Why>,
    lease: Lease,
    /// Ends once its lease guards it, so that its message need not.
    guarded: CancellationToken,
    /// Whether it has to end where nobody can say that its lease lives: what it does is not recognised.
    needs_lease: bool,
    /// Ends when it may begin, where it has to wait for that.
    granted: CancellationToken,
}

impl Entry {
    fn stop(&mut self, why: Why) {
        match (self.why, why) {
            (None, _) | (Some(Why::Draining), Why::Aborted) => self.why = Some(why),
            (Some(_), _) => return,
        }
        match why {
            Why::Aborted => self.end.cancel(),
            // Whoever took it over needs what was made.
            Why::LeaseLost | Why::Draining => self.end.hand_over(),
        }
    }
}

#[derive(Default)]
struct State {
    running: BTreeMap<AttemptId, Entry>,
    ended: Ended,
}

/// The newest attempts that ended here; each is looked for whenever a message comes.
#[derive(Default)]
struct Ended {
    /// The newest epoch of each.
    epochs: BTreeMap<AttemptId, Epoch>,
    /// Oldest first.
    order: VecDeque<(AttemptId, Epoch)>,
}

impl Ended {
    fn note(&mut self, attempt: &AttemptId, epoch: Epoch) {
        let newest = self.epochs.entry(attempt.clone()).or_insert(epoch);
        *newest = epoch.max(*newest);
        self.order.push_back((attempt.clone(), epoch));
        if self.order.len() > REMEMBERED_MAX
            && let Some((oldest, of)) = self.order.pop_front()
            && self.epochs.get(&oldest) == Some(&of)
        {
            self.epochs.remove(&oldest);
        }
    }

    fn has(&self, attempt: &AttemptId, epoch: Epoch) -> bool {
        self.epochs.get(attempt).is_some_and(|newest| *newest >= epoch)
    }
}

/// What is being worked on. Clones are handles on the same list.
#[derive(Clone, Default)]
pub(crate) struct InFlight {
    state: Arc<Mutex<State>>,
}

impl InFlight {
    /// Begins an attempt, unless this epoch of it, or a newer one, runs or ran here already.
    pub(crate) fn begin(
        &self,
        attempt: &AttemptId,
        epoch: Epoch,
        needs_lease: bool,
        guarded: &CancellationToken,
    ) -> Begin {
        let mut state = self.lock();
        if state.running.get(attempt).is_some_and(|entry| entry.epoch >= epoch) {
            return Begin::Runs;
        }
        if state.ended.has(attempt, epoch) {
            return Begin::Ended;
        }
        if let Some(older) = state.running.get_mut(attempt) {
            older.stop(Why::LeaseLost);
        }
        let end = EndSignal::default();
        let granted = CancellationToken::new();
        let entry = Entry {
            epoch,
            end: end.clone(),
            why: None,
            lease: Lease::Asked,
            guarded: guarded.clone(),
            needs_lease,
            granted,
        };
        state.running.insert(attempt.clone(), entry);
        Begin::Now(end)
    }

    /// From here on its lease is renewed, and guards it.
    pub(crate) fn claimed(&self, attempt: &AttemptId, epoch: Epoch) {
        let mut state = self.lock();
        if let Some(entry) = state.running.get_mut(attempt).filter(|entry| entry.epoch == epoch) {
            entry.lease = Lease::Granted;
            entry.guarded.cancel();
        }
    }

    /// It runs although no lease could be had.
    pub(crate) fn unleased(&self, attempt: &AttemptId, epoch: Epoch) {
        let mut state = self.lock();
        if let Some(entry) = state.running.get_mut(attempt).filter(|entry| entry.epoch == epoch) {
            entry.lease = Lease::None;
        }
    }

    /// What runs without a lease.
    pub(crate) fn list_unleased(&self) -> Vec<(AttemptId, Epoch)> {
        self.with(Lease::None)
    }

    /// Whether it runs without a lease.
    pub(crate) fn is_unleased(&self, attempt: &AttemptId, epoch: Epoch) -> bool {
        let state = self.lock();
        let entry = state.running.get(attempt).filter(|entry| entry.epoch == epoch);
        entry.is_some_and(|entry| entry.lease == Lease::None)
    }

    /// Lets an attempt begin.
    pub(crate) fn grant(&self, attempt: &AttemptId, epoch: Epoch) {
        self.granted(attempt, epoch).cancel();
    }

    /// Ends when the attempt may begin; never for one that is not in flight.
    pub(crate) fn granted(&self, attempt: &AttemptId, epoch: Epoch) -> CancellationToken {
        let state = self.lock();
        let entry = state.running.get(attempt).filter(|entry| entry.epoch == epoch);
        entry.map_or_else(CancellationToken::new, |entry| entry.granted.clone())
    }

    /// Ends an attempt.
    pub(crate) fn end(&self, attempt: &AttemptId, epoch: Epoch) {
        let mut state = self.lock();
        if state.running.get(attempt).is_some_and(|entry| entry.epoch == epoch) {
            state.running.remove(attempt);
        }
        state.ended.note(attempt, epoch);
    }

    /// Forgets an attempt that was not begun after all.
    pub(crate) fn forget(&self, attempt: &AttemptId, epoch: Epoch) {
        let mut state = self.lock();
        if state.running.get(attempt).is_some_and(|entry| entry.epoch == epoch) {
            state.running.remove(attempt);
        }
    }

    /// Tells an attempt to end, unless it is of a newer epoch; the first reason counts, but that a
    /// cancel counts for more than a worker that stops.
    pub(crate) fn stop(&self, attempt: &AttemptId, epoch: Epoch, why: Why) {
        let mut state = self.lock();
        if let Some(entry) = state.running.get_mut(attempt).filter(|entry| entry.epoch <= epoch) {
            entry.stop(why);
        }
    }

    /// Tells every attempt to end.
    pub(crate) fn stop_all(&self, why: Why) {
        for entry in self.lock().running.values_mut() {
            entry.stop(why);
        }
    }

    /// Tells those to end that must not go on where nobody can say that their leases live.
    pub(crate) fn stop_those_that_need_leases(&self) {
        for entry in self.lock().running.values_mut().filter(|entry| entry.needs_lease) {
            entry.stop(Why::LeaseLost);
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

    /// Everything in flight whose lease was granted.
    pub(crate) fn list(&self) -> Vec<(AttemptId, Epoch)> {
        self.with(Lease::Granted)
    }

    /// Whether anything is worked on.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().running.is_empty()
    }

    fn with(&self, lease: Lease) -> Vec<(AttemptId, Epoch)> {
        let state = self.lock();
        let found = state.running.iter().filter(|(_, entry)| entry.lease == lease);
        found.map(|(id, entry)| (id.clone(), entry.epoch)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use shared_model::{ExecutionId, StageRef};
    use shared_plugin::Ending;

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
    fn of_those_that_ended_the_oldest_is_forgotten() {
        let mut ended = Ended::default();
        let attempt = |number| AttemptId { number, ..attempt() };
        let count = u32::try_from(REMEMBERED_MAX).unwrap();
        (1..=count).for_each(|number| ended.note(&attempt(number), Epoch(1)));
        // Heard of again, the first is not the oldest any more.
        ended.note(&attempt(1), Epoch(2));
        assert!(ended.has(&attempt(1), Epoch(2)));
        ended.note(&attempt(count + 1), Epoch(1));
        assert!(!ended.has(&attempt(2), Epoch(1)));
        assert!(ended.has(&attempt(3), Epoch(1)));
        assert_eq!((ended.epochs.len(), ended.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }

    fn begin(list: &InFlight, epoch: u64) -> Begin {
        list.begin(&attempt(), Epoch(epoch), false, &CancellationToken::new())
    }

    #[test]
    fn a_message_that_comes_twice_begins_once() {
        let list = InFlight::default();
        assert!(matches!(begin(&list, 3), Begin::Now(_)));
        assert!(matches!(begin(&list, 3), Begin::Runs));
        list.end(&attempt(), Epoch(3));
        assert!(matches!(begin(&list, 3), Begin::Ended));
        assert!(matches!(begin(&list, 4), Begin::Now(_)), "a takeover");
    }

    #[test]
    fn a_word_about_an_older_epoch_does_not_end_a_newer_one() {
        let list = InFlight::default();
        let Begin::Now(running) = begin(&list, 2) else { panic!("it is new") };
        list.stop(&attempt(), Epoch(1), Why::Aborted);
        assert_eq!(running.why(), None);
        list.stop(&attempt(), Epoch(2), Why::Aborted);
        assert_eq!(running.why(), Some(Ending::Cancel));
    }

    #[test]
    fn a_cancel_counts_for_more_than_a_worker_that_stops() {
        let list = InFlight::default();
        let Begin::Now(running) = begin(&list, 1) else { panic!("it is new") };
        list.stop_all(Why::Draining);
        list.stop(&attempt(), Epoch(1), Why::LeaseLost);
        assert_eq!(list.why(&attempt(), Epoch(1)), Some(Why::Draining));
        assert_eq!(running.why(), Some(Ending::HandOver));
        list.stop(&attempt(), Epoch(1), Why::Aborted);
        list.stop_all(Why::Draining);
        assert_eq!(list.why(&attempt(), Epoch(1)), Some(Why::Aborted));
        assert_eq!(running.why(), Some(Ending::Cancel));
    }

    #[test]
    fn a_takeover_ends_the_older_one_whose_answer_is_not_wanted() {
        let list = InFlight::default();
        let Begin::Now(old) = begin(&list, 1) else { panic!("it is new") };
        assert!(matches!(begin(&list, 2), Begin::Now(_)));
        assert_eq!(old.why(), Some(Ending::HandOver), "nothing is undone that the newer one needs");
        assert_eq!(list.why(&attempt(), Epoch(1)), Some(Why::LeaseLost));
        assert_eq!(list.why(&attempt(), Epoch(2)), None);
    }
}
