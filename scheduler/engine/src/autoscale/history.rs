//! Fewer workers are wanted only once fewer have been enough for a while.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::{Policy, Wanted, seconds};

/// What was wanted lately; the largest of it holds.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// When so many were wanted: falling numbers, because what is followed by a larger one is not
    /// needed any more.
    falling: VecDeque<(Timestamp, u32)>,
    has_begun: bool,
}

impl History {
    /// How many are wanted at `at`, after what was wanted before. Whoever has no history yet keeps
    /// the `live` ones, as if they had just been wanted.
    #[must_use]
    pub fn settle(&mut self, now: Wanted, live: u32, policy: &Policy, at: Timestamp) -> Wanted {
        let kept = if self.has_begun { 0 } else { live.min(policy.workers_max) };
        self.has_begun = true;
        self.note(at, now.workers.max(kept));
        self.note(at, now.workers);
        self.forget(policy, at);
        let Some(&(since, workers)) = self.falling.front() else { return now };
        if workers <= now.workers {
            return now;
        }
        let Wanted { why, .. } = now;
        let why = format!(
            "{why}; that is {}, but {workers} were needed {} ago, and fewer must do for {}",
            now.workers,
            seconds(at.duration_since(since)),
            seconds(policy.scale_down_after)
        );
        Wanted { workers: workers.min(policy.workers_max).max(policy.workers_min), why }
    }

    fn note(&mut self, at: Timestamp, workers: u32) {
        while self.falling.back().is_some_and(|(_, before)| *before <= workers) {
            self.falling.pop_back();
        }
        self.falling.push_back((at, workers));
    }

    fn forget(&mut self, policy: &Policy, at: Timestamp) {
        let is_over =
            |(since, _): &(Timestamp, u32)| at.duration_since(*since) >= policy.scale_down_after;
        // The last one is that of now.
        while self.falling.len() > 1 && self.falling.front().is_some_and(is_over) {
            self.falling.pop_front();
        }
    }
}
