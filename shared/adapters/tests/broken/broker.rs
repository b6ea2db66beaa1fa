use std::sync::Arc;

use async_trait::async_trait;
use shared_adapters::memory::MemoryBroker;
use shared_model::Capability;
use shared_ports::PortError;
use shared_ports::broker::{Broker, Consumer, Delivery, Outgoing, Queue};
use shared_ports::conformance::{Subject, broker::broker};

use crate::assert_caught;

#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    Nack,
    Dropped,
    Prefetch,
    Acknowledged,
    Redelivered,
    Queues,
    Cancelled,
    Rejected,
    Reports,
    Receiving,
}

struct Broken {
    broker: Arc<MemoryBroker>,
    breaks: Breaks,
}

struct BrokenConsumer {
    consumer: Option<Box<dyn Consumer>>,
    breaks: Breaks,
}

#[tokio::test]
async fn a_broker_that_drops_what_is_given_back() {
    fails(Breaks::Nack, &["what_is_given_back_comes_again"]).await;
}

#[tokio::test]
async fn a_broker_that_forgets_what_a_dropped_consumer_had() {
    fails(Breaks::Dropped, &["what_a_dropped_consumer_had_comes_again"]).await;
}

#[tokio::test]
async fn a_broker_that_delivers_more_than_asked() {
    fails(Breaks::Prefetch, &["prefetch_is_kept"]).await;
}

#[tokio::test]
async fn a_broker_that_delivers_what_was_acknowledged() {
    fails(Breaks::Acknowledged, &["what_is_acknowledged_does_not_come_again"]).await;
}

#[tokio::test]
async fn a_broker_that_calls_everything_new() {
    fails(Breaks::Redelivered, &["what_is_given_back_comes_again"]).await;
}

#[tokio::test]
async fn a_broker_of_one_queue() {
    fails(Breaks::Queues, &["queues_do_not_mix"]).await;
}

#[tokio::test]
async fn a_broker_that_loses_what_a_cancelled_next_took() {
    fails(Breaks::Cancelled, &["a_cancelled_next_loses_nothing"]).await;
}

#[tokio::test]
async fn a_broker_that_delivers_what_was_rejected() {
    fails(Breaks::Rejected, &["what_is_rejected_is_set_aside_once"]).await;
}

#[tokio::test]
async fn a_broker_whose_reports_go_to_everybody() {
    fails(Breaks::Reports, &["one_consumer_of_reports_receives"]).await;
}

#[tokio::test]
async fn a_broker_that_cannot_stop() {
    fails(Breaks::Receiving, &["who_receives_no_more_leaves_the_rest_to_others"]).await;
}

async fn fails(breaks: Breaks, expected: &[&str]) {
    let new = async || {
        let broker = Arc::new(MemoryBroker::new(1000));
        Subject::<dyn Broker>::new(Arc::new(Broken { broker, breaks }))
    };
    assert_caught(&broker().failures(new).await, expected);
}

#[async_trait]
impl Broker for Broken {
    async fn publish(&self, mut messages: Vec<Outgoing>) -> Result<(), PortError> {
        if self.breaks == Breaks::Queues {
            messages.iter_mut().for_each(|message| message.queue = Queue::Reports(0));
        }
        if self.breaks == Breaks::Reports {
            messages.iter_mut().for_each(|message| message.queue = shared_reports(&message.queue));
        }
        self.broker.publish(messages).await
    }

    async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Box<dyn Consumer>, PortError> {
        let prefetch = if self.breaks == Breaks::Prefetch { u16::MAX } else { prefetch };
        let one = Queue::Reports(0);
        let queue = if self.breaks == Breaks::Queues { &one } else { queue };
        let shared = shared_reports(queue);
        let queue = if self.breaks == Breaks::Reports { &shared } else { queue };
        let consumer = Some(self.broker.consume(queue, prefetch).await?);
        Ok(Box::new(BrokenConsumer { consumer, breaks: self.breaks }))
    }

    async fn depth(&self, queue: &Queue) -> Result<u64, PortError> {
        self.broker.depth(queue).await
    }

    async fn set_aside(&self) -> Result<u64, PortError> {
        self.broker.set_aside().await
    }
}

/// A queue of reports as one that consumers share; others as they are.
fn shared_reports(queue: &Queue) -> Queue {
    match queue {
        Queue::Reports(shard) => Queue::Ready(Capability::new(format!("reports-{shard}"))),
        Queue::Ready(_) | Queue::Control(_) => queue.clone(),
    }
}

impl BrokenConsumer {
    fn inner(&self) -> &dyn Consumer {
        self.consumer.as_deref().unwrap()
    }
}

#[async_trait]
impl Consumer for BrokenConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let breaks = self.breaks;
        let inner = self.consumer.as_mut().unwrap();
        let delivery = inner.next().await?;
        if breaks == Breaks::Cancelled {
            tokio::task::yield_now().await;
        }
        let redelivered = delivery.redelivered && breaks != Breaks::Redelivered;
        Some(Delivery { redelivered, ..delivery })
    }

    async fn stop_receiving(&mut self) -> Result<(), PortError> {
        if self.breaks == Breaks::Receiving {
            return Ok(());
        }
        self.consumer.as_mut().unwrap().stop_receiving().await
    }

    async fn ack(&self, tag: u64) -> Result<(), PortError> {
        if self.breaks == Breaks::Acknowledged {
            return self.inner().nack(tag).await;
        }
        self.inner().ack(tag).await
    }

    async fn reject(&self, tag: u64) -> Result<(), PortError> {
        if self.breaks == Breaks::Rejected {
            return self.inner().nack(tag).await;
        }
        self.inner().reject(tag).await
    }

    async fn nack(&self, tag: u64) -> Result<(), PortError> {
        if self.breaks == Breaks::Nack {
            return self.inner().ack(tag).await;
        }
        self.inner().nack(tag).await
    }
}

impl Drop for BrokenConsumer {
    fn drop(&mut self) {
        if self.breaks == Breaks::Dropped {
            std::mem::forget(self.consumer.take());
        }
    }
}
