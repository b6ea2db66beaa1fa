//! Publishes and receives without end while something is done to the server.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use shared_ports::{Broker, Consumer, Queue};
use tokio::time::{Instant, sleep, timeout};

use crate::broker::message;

const BATCH: u64 = 20;
const PREFETCH: u16 = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// How long what was confirmed may take to arrive once nobody publishes any more.
const ARRIVES_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether all is over while nothing arrives.
const LOOK: Duration = Duration::from_millis(500);

/// What became of messages.
#[derive(Debug)]
#[expect(dead_code, reason = "they are printed")]
pub(crate) struct Figures {
    pub(crate) confirmed: usize,
    pub(crate) received: usize,
    pub(crate) came_twice: usize,
    pub(crate) publish_failures: usize,
    pub(crate) consumers: usize,
    pub(crate) publish_gap: Duration,
    pub(crate) receive_gap: Duration,
}

#[derive(Default)]
pub(crate) struct Load {
    confirmed: RefCell<BTreeSet<String>>,
    received: RefCell<BTreeSet<String>>,
    came_twice: Cell<usize>,
    publish_failures: Cell<usize>,
    consumers: Cell<usize>,
    publish_gap: Cell<Duration>,
    receive_gap: Cell<Duration>,
    /// The last failure to publish, and to receive.
    failures: RefCell<[String; 2]>,
    over: Cell<Option<Instant>>,
    /// Whether the last was published.
    is_published: Cell<bool>,
}

impl Load {
    /// Publishes and receives until `disturb` is done and everything that was confirmed has arrived.
    pub(crate) async fn run(
        broker: &dyn Broker,
        queue: &Queue,
        disturb: impl AsyncFnOnce(&Load),
    ) -> Figures {
        let load = Self::default();
        let script = async {
            load.flows(100).await;
            disturb(&load).await;
            load.flows(100).await;
            load.over.set(Some(Instant::now()));
        };
        tokio::join!(load.publish(broker, queue), load.receive(broker, queue), script);
        let (confirmed, received) = (load.confirmed.borrow(), load.received.borrow());
        let lost: Vec<_> = confirmed.difference(&received).take(5).collect();
        assert!(lost.is_empty(), "confirmed and never received: {lost:?} …");
        Figures {
            confirmed: confirmed.len(),
            received: received.len(),
            came_twice: load.came_twice.get(),
            publish_failures: load.publish_failures.get(),
            consumers: load.consumers.get(),
            publish_gap: load.publish_gap.get(),
            receive_gap: load.receive_gap.get(),
        }
    }

    /// Waits until so many more were received.
    pub(crate) async fn flows(&self, more: usize) {
        let goal = self.received.borrow().len() + more;
        let flows = async {
            while self.received.borrow().len() < goal {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let flowed = timeout(Duration::from_secs(40), flows).await;
        assert!(
            flowed.is_ok(),
            "nothing flows any more: {} confirmed, {} received; last failures: {}",
            self.confirmed.borrow().len(),
            self.received.borrow().len(),
            self.failures.borrow().join("; ")
        );
    }

    async fn publish(&self, broker: &dyn Broker, queue: &Queue) {
        let mut last = Instant::now();
        for batch in 0.. {
            let ids: Vec<String> =
                (batch * BATCH..(batch + 1) * BATCH).map(|id| id.to_string()).collect();
            let messages: Vec<_> = ids.iter().map(|id| message(queue, id)).collect();
            while let Err(error) = broker.publish(messages.clone()).await {
                assert!(crate::is_unavailable(&error), "{error:?}");
                self.failures.borrow_mut()[0] = crate::text(&error);
                self.publish_failures.set(self.publish_failures.get() + 1);
                sleep(PAUSE).await;
            }
            self.confirmed.borrow_mut().extend(ids);
            let now = Instant::now();
            self.publish_gap.set(self.publish_gap.get().max(now - last));
            last = now;
            if self.over.get().is_some() {
                return self.is_published.set(true);
            }
        }
    }

    async fn receive(&self, broker: &dyn Broker, queue: &Queue) {
        let mut last = Instant::now();
        while !self.has_ended() {
            let consumer = match broker.consume(queue, PREFETCH).await {
                Ok(consumer) => consumer,
                Err(error) => {
                    self.failures.borrow_mut()[1] = crate::text(&error);
                    sleep(PAUSE).await;
                    continue;
                }
            };
            self.consumers.set(self.consumers.get() + 1);
            self.receive_from(consumer, &mut last).await;
        }
    }

    /// Until the connection is gone, or all is over.
    async fn receive_from(&self, mut consumer: Box<dyn Consumer>, last: &mut Instant) {
        while !self.has_ended() {
            let delivery = match timeout(LOOK, consumer.next()).await {
                Ok(Some(delivery)) => delivery,
                Ok(None) => return,
                Err(_) => continue,
            };
            // What was not heard comes again.
            let _ = consumer.ack(delivery.tag).await;
            if !self.received.borrow_mut().insert(delivery.id) {
                self.came_twice.set(self.came_twice.get() + 1);
            }
            let now = Instant::now();
            self.receive_gap.set(self.receive_gap.get().max(now - *last));
            *last = now;
        }
    }

    fn has_ended(&self) -> bool {
        let Some(over) = self.over.get() else { return false };
        over.elapsed() > ARRIVES_MAX || self.has_all()
    }

    fn has_all(&self) -> bool {
        self.is_published.get() && self.confirmed.borrow().is_subset(&self.received.borrow())
    }
}
