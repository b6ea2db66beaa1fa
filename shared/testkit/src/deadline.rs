//! Limits on waiting, and measured time.
//!
//! This crate starts real servers, so it waits on the real monotone clock and not on the `Clock`
//! port; this is the one place that reads it.

use std::time::{Duration, Instant};

/// How long between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(50);

/// A running clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "the test stack waits in real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The end of a wait.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    started: Stopwatch,
    limit: Duration,
}

impl Deadline {
    /// Ends `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self { started: Stopwatch::start(), limit }
    }

    /// Whether the time is over.
    pub fn has_passed(&self) -> bool {
        self.started.elapsed() >= self.limit
    }

    /// The whole time that was allowed.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Looks until `ready` gives something or the time is over.
    ///
    /// # Errors
    /// What `ready` returns as an error, at once.
    pub fn poll<T, E>(
        &self,
        mut ready: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        loop {
            if let Some(found) = ready()? {
                return Ok(Some(found));
            }
            if self.has_passed() {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_its_limit() {
        let deadline = Deadline::after(Duration::from_millis(1));
        assert_eq!(deadline.poll(|| Ok::<Option<()>, ()>(None)), Ok(None));
    }

    #[test]
    fn an_error_ends_a_wait_at_once() {
        let deadline = Deadline::after(Duration::from_secs(3600));
        assert_eq!(deadline.poll(|| Err::<Option<()>, _>("gone")), Err("gone"));
    }
}
