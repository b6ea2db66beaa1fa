//! Rings the bell (D1): a broker may lose, repeat and reorder, and nothing is lost by it.

use async_trait::async_trait;
use bytes::Bytes;
use shared_model::{Capability, WorkerId};

use crate::PortError;

/// Where a message waits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Queue {
    /// Attempts that are ready, for workers with a capability.
    Ready(Capability),
    /// Reports from workers to the scheduler that owns a shard of the executions. Of several
    /// consumers one alone receives, until it is gone (D7).
    Reports(u16),
    /// Aborts and other words to one worker (D20).
    Control(WorkerId),
}

/// A message to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub queue: Queue,
    /// Names the message: a second one of the same id is the same message sent again.
    pub id: String,
    /// What it says: JSON of [`crate::messages`].
    pub body: Bytes,
}

/// A message that arrived. It comes again unless it is acknowledged.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Names this delivery to its consumer.
    pub tag: u64,
    /// The message's id.
    pub id: String,
    /// What it says.
    pub body: Bytes,
    /// Whether it was (or may have been) delivered before.
    pub redelivered: bool,
}

/// Rings the bell.
///
/// - At least once: what `publish` acknowledged is delivered until it is acknowledged, as long as
///   the broker lives. It may be lost when the broker dies, and may come more than once.
/// - A delivery that is not acknowledged when its consumer is dropped is delivered to another.
/// - Of a queue of reports one consumer at a time receives: the first of those that are there.
///   What the one before it had may still be worked on.
/// - No order is promised.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Sends messages; returns when the broker has all of them.
    ///
    /// # Errors
    /// [`PortError`] if any of them may not have arrived: send all again, with the same ids. A queue
    /// that is full is [`PortError::Unavailable`], its cause names queue and limit.
    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), PortError>;

    /// Begins to receive from a queue, at most `prefetch` deliveries unacknowledged at a time.
    ///
    /// # Errors
    /// [`PortError`] if the queue cannot be reached.
    async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Box<dyn Consumer>, PortError>;

    /// How many messages wait in a queue. Delivered ones are not counted; those that are on their
    /// way to a consumer may be.
    ///
    /// # Errors
    /// [`PortError`] if the queue cannot be reached.
    async fn depth(&self, queue: &Queue) -> Result<u64, PortError>;

    /// How many messages were set aside and not looked after since, of all queues: rejected ones,
    /// and those that were delivered too often. Somebody should look at them.
    ///
    /// # Errors
    /// [`PortError`] if that cannot be found out now.
    async fn set_aside(&self) -> Result<u64, PortError>;
}

/// The receiving end of one queue.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// The next delivery; `None` once the connection is gone, however often it is asked from then on:
    /// consume again. Cancel-safe.
    async fn next(&mut self) -> Option<Delivery>;
    /// Receives no more: what waits, and what [`Consumer::next`] has not handed out, goes to others; from
    /// here on it answers `None`. What it has handed out can still be dealt with.
    ///
    /// # Errors
    /// [`PortError`] if that may not have arrived: drop the consumer, and everything goes to others.
    async fn stop_receiving(&mut self) -> Result<(), PortError>;
    /// Says that a delivery is dealt with.
    ///
    /// # Errors
    /// [`PortError`] if that may not have arrived: the message may come again.
    /// [`PortError::Refused`] if this consumer has no such delivery that is not dealt with yet.
    async fn ack(&self, tag: u64) -> Result<(), PortError>;
    /// Gives a delivery back; it is delivered again, here or elsewhere.
    ///
    /// # Errors
    /// [`PortError`] if that may not have arrived: the message comes again anyway.
    async fn nack(&self, tag: u64) -> Result<(), PortError>;
    /// Sets a delivery aside that nobody can deal with: it does not come again, and counts in
    /// [`Broker::set_aside`].
    ///
    /// # Errors
    /// [`PortError`] if that may not have arrived: the message may come again.
    async fn reject(&self, tag: u64) -> Result<(), PortError>;
}
