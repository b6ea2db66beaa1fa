//! Tokio's paused clock as the product's clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use shared_ports::Clock;
use tokio::time::Instant;

/// When every world begins: 2026-01-01T00:00:00Z, in seconds.
const BEGIN_SECONDS: i64 = 1_767_225_600;

/// Tokio's clock; where it is paused, time jumps to the next timer.
pub struct SimClock {
    begin: Instant,
    ids: AtomicU64,
}

impl SimClock {
    /// One that begins now, in tokio's time.
    pub fn begin() -> Self {
        Self { begin: Instant::now(), ids: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let begin = Timestamp::from_second(BEGIN_SECONDS).unwrap_or(Timestamp::UNIX_EPOCH);
        begin.checked_add(self.elapsed()).unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn new_id(&self) -> String {
        format!("{:026}", self.ids.fetch_add(1, Ordering::Relaxed))
    }
}
