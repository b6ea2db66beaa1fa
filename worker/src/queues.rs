//! The queues that a worker takes its work from, one for each capability.

use std::sync::Arc;

use futures::future::{join_all, select_all};
use shared_model::Capability;
use shared_ports::{Broker, Consumer, Delivery, PortError, Queue};

use crate::attempt::Message;

/// The queues of ready attempts.
pub(crate) struct ReadyQueues {
    broker: Arc<dyn Broker>,
    prefetch: u16,
    queues: Vec<ReadyQueue>,
    /// The queue that is looked at first; it moves on, so that a long queue does not starve others.
    turn: usize,
}

struct ReadyQueue {
    capability: Capability,
    consumer: Box<dyn Consumer>,
    /// Counts the connections: a delivery's tag names it within one of them only.
    connection: u64,
}

/// Where a delivery came from, so that it can be settled there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    queue: usize,
    connection: u64,
    tag: u64,
}

/// What a queue says.
pub(crate) enum Next {
    /// A delivery.
    Delivery(Place, Delivery),
    /// The connection is gone; consume again.
    Closed(usize),
}

impl ReadyQueues {
    /// Begins to receive from the queues of these capabilities.
    pub(crate) async fn open(
        broker: Arc<dyn Broker>,
        capabilities: &[Capability],
        prefetch: u16,
    ) -> Result<Self, PortError> {
        let mut queues = Vec::new();
        for capability in capabilities {
            let consumer = broker.consume(&Queue::Ready(capability.clone()), prefetch).await?;
            queues.push(ReadyQueue { capability: capability.clone(), consumer, connection: 0 });
        }
        Ok(Self { broker, prefetch, queues, turn: 0 })
    }

    /// The next delivery of any queue; never, if there is none. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Next {
        let count = self.queues.len();
        if count == 0 {
            return std::future::pending().await;
        }
        let turn = self.turn % count;
        let (after, first) = self.queues.split_at_mut(turn);
        let deliveries = first.iter_mut().chain(after).map(|queue| queue.consumer.next());
        let (delivery, place, _) = select_all(deliveries).await;
        let queue = (turn + place) % count;
        self.turn = queue + 1;
        match (delivery, self.queues.get(queue)) {
            (Some(delivery), Some(ReadyQueue { connection, .. })) => {
                let place = Place { queue, connection: *connection, tag: delivery.tag };
                Next::Delivery(place, delivery)
            }
            (Some(_) | None, Some(_) | None) => Next::Closed(queue),
        }
    }

    /// Acknowledges a delivery, gives it back or sets it aside; one whose connection is gone comes again anyway.
    pub(crate) async fn settle(&self, place: Place, message: Message) {
        let Some(queue) = self.queues.get(place.queue) else { return };
        if queue.connection != place.connection {
            return;
        }
        let settled = match message {
            Message::Done => queue.consumer.ack(place.tag).await,
            Message::Again => queue.consumer.nack(place.tag).await,
            Message::Unreadable => queue.consumer.reject(place.tag).await,
        };
        if let Err(error) = settled {
            tracing::debug!(%error, "a message comes again although it is dealt with");
        }
    }

    /// How many queues there are.
    pub(crate) fn count(&self) -> usize {
        self.queues.len()
    }

    /// Takes no more work: what was not begun goes to others, what runs can still be settled.
    pub(crate) async fn stop_receiving(&mut self) {
        let stops = self.queues.iter_mut().map(|queue| queue.consumer.stop_receiving());
        for stopped in join_all(stops).await {
            if let Err(error) = stopped {
                tracing::debug!(%error, "what was not begun goes to others once this worker is gone");
            }
        }
    }

    /// Connects a queue again.
    pub(crate) async fn consume_again(&mut self, queue: usize) -> Result<(), PortError> {
        let Some(queue) = self.queues.get_mut(queue) else { return Ok(()) };
        let name = Queue::Ready(queue.capability.clone());
        queue.consumer = self.broker.consume(&name, self.prefetch).await?;
        queue.connection += 1;
        Ok(())
    }
}
