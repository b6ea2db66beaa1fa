//! Time and fresh ids, so that tests can wind the one and repeat the other.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Where time comes from.
///
/// `now` may jump (it is the wall clock); `elapsed` never runs backwards within one process.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock: for instants that are stored or shown.
    fn now(&self) -> Timestamp;
    /// Time since this clock was made: for durations.
    fn elapsed(&self) -> Duration;
    /// Returns once `duration` has passed on this clock.
    async fn sleep(&self, duration: Duration);
    /// A new id, unique and sortable by time of creation.
    fn new_id(&self) -> String;
}
