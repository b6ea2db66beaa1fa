//! A broker that loses, doubles, delays and reorders, and whose connections break.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use shared_adapters::memory::MemoryBroker;
use shared_ports::messages::AttemptReady;
use shared_ports::{Broker, Consumer, Delivery, Outgoing, PortError, Queue};

use shared_runtime::{Kind, Supervisor};

use super::chance::Weather;
use super::forge::{Forger, let_begin, make_new};
use super::ledger::Ledger;
use super::life::Life;
use super::setting::Mutation;

/// Calls of which one fails.
const CALLS: u64 = 40;
/// Messages of which one is lost, and one comes twice.
const MESSAGES: u64 = 25;
/// Messages of which one is late.
const LATE: u64 = 8;
/// How late, in seconds.
const LATE_SECONDS_MAX: u64 = 90;

/// Messages that may wait in one queue of the world.
const QUEUE_LEN_MAX: usize = 10_000;

/// The server.
pub(crate) struct Shared {
    inner: Mutex<Arc<MemoryBroker>>,
    forger: Forger,
    /// Messages that arrive later.
    under_way: Supervisor,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let (inner, forger) = (Mutex::new(empty()), Forger::default());
        Self { inner, forger, under_way: Supervisor::new() }
    }

    /// Comes back with empty queues; every connection is gone.
    pub(crate) fn forget(&self) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = empty();
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        Arc::clone(&self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn empty() -> Arc<MemoryBroker> {
    Arc::new(MemoryBroker::new(QUEUE_LEN_MAX))
}

/// The server as a process reaches it.
pub(crate) struct FaultyBroker {
    pub(crate) shared: Arc<Shared>,
    /// Of its connections, and of the messages on them.
    pub(crate) weather: Weather,
    pub(crate) messages: Weather,
    pub(crate) life: Arc<Life>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) mutation: Mutation,
    /// Whether there are several schedulers.
    pub(crate) is_shared: bool,
}

impl FaultyBroker {
    async fn send(&self, mut message: Outgoing) -> Result<(), PortError> {
        if self.mutation == Mutation::EpochIgnored {
            self.shared.forger.forge(&mut message.body);
        }
        if self.mutation == Mutation::GrantNotAwaited {
            let_begin(&mut message.body);
        }
        if self.mutation == Mutation::AgeIgnored {
            make_new(&mut message.body);
        }
        if self.messages.strikes(MESSAGES) {
            return Ok(());
        }
        if self.messages.strikes(MESSAGES) {
            self.send_late(message.clone());
        }
        if self.messages.strikes(LATE) {
            self.send_late(message);
            return Ok(());
        }
        self.shared.inner().publish(vec![message]).await
    }

    /// What is on its way arrives even if its sender dies.
    fn send_late(&self, message: Outgoing) {
        let late = Duration::from_millis(self.weather.chance.between(1, LATE_SECONDS_MAX * 1_000));
        let shared = Arc::clone(&self.shared);
        self.shared.under_way.spawn(Kind::Progress, async move {
            tokio::time::sleep(late).await;
            Ok(shared.inner().publish(vec![message]).await?)
        });
    }
}

#[async_trait]
impl Broker for FaultyBroker {
    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), PortError> {
        let sent = async {
            self.weather.fail(CALLS, "publishing")?;
            for message in messages {
                self.send(message).await?;
            }
            self.weather.fail(CALLS, "hearing that it was published")
        };
        self.life.call(sent).await
    }

    async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Box<dyn Consumer>, PortError> {
        let consumer = async {
            self.weather.fail(CALLS, "consuming")?;
            self.shared.inner().consume(queue, prefetch).await
        };
        let inner = self.life.call(consumer).await?;
        let (weather, life) = (self.weather.clone(), Arc::clone(&self.life));
        let ledger = Arc::clone(&self.ledger);
        // Whoever is alone loses nothing.
        let is_deaf = self.mutation == Mutation::LossUnheard
            && self.is_shared
            && matches!(queue, Queue::Reports(_));
        Ok(Box::new(FaultyConsumer { inner: Some(inner), weather, life, ledger, is_deaf }))
    }

    async fn depth(&self, queue: &Queue) -> Result<u64, PortError> {
        let depth = async {
            self.weather.fail(CALLS, "measuring a queue")?;
            self.shared.inner().depth(queue).await
        };
        self.life.call(depth).await
    }

    async fn set_aside(&self) -> Result<u64, PortError> {
        self.shared.inner().set_aside().await
    }
}

struct FaultyConsumer {
    /// `None` once the connection is gone.
    inner: Option<Box<dyn Consumer>>,
    weather: Weather,
    life: Arc<Life>,
    ledger: Arc<Ledger>,
    /// Whether it does not hear that its connection is gone, as long as the storm lasts.
    is_deaf: bool,
}

impl FaultyConsumer {
    fn inner(&self) -> Result<&dyn Consumer, PortError> {
        self.inner.as_deref().ok_or_else(|| PortError::Unavailable {
            doing: "answering a delivery".to_owned(),
            source: "the connection is gone".into(),
        })
    }

    /// What it had in its hands is delivered again.
    async fn break_off(&mut self) -> Option<Delivery> {
        if self.is_deaf {
            self.inner = None;
            self.weather.calm().await;
        }
        None
    }
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let Some(inner) = &mut self.inner else { return self.break_off().await };
        let delivery = inner.next().await?;
        if let Ok(ready) = serde_json::from_slice::<AttemptReady>(&delivery.body) {
            self.ledger.is_delivered(&ready.attempt, ready.epoch);
        }
        if self.weather.strikes(CALLS * 2) { self.break_off().await } else { Some(delivery) }
    }

    async fn stop_receiving(&mut self) -> Result<(), PortError> {
        match &mut self.inner {
            Some(inner) => inner.stop_receiving().await,
            None => Ok(()),
        }
    }

    async fn ack(&self, tag: u64) -> Result<(), PortError> {
        let acked = async {
            self.weather.fail(CALLS, "acknowledging")?;
            self.inner()?.ack(tag).await
        };
        self.life.call(acked).await
    }

    async fn nack(&self, tag: u64) -> Result<(), PortError> {
        let nacked = async {
            self.weather.fail(CALLS, "giving back")?;
            self.inner()?.nack(tag).await
        };
        self.life.call(nacked).await
    }

    async fn reject(&self, tag: u64) -> Result<(), PortError> {
        self.inner()?.reject(tag).await
    }
}
