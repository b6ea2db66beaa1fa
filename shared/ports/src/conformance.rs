//! What every implementation of a port must pass: one suite per port, each a list of named checks
//! that prove what the port's documentation says.
//!
//! A check gets a fresh implementation of its own, and fails by panicking or by taking too long (a
//! lost wake-up would otherwise hang). [`Suite::failures`] tells which checks fail, so that the
//! suites can be tested themselves, on implementations that break one promise each.

#![expect(clippy::expect_used, reason = "a check fails by panicking")]

pub mod blobs;
pub mod broker;
pub mod clock;
pub mod documents;
pub mod journal;
pub mod leases;
mod samples;
mod sim_clock;
mod suite;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

pub use self::sim_clock::SimClock;
pub use self::suite::Suite;

/// A fresh implementation to check.
pub struct Subject<P: ?Sized> {
    /// What is checked.
    pub port: Arc<P>,
    /// What must outlive it, e.g. a temporary folder.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// A fresh implementation that keeps what it holds when it is closed.
pub struct Durable<P: ?Sized> {
    /// What is checked.
    pub port: Arc<P>,
    /// Closes what is behind `port`, which is not used any more, and opens it again.
    pub reopen: BoxFuture<'static, Subject<P>>,
}

/// A fresh implementation whose answers depend on time.
pub struct Timed<P: ?Sized> {
    /// What is checked.
    pub port: Arc<P>,
    /// Lets time pass: winds a [`SimClock`], or waits.
    pub pass: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
    /// What must outlive it.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl<P: ?Sized> Subject<P> {
    /// One that needs nothing else to live.
    pub fn new(port: Arc<P>) -> Self {
        Self { port, keep: Box::new(()) }
    }
}

impl<P: ?Sized> Timed<P> {
    /// One whose time is that of a simulated clock.
    pub fn simulated(port: Arc<P>, clock: Arc<SimClock>) -> Self {
        let pass = move |duration| -> BoxFuture<'static, ()> {
            let clock = Arc::clone(&clock);
            Box::pin(async move { clock.advance(duration) })
        };
        Self { port, pass: Box::new(pass), keep: Box::new(()) }
    }

    async fn pass(&self, duration: Duration) {
        (self.pass)(duration).await;
    }
}
