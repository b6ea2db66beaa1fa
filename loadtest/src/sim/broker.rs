//! A broker that loses, doubles, delays and reorders, and whose connections break.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use shared_adapters::memory::MemoryBroker;
use shared_model::{AttemptId, Epoch};
use shared_ports::messages::{AttemptReady, AttemptReport};
use shared_ports::{Broker, Consumer, Delivery, Outgoing, PortError, Queue};

use shared_runtime::{Kind, Supervisor};

use super::chance::Weather;
use super::ledger::Ledger;
use super::life::Life;

/// Calls of which one fails.
const CALLS: u64 = 40;
/// Messages of which one is lost, and one comes twice.
const MESSAGES: u64 = 25;
/// Messages of which one is late.
const LATE: u64 = 8;
/// How late, in seconds.
const LATE_SECONDS_MAX: u64 = 90;

/// The server.
pub(crate) struct Shared {
    inner: MemoryBroker,
    /// The newest epoch of each attempt that was announced.
    epochs: Mutex<BTreeMap<AttemptId, Epoch>>,
    /// Messages that arrive later.
    under_way: Supervisor,
}

impl Shared {
    pub(crate) fn new(inner: MemoryBroker) -> Self {
        Self { inner, epochs: Mutex::default(), under_way: Supervisor::new() }
    }

    /// Remembers announced epochs; makes every report one of the newest.
    fn forge(&self, message: &mut Outgoing) {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(ready) = serde_json::from_slice::<AttemptReady>(&message.body) {
            epochs.insert(ready.attempt, ready.epoch);
        } else if let Ok(mut report) = serde_json::from_slice::<AttemptReport>(&message.body)
            && let Some(newest) = epochs.get(&report.attempt)
        {
            report.epoch = *newest;
            message.body = serde_json::to_vec(&report).unwrap_or_default().into();
        }
    }
}

/// The server as a process reaches it.
pub(crate) struct FaultyBroker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) weather: Weather,
    pub(crate) life: Arc<Life>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) epoch_ignored: bool,
    pub(crate) grant_not_awaited: bool,
}

/// Lets an attempt begin before its claim is in the journal.
fn let_begin(message: &mut Outgoing) {
    if let Ok(ready) = serde_json::from_slice::<AttemptReady>(&message.body) {
        let ready = AttemptReady { needs_grant: false, ..ready };
        message.body = serde_json::to_vec(&ready).unwrap_or_default().into();
    }
}

impl FaultyBroker {
    async fn send(&self, mut message: Outgoing) -> Result<(), PortError> {
        if self.epoch_ignored {
            self.shared.forge(&mut message);
        }
        if self.grant_not_awaited {
            let_begin(&mut message);
        }
        if self.weather.strikes(MESSAGES) {
            return Ok(());
        }
        if self.weather.strikes(MESSAGES) {
            self.send_late(message.clone());
        }
        if self.weather.strikes(LATE) {
            self.send_late(message);
            return Ok(());
        }
        self.shared.inner.publish(vec![message]).await
    }

    /// What is on its way arrives even if its sender dies.
    fn send_late(&self, message: Outgoing) {
        let late = Duration::from_millis(self.weather.chance.between(1, LATE_SECONDS_MAX * 1_000));
        let shared = Arc::clone(&self.shared);
        self.shared.under_way.spawn(Kind::Progress, async move {
            tokio::time::sleep(late).await;
            Ok(shared.inner.publish(vec![message]).await?)
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
            self.shared.inner.consume(queue, prefetch).await
        };
        let inner = self.life.call(consumer).await?;
        let (weather, life) = (self.weather.clone(), Arc::clone(&self.life));
        let ledger = Arc::clone(&self.ledger);
        Ok(Box::new(FaultyConsumer { inner, weather, life, ledger }))
    }

    async fn depth(&self, queue: &Queue) -> Result<u64, PortError> {
        let depth = async {
            self.weather.fail(CALLS, "measuring a queue")?;
            self.shared.inner.depth(queue).await
        };
        self.life.call(depth).await
    }

    async fn set_aside(&self) -> Result<u64, PortError> {
        self.shared.inner.set_aside().await
    }
}

struct FaultyConsumer {
    inner: Box<dyn Consumer>,
    weather: Weather,
    life: Arc<Life>,
    ledger: Arc<Ledger>,
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let delivery = self.inner.next().await?;
        if let Ok(ready) = serde_json::from_slice::<AttemptReady>(&delivery.body) {
            self.ledger.is_delivered(&ready.attempt, ready.epoch);
        }
        // A connection breaks: what it had in its hands is delivered again.
        if self.weather.strikes(CALLS * 2) { None } else { Some(delivery) }
    }

    async fn stop_receiving(&mut self) -> Result<(), PortError> {
        self.inner.stop_receiving().await
    }

    async fn ack(&self, tag: u64) -> Result<(), PortError> {
        let acked = async {
            self.weather.fail(CALLS, "acknowledging")?;
            self.inner.ack(tag).await
        };
        self.life.call(acked).await
    }

    async fn nack(&self, tag: u64) -> Result<(), PortError> {
        let nacked = async {
            self.weather.fail(CALLS, "giving back")?;
            self.inner.nack(tag).await
        };
        self.life.call(nacked).await
    }

    async fn reject(&self, tag: u64) -> Result<(), PortError> {
        self.inner.reject(tag).await
    }
}
