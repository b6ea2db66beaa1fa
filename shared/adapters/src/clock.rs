//! The machine's clock, and a server's: the only place that may ask for the time.

mod server;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use shared_ports::Clock;
use uuid::Uuid;

pub(crate) use self::server::{Following, ServerClock};

/// The machine's clock. `elapsed` counts from its making.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    made: Instant,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the `Clock` port's implementation")]
    fn default() -> Self {
        Self { made: Instant::now() }
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the `Clock` port's implementation")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.made.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    #[expect(clippy::disallowed_methods, reason = "this is the `Clock` port's implementation")]
    fn new_id(&self) -> String {
        Uuid::now_v7().to_string()
    }
}
