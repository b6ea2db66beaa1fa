//! Armed timers of all loaded executions, by time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use scheduler_engine::event::Timer;
use shared_model::ExecutionId;

/// Armed timers: at most one of each kind per execution, the newest time counts.
#[derive(Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Timestamp, ExecutionId, Timer)>,
    armed: BTreeMap<(ExecutionId, Timer), Timestamp>,
}

impl Timers {
    /// Arms a timer, in place of an earlier time of it.
    pub(crate) fn arm(&mut self, execution: &ExecutionId, timer: Timer, at: Timestamp) {
        if let Some(old) = self.armed.insert((execution.clone(), timer), at) {
            self.by_time.remove(&(old, execution.clone(), timer));
        }
        self.by_time.insert((at, execution.clone(), timer));
    }

    /// Forgets an execution's timers.
    pub(crate) fn forget(&mut self, execution: &ExecutionId) {
        let armed: Vec<_> = self
            .armed
            .range((execution.clone(), Timer::Wait(0))..)
            .take_while(|((id, _), _)| id == execution)
            .map(|((_, timer), at)| (*timer, *at))
            .collect();
        for (timer, at) in armed {
            self.armed.remove(&(execution.clone(), timer));
            self.by_time.remove(&(at, execution.clone(), timer));
        }
    }

    /// How many are armed.
    pub(crate) fn len(&self) -> usize {
        self.armed.len()
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _, _)| *at)
    }

    /// Takes one that is due.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<(ExecutionId, Timer)> {
        if self.next()? > now {
            return None;
        }
        let (_, execution, timer) = self.by_time.pop_first()?;
        self.armed.remove(&(execution.clone(), timer));
        Some((execution, timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_newest_time_of_a_timer_counts() {
        let (mut timers, e) = (Timers::default(), ExecutionId::new("e"));
        timers.arm(&e, Timer::Wait(1), at(10));
        timers.arm(&e, Timer::Wait(1), at(20));
        assert_eq!(timers.take_due(at(15)), None);
        assert_eq!(timers.take_due(at(20)), Some((e, Timer::Wait(1))));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn an_execution_is_forgotten_with_all_its_timers_and_no_others() {
        let mut timers = Timers::default();
        for id in ["a", "b", "c"] {
            timers.arm(&ExecutionId::new(id), Timer::Wait(0), at(1));
            timers.arm(&ExecutionId::new(id), Timer::Abort(7), at(2));
        }
        timers.forget(&ExecutionId::new("b"));
        let mut left = Vec::new();
        while let Some((id, _)) = timers.take_due(at(9)) {
            left.push(id.to_string());
        }
        assert_eq!(left, ["a", "c", "a", "c"]);
    }
}
