//! Ports that fail, hang or are slow when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use shared_model::{AttemptId, Epoch, WorkerId};
use shared_ports::blobs::Kept;
use shared_ports::{
    BlobRef, Blobs, Broker, Claim, Consumer, Delivery, Heard, Heartbeat, Holder, Leases, LogName,
    Note, Outgoing, PortError, Ports, Queue,
};

/// What goes wrong with one kind of call: the next `failing` calls fail; each takes `slow_ms`.
#[derive(Default)]
pub(crate) struct Fault {
    failing: AtomicU32,
    slow_ms: AtomicU64,
    calls: AtomicU32,
}

impl Fault {
    pub(crate) fn fail(&self, calls: u32) {
        self.failing.store(calls, Ordering::SeqCst);
    }

    pub(crate) fn slow_down(&self, by: Duration) {
        self.slow_ms.store(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn strike(&self, doing: &str) -> Result<(), PortError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let slow = self.slow_ms.load(Ordering::SeqCst);
        if slow > 0 {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        let one_less = |left: u32| left.checked_sub(1);
        match self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
            Err(_) => Ok(()),
            Ok(_) => Err(PortError::Unavailable {
                doing: doing.to_owned(),
                source: "the test says so".into(),
            }),
        }
    }
}

/// What goes wrong.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) claims: Fault,
    pub(crate) beats: Fault,
    pub(crate) publishes: Fault,
    pub(crate) consumes: Fault,
    pub(crate) gets: Fault,
    pub(crate) appends: Fault,
    pub(crate) acks: Fault,
    /// A delivery that fails is an end of the connection.
    pub(crate) deliveries: Fault,
    /// There is no room for logs.
    pub(crate) is_full: AtomicBool,
}

/// The same ports, with faults.
pub(crate) fn faulty(ports: Ports) -> (Ports, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let broker = FaultyBroker { inner: ports.broker, faults: Arc::clone(&faults) };
    let leases = FaultyLeases { inner: ports.leases, faults: Arc::clone(&faults) };
    let blobs = FaultyBlobs { inner: ports.blobs, faults: Arc::clone(&faults) };
    let (broker, leases, blobs) = (Arc::new(broker), Arc::new(leases), Arc::new(blobs));
    (Ports { broker, leases, blobs, ..ports }, faults)
}

struct FaultyBroker {
    inner: Arc<dyn Broker>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Broker for FaultyBroker {
    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), PortError> {
        self.faults.publishes.strike("publishing").await?;
        self.inner.publish(messages).await
    }

    async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Box<dyn Consumer>, PortError> {
        self.faults.consumes.strike("consuming").await?;
        let inner = self.inner.consume(queue, prefetch).await?;
        if matches!(queue, Queue::Reports(_)) {
            return Ok(inner);
        }
        Ok(Box::new(FaultyConsumer { inner: Some(inner), faults: Arc::clone(&self.faults) }))
    }

    async fn depth(&self, queue: &Queue) -> Result<u64, PortError> {
        self.inner.depth(queue).await
    }

    async fn set_aside(&self) -> Result<u64, PortError> {
        self.inner.set_aside().await
    }
}

/// Once its connection has ended it stays so, and what it held goes back.
struct FaultyConsumer {
    inner: Option<Box<dyn Consumer>>,
    faults: Arc<Faults>,
}

impl FaultyConsumer {
    fn connected(&self) -> Result<&dyn Consumer, PortError> {
        self.inner.as_deref().ok_or_else(|| PortError::Unavailable {
            doing: "settling".to_owned(),
            source: "the connection has ended".into(),
        })
    }
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let delivery = self.inner.as_mut()?.next().await;
        if self.faults.deliveries.strike("receiving").await.is_err() {
            self.inner = None;
            return None;
        }
        delivery
    }

    async fn stop_receiving(&mut self) -> Result<(), PortError> {
        match self.inner.as_mut() {
            Some(inner) => inner.stop_receiving().await,
            None => Ok(()),
        }
    }

    async fn ack(&self, tag: u64) -> Result<(), PortError> {
        self.faults.acks.strike("acknowledging").await?;
        self.connected()?.ack(tag).await
    }

    async fn reject(&self, tag: u64) -> Result<(), PortError> {
        self.connected()?.reject(tag).await
    }

    async fn nack(&self, tag: u64) -> Result<(), PortError> {
        self.connected()?.nack(tag).await
    }
}

struct FaultyLeases {
    inner: Arc<dyn Leases>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Leases for FaultyLeases {
    async fn claim(
        &self,
        attempt: &AttemptId,
        epoch: Epoch,
        holder: &Holder,
        ttl: SignedDuration,
    ) -> Result<Claim, PortError> {
        self.faults.claims.strike("claiming").await?;
        self.inner.claim(attempt, epoch, holder, ttl).await
    }

    async fn beat(&self, heartbeat: &Heartbeat, ttl: SignedDuration) -> Result<Heard, PortError> {
        self.faults.beats.strike("beating").await?;
        self.inner.beat(heartbeat, ttl).await
    }

    async fn leave(&self, holder: &Holder) -> Result<(), PortError> {
        self.inner.leave(holder).await
    }

    async fn release(&self, attempt: &AttemptId, epoch: Epoch) -> Result<(), PortError> {
        self.inner.release(attempt, epoch).await
    }

    async fn holders(
        &self,
        attempts: &[AttemptId],
    ) -> Result<Vec<Option<(WorkerId, Epoch)>>, PortError> {
        self.inner.holders(attempts).await
    }

    async fn live(&self) -> Result<Vec<(Heartbeat, Timestamp)>, PortError> {
        self.inner.live().await
    }

    async fn note(&self, note: &Note, ttl: SignedDuration) -> Result<(), PortError> {
        self.inner.note(note, ttl).await
    }

    async fn notes(&self, topic: &str) -> Result<Vec<Note>, PortError> {
        self.inner.notes(topic).await
    }
}

struct FaultyBlobs {
    inner: Arc<dyn Blobs>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Blobs for FaultyBlobs {
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, PortError> {
        self.inner.put(bytes).await
    }

    async fn get(&self, blob: &BlobRef, range: Option<(u64, u64)>) -> Result<Bytes, PortError> {
        self.faults.gets.strike("reading a blob").await?;
        self.inner.get(blob, range).await
    }

    async fn append(&self, log: &LogName, chunk: Bytes) -> Result<(), PortError> {
        self.faults.appends.strike("appending").await?;
        if self.faults.is_full.load(Ordering::SeqCst) {
            return Err(PortError::Full { doing: "appending".to_owned() });
        }
        self.inner.append(log, chunk).await
    }

    async fn read(&self, log: &LogName, offset: u64, bytes_max: usize) -> Result<Bytes, PortError> {
        self.inner.read(log, offset, bytes_max).await
    }

    async fn remove(&self, blobs: &[BlobRef], execution: Option<&str>) -> Result<(), PortError> {
        self.inner.remove(blobs, execution).await
    }

    async fn sweep(&self, unused_since: Timestamp) -> Result<Kept, PortError> {
        self.inner.sweep(unused_since).await
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.inner.ready().await
    }
}
