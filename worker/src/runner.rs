//! The loop of a worker: takes messages while slots are free, ends what it is told to end.

use std::sync::Arc;

use futures::future::{FutureExt, select_all};
use jiff::SignedDuration;
use shared_model::{AttemptId, Capability, Epoch};
use shared_plugin::Catalog;
use shared_ports::messages::{AttemptReady, Control, MESSAGE_VERSION};
use shared_ports::{Consumer, Delivery, PortError, Ports, Queue};
use shared_runtime::{Kind, Supervisor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::attempt::{Bench, Message};
use crate::heartbeat::Beats;
use crate::in_flight::{InFlight, Why};
use crate::vitals::Monitor;

/// A worker.
pub(crate) struct Runner {
    bench: Bench,
    supervisor: Supervisor,
    queues: Vec<(Capability, Box<dyn Consumer>)>,
    control: Box<dyn Consumer>,
    done: (mpsc::Sender<Done>, mpsc::Receiver<Done>),
    beats_end: CancellationToken,
    draining: CancellationToken,
    busy: u16,
}

/// A message that is dealt with.
enum Done {
    /// It may be acknowledged, or come again.
    Message { queue: usize, tag: u64, message: Message },
    /// Its slot is free.
    Slot,
}

/// Everything that can wake the loop.
enum Wake {
    Stop,
    Ready(usize, Option<Delivery>),
    Control(Option<Delivery>),
    Done(Done),
}

impl Runner {
    pub(crate) async fn open(
        config: Config,
        ports: Ports,
        catalog: Catalog,
        supervisor: Supervisor,
    ) -> Result<Self, PortError> {
        let config = Arc::new(config);
        let capabilities = crate::capabilities(&catalog);
        let mut queues = Vec::new();
        for capability in &capabilities {
            let queue = Queue::Ready(capability.clone());
            let consumer = ports.broker.consume(&queue, config.slots).await?;
            queues.push((capability.clone(), consumer));
        }
        let control = Queue::Control(config.id.clone());
        let control = ports.broker.consume(&control, config.slots.max(16)).await?;
        let in_flight = InFlight::default();
        let (beats_end, draining) = (CancellationToken::new(), CancellationToken::new());
        let beats = Beats {
            catalog_hash: catalog_hash(&catalog),
            config: Arc::clone(&config),
            ports: ports.clone(),
            capabilities,
            in_flight: in_flight.clone(),
            draining: draining.clone(),
            monitor: Monitor::new(),
        };
        supervisor.spawn(Kind::Heartbeat, beats.run(beats_end.clone()));
        let bench = Bench { config, ports, catalog, in_flight };
        let done = mpsc::channel(1_024);
        Ok(Self { bench, supervisor, queues, control, done, beats_end, draining, busy: 0 })
    }

    /// Runs until the supervisor stops, then drains.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let stop = self.supervisor.stopping();
        loop {
            match self.wait(&stop).await {
                Wake::Stop => break,
                Wake::Ready(queue, Some(delivery)) => self.take(queue, delivery).await,
                Wake::Ready(queue, None) => self.consume_again(queue).await,
                Wake::Control(Some(delivery)) => self.obey(delivery).await,
                Wake::Control(None) => self.control_again().await,
                Wake::Done(done) => self.done(done).await,
            }
        }
        self.drain().await;
        self.beats_end.cancel();
        Ok(())
    }

    async fn wait(&mut self, stop: &CancellationToken) -> Wake {
        let free = self.busy < self.bench.config.slots && !self.queues.is_empty();
        let messages = self.queues.iter_mut().map(|(_, queue)| queue.next());
        let next = async {
            if !free {
                return std::future::pending().await;
            }
            let (delivery, queue, _) = select_all(messages).await;
            (queue, delivery)
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Wake::Stop,
            Some(done) = self.done.1.recv() => Wake::Done(done),
            delivery = self.control.next() => Wake::Control(delivery),
            (queue, delivery) = next => Wake::Ready(queue, delivery),
        }
    }

    /// Takes a message into a slot.
    async fn take(&mut self, queue: usize, delivery: Delivery) {
        let ready: AttemptReady = match serde_json::from_slice(&delivery.body) {
            Ok(ready) => ready,
            Err(error) => {
                tracing::warn!(%error, message = %delivery.id, "a message cannot be read; dropped");
                return self.settle(queue, delivery.tag, Message::Done).await;
            }
        };
        if ready.v > MESSAGE_VERSION {
            // A newer scheduler's: a newer worker takes it.
            return self.settle(queue, delivery.tag, Message::Again).await;
        }
        self.busy += 1;
        let (bench, done) = (self.bench.clone(), self.done.0.clone());
        self.supervisor.spawn(Kind::Attempt, async move {
            carry_out(&bench, &done, queue, delivery.tag, ready).await;
            let _closed = done.send(Done::Slot).await;
            Ok(())
        });
    }

    async fn done(&mut self, done: Done) {
        match done {
            Done::Slot => self.busy = self.busy.saturating_sub(1),
            Done::Message { queue, tag, message } => self.settle(queue, tag, message).await,
        }
    }

    async fn settle(&mut self, queue: usize, tag: u64, message: Message) {
        let Some((_, consumer)) = self.queues.get(queue) else { return };
        let settled = match message {
            Message::Done => consumer.ack(tag).await,
            Message::Again => consumer.nack(tag).await,
        };
        if let Err(error) = settled {
            tracing::debug!(%error, "a message comes again although it is dealt with");
        }
    }

    async fn obey(&mut self, delivery: Delivery) {
        match serde_json::from_slice(&delivery.body) {
            Ok(Control::Abort { v: _, attempt, epoch }) => {
                self.bench.in_flight.stop(&attempt, epoch, Why::Aborted);
            }
            Err(error) => tracing::warn!(%error, "a word to this worker cannot be read; dropped"),
        }
        if let Err(error) = self.control.ack(delivery.tag).await {
            tracing::debug!(%error, "a word to this worker comes again");
        }
    }

    async fn consume_again(&mut self, queue: usize) {
        let Some((capability, consumer)) = self.queues.get_mut(queue) else { return };
        let name = Queue::Ready(capability.clone());
        match self.bench.ports.broker.consume(&name, self.bench.config.slots).await {
            Ok(again) => *consumer = again,
            Err(error) => self.pause(&error).await,
        }
    }

    async fn control_again(&mut self) {
        let name = Queue::Control(self.bench.config.id.clone());
        match self.bench.ports.broker.consume(&name, 16).await {
            Ok(again) => self.control = again,
            Err(error) => self.pause(&error).await,
        }
    }

    async fn pause(&self, error: &PortError) {
        tracing::warn!(%error, "a queue cannot be reached for now");
        self.bench.ports.clock.sleep(std::time::Duration::from_secs(1)).await;
    }

    /// Hands over what runs, and gives back what was not begun.
    async fn drain(&mut self) {
        self.draining.cancel();
        self.bench.in_flight.stop_all(Why::Draining);
        let clock = Arc::clone(&self.bench.ports.clock);
        let limit = clock.sleep(self.bench.config.drain_timeout).fuse();
        tokio::pin!(limit);
        while self.busy > 0 {
            tokio::select! {
                biased;
                Some(done) = self.done.1.recv() => self.done(done).await,
                () = &mut limit => {
                    tracing::warn!(attempts = self.busy, "attempts did not end in time");
                    return;
                }
            }
        }
    }
}

/// Works on a message; one that lasts is acknowledged before it ends (D6).
async fn carry_out(
    bench: &Bench,
    done: &mpsc::Sender<Done>,
    queue: usize,
    tag: u64,
    ready: AttemptReady,
) {
    let attempt = ready.attempt.clone();
    let until = ready.deadline.map(|at| at.duration_since(bench.ports.clock.now()));
    let of = (&attempt, ready.epoch);
    let work = with_deadline(bench, of, until, bench.work(ready));
    tokio::pin!(work);
    let message = tokio::select! {
        biased;
        message = &mut work => message,
        () = bench.ports.clock.sleep(bench.config.hold_message_for) => {
            let early = Done::Message { queue, tag, message: Message::Done };
            let _closed = done.send(early).await;
            tracing::debug!(%attempt, "its heartbeat guards it from here on");
            let _late = work.await;
            return;
        }
    };
    let _closed = done.send(Done::Message { queue, tag, message }).await;
}

/// An attempt whose stage's time is up ends even if nobody tells it to.
async fn with_deadline(
    bench: &Bench,
    (attempt, epoch): (&AttemptId, Epoch),
    until: Option<SignedDuration>,
    work: impl Future<Output = Message>,
) -> Message {
    tokio::pin!(work);
    if let Some(left) = until {
        let left = left.max(SignedDuration::ZERO).unsigned_abs();
        tokio::select! {
            biased;
            message = &mut work => return message,
            () = bench.ports.clock.sleep(left) => bench.in_flight.stop(attempt, epoch, Why::Aborted),
        }
    }
    work.await
}

/// Names what a catalog announces.
fn catalog_hash(catalog: &Catalog) -> String {
    let descriptors = serde_json::to_string(&catalog.descriptors()).unwrap_or_default();
    let sum = descriptors.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{sum:016x}")
}
