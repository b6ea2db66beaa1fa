//! Tokio's paused clock as the product's clock: time jumps to the next timer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use shared_ports::Clock;
use tokio::time::Instant;

pub(crate) struct PausedClock(Instant, AtomicU64);

impl PausedClock {
    pub(crate) fn begin() -> Self {
        Self(Instant::now(), AtomicU64::new(0))
    }
}

#[async_trait]
impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH.checked_add(self.elapsed()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn new_id(&self) -> String {
        format!("id-{}", self.1.fetch_add(1, Ordering::SeqCst))
    }
}
