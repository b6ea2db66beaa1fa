//! Tokio's paused clock as the product's clock: time jumps to the next timer.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use shared_ports::Clock;
use tokio::time::Instant;

pub(crate) struct PausedClock(Instant);

impl PausedClock {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
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
        panic!("a worker makes no ids")
    }
}
