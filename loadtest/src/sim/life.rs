//! How long a process lives, counted in calls of ports: it dies before one of them, or between what
//! the call did and its caller's learning of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use shared_ports::Clock;
use tokio_util::sync::CancellationToken;

use super::chance::Weather;
use super::clock::SimClock;
use super::jumps::Jumps;
use super::slowness::Slowness;

pub(crate) struct Life {
    over: CancellationToken,
    steps_left: AtomicU64,
    weather: Weather,
    /// Of the process's wall clock.
    jumps: Jumps,
    slowness: Slowness,
}

impl Life {
    /// One that ends after so many steps, unless the weather is calm by then.
    pub(crate) fn of(weather: Weather, steps: u64, jumps: Jumps, slowness: Slowness) -> Arc<Self> {
        let over = CancellationToken::new();
        Arc::new(Self { over, steps_left: AtomicU64::new(steps), weather, jumps, slowness })
    }

    /// Completes when the process dies.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Does what a call of a port does; never returns to a dead process.
    pub(crate) async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        self.step().await;
        self.slowness.delay().await;
        let done = call.await;
        self.slowness.delay().await;
        self.step().await;
        done
    }

    async fn step(&self) {
        let left = self.steps_left.load(Ordering::Relaxed);
        self.steps_left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 && self.weather.may_strike() {
            self.over.cancel();
        }
        self.must_live().await;
    }

    /// Waits for ever in a dead process, and as long as one stands still in that.
    async fn must_live(&self) {
        self.slowness.stands_still().await;
        if self.over.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}

/// A clock on which the dead do not wake, nor who stands still, and which may be wrong.
pub(crate) struct MortalClock {
    pub(crate) inner: Arc<SimClock>,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl Clock for MortalClock {
    fn now(&self) -> Timestamp {
        self.life.jumps.shown(&self.inner)
    }

    fn elapsed(&self) -> Duration {
        self.inner.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
        self.life.must_live().await;
    }

    fn new_id(&self) -> String {
        self.inner.new_id()
    }
}
