use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

use crate::Clock;

/// A clock that stands still until it is wound.
///
/// Sleepers are woken in the order of their time, those of the same time in the order in which
/// they went to sleep. Ids count up, so two runs that do the same get the same ids.
#[derive(Debug)]
pub struct SimClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    elapsed: Duration,
    /// What the wall clock shows when `elapsed` is zero.
    origin: Timestamp,
    sleepers: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
    last_sleeper: u64,
    last_id: u64,
}

impl Default for SimClock {
    /// Begins on 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::constant(1_767_225_600, 0))
    }
}

impl SimClock {
    /// A clock whose wall clock shows `origin`.
    pub fn new(origin: Timestamp) -> Self {
        let (elapsed, sleepers) = (Duration::ZERO, BTreeMap::new());
        Self { state: Mutex::new(State { elapsed, origin, sleepers, last_sleeper: 0, last_id: 0 }) }
    }

    /// Lets time pass at once and wakes who slept until then. Whoever goes to sleep again only
    /// after this call counts from its end; to step through every wake-up use
    /// [`SimClock::advance_to_next`].
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        let end = state.elapsed.saturating_add(by);
        while let Some(due) = state.next_due().filter(|due| *due <= end) {
            state.elapsed = state.elapsed.max(due);
            state.wake_first();
        }
        state.elapsed = end;
    }

    /// Lets time pass until the next sleeper's time, and wakes that one alone. Says how much time
    /// that was; `None` if nobody sleeps.
    pub fn advance_to_next(&self) -> Option<Duration> {
        let mut state = self.lock();
        let before = state.elapsed;
        let due = state.next_due()?;
        state.elapsed = before.max(due);
        state.wake_first();
        Some(state.elapsed - before)
    }

    /// How long until the next sleeper's time; `None` if nobody sleeps.
    pub fn until_next(&self) -> Option<Duration> {
        let mut state = self.lock();
        let due = state.next_due()?;
        Some(due.saturating_sub(state.elapsed))
    }

    /// Moves the wall clock alone, as an administrator or a time server does.
    pub fn jump(&self, by: SignedDuration) {
        let mut state = self.lock();
        state.origin = state.origin.saturating_add(by).unwrap_or(state.origin);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let state = self.lock();
        state.origin.saturating_add(state.elapsed).unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }

    async fn sleep(&self, duration: Duration) {
        if duration.is_zero() {
            return;
        }
        let woken = self.lock().fall_asleep(duration);
        if woken.await.is_err() {
            // The clock is gone and its time with it: nothing will ever wake us.
            std::future::pending::<()>().await;
        }
    }

    fn new_id(&self) -> String {
        let mut state = self.lock();
        state.last_id += 1;
        format!("sim-{:012}", state.last_id)
    }
}

impl State {
    fn fall_asleep(&mut self, duration: Duration) -> oneshot::Receiver<()> {
        let (waker, woken) = oneshot::channel();
        self.last_sleeper += 1;
        let due = self.elapsed.saturating_add(duration);
        self.sleepers.insert((due, self.last_sleeper), waker);
        woken
    }

    /// When the next sleeper that is still there wants to be woken.
    fn next_due(&mut self) -> Option<Duration> {
        while let Some(entry) = self.sleepers.first_entry() {
            if !entry.get().is_closed() {
                return Some(entry.key().0);
            }
            entry.remove();
        }
        None
    }

    fn wake_first(&mut self) {
        if let Some((_, waker)) = self.sleepers.pop_first() {
            // It may have gone away just now.
            let _ = waker.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn sleepers_wake_in_order_and_not_before_their_time() {
        let clock = SimClock::default();
        let mut late = clock.sleep(Duration::from_secs(3));
        let mut early = clock.sleep(Duration::from_secs(1));
        assert_eq!((&mut late).now_or_never(), None);
        assert_eq!((&mut early).now_or_never(), None);
        assert_eq!(clock.advance_to_next(), Some(Duration::from_secs(1)));
        assert_eq!((&mut late).now_or_never(), None);
        assert_eq!((&mut early).now_or_never(), Some(()));
        clock.advance(Duration::from_secs(1));
        assert_eq!((&mut late).now_or_never(), None);
        assert_eq!(clock.until_next(), Some(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(late.now_or_never(), Some(()));
        assert_eq!(clock.elapsed(), Duration::from_secs(3));
        assert_eq!(clock.now().to_string(), "2026-01-01T00:00:03Z");
    }

    #[test]
    fn a_sleeper_that_went_away_is_not_waited_for() {
        let clock = SimClock::default();
        let mut gone = clock.sleep(Duration::from_secs(1));
        assert_eq!((&mut gone).now_or_never(), None);
        drop(gone);
        assert_eq!(clock.advance_to_next(), None);
    }

    #[test]
    fn the_wall_clock_jumps_and_durations_do_not() {
        let clock = SimClock::default();
        clock.advance(Duration::from_secs(5));
        clock.jump(SignedDuration::from_hours(-1));
        assert_eq!(clock.now().to_string(), "2025-12-31T23:00:05Z");
        assert_eq!(clock.elapsed(), Duration::from_secs(5));
    }
}
