//! The loop of a worker: takes messages while slots are free, ends what it is told to end.

use std::sync::Arc;
use std::time::Duration;

use futures::future::FutureExt;
use jiff::SignedDuration;
use shared_model::{AttemptId, Epoch};
use shared_plugin::Catalog;
use shared_ports::messages::{AttemptReady, Control, MESSAGE_VERSION};
use shared_ports::{Consumer, Delivery, Holder, PortError, Queue, Shelf, WorkerPorts};
use shared_runtime::metrics::metrics;
use shared_runtime::{Kind, Supervisor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::Config;
use crate::attempt::{Bench, Message, Ready};
use crate::heartbeat::Beats;
use crate::in_flight::{InFlight, Why};
use crate::outbox::Outbox;
use crate::queues::{Next, Place, ReadyQueues};
use crate::standing::{Name, Standing};
use crate::vitals::Monitor;

/// How long a message rests that cannot be dealt with for now.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);

/// A worker.
pub(crate) struct Runner {
    bench: Bench,
    supervisor: Supervisor,
    queues: ReadyQueues,
    control: Box<dyn Consumer>,
    done: (mpsc::Sender<Done>, mpsc::Receiver<Done>),
    beats_end: CancellationToken,
    /// Whether it receives nothing, for another worker has its name.
    is_aside: bool,
    busy: u16,
}

/// A message that is dealt with.
enum Done {
    /// It may be acknowledged, or come again.
    Message(Place, Message),
    /// Its slot is free.
    Slot,
}

/// Everything that can wake the loop.
enum Wake {
    Stop,
    /// What still runs is to be handed over.
    HandOver,
    /// The worker's time to stop is up.
    TimeUp,
    Ready(Next),
    Control(Option<Delivery>),
    Done(Done),
    /// Whose the name is may have changed.
    Name(Name),
}

impl Runner {
    pub(crate) async fn open(
        config: Config,
        ports: WorkerPorts,
        catalog: Catalog,
        supervisor: Supervisor,
    ) -> Result<Self, PortError> {
        let config = Arc::new(config);
        let capabilities = match config.capabilities.is_empty() {
            true => crate::capabilities(&catalog),
            false => config.capabilities.clone(),
        };
        let broker = Arc::clone(&ports.broker);
        let queues = ReadyQueues::open(broker, &capabilities, config.slots).await?;
        let control = Queue::Control(config.id.clone());
        let control = ports.broker.consume(&control, config.slots.max(16)).await?;
        let in_flight = InFlight::default();
        let holder = Holder::new(config.id.clone(), ports.clock.new_id());
        let (known, standing) = Standing::of(config.id.to_string(), in_flight.clone());
        let (beats_end, draining) = (CancellationToken::new(), CancellationToken::new());
        let beats = Beats {
            catalog_hash: catalog.hash(),
            config: Arc::clone(&config),
            holder: holder.clone(),
            ports: ports.clone(),
            capabilities,
            in_flight: in_flight.clone(),
            draining: draining.clone(),
            monitor: config.tells_vitals.then(|| Monitor::new(&config.scratch_dir)),
            known,
        };
        supervisor.spawn(Kind::Heartbeat, beats.run(beats_end.clone()));
        let shelf = Shelf::new(Arc::clone(&ports.blobs), Arc::clone(&ports.clock));
        let shelf = Arc::new(shelf);
        let outbox = Outbox::start(Arc::clone(&ports.broker), &supervisor);
        let bench =
            Bench { config, holder, ports, catalog, in_flight, draining, standing, outbox, shelf };
        let runner = Self {
            bench,
            supervisor,
            queues,
            control,
            done: mpsc::channel(1_024),
            beats_end,
            is_aside: false,
            busy: 0,
        };
        runner.count_slots();
        Ok(runner)
    }

    /// How it is, for others.
    pub(crate) fn standing(&self) -> Standing {
        self.bench.standing.clone()
    }

    /// Runs until the supervisor stops, then drains.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let stop = self.supervisor.stopping();
        loop {
            match self.wait(&stop).await {
                Wake::Stop | Wake::HandOver | Wake::TimeUp => break,
                wake @ (Wake::Ready(_) | Wake::Control(_) | Wake::Done(_) | Wake::Name(_)) => {
                    self.act(wake).await;
                }
            }
        }
        self.drain().await;
        self.beats_end.cancel();
        Ok(())
    }

    async fn act(&mut self, wake: Wake) {
        match wake {
            Wake::Ready(Next::Delivery(place, delivery)) => self.take(place, delivery).await,
            Wake::Ready(Next::Closed(queue)) => self.consume_again(queue).await,
            Wake::Control(Some(delivery)) => self.obey(delivery).await,
            Wake::Control(None) => self.control_again().await,
            Wake::Done(done) => self.done(done).await,
            Wake::Name(Name::Taken) if !self.is_aside => self.step_aside().await,
            Wake::Name(Name::Own) if self.is_aside => self.come_back().await,
            Wake::HandOver => self.bench.in_flight.stop_all(Why::Draining),
            Wake::Stop | Wake::TimeUp | Wake::Name(_) => {}
        }
    }

    async fn wait(&mut self, stop: &CancellationToken) -> Wake {
        let takes = self.bench.standing.may_take() && !self.is_aside;
        let takes = takes && self.busy < self.bench.config.slots;
        tokio::select! {
            biased;
            () = stop.cancelled() => Wake::Stop,
            Some(done) = self.done.1.recv() => Wake::Done(done),
            known = self.bench.standing.changes() => Wake::Name(known.name),
            delivery = self.control.next(), if !self.is_aside => Wake::Control(delivery),
            next = self.queues.next(), if takes => Wake::Ready(next),
        }
    }

    /// Takes a message into a slot.
    async fn take(&mut self, place: Place, delivery: Delivery) {
        let ready = match read(&delivery.body) {
            Ok(Some(ready)) => ready,
            Ok(None) => return self.leave_to_a_newer_worker(place, &delivery.id),
            Err(error) => {
                let message = &delivery.id;
                tracing::warn!(%error, message, "a message cannot be read; it is set aside");
                return self.queues.settle(place, Message::Unreadable).await;
            }
        };
        self.busy += 1;
        self.count_slots();
        let span = span_of(&ready.attempt, ready.epoch);
        let ready = Ready { ready, redelivered: delivery.redelivered };
        let (bench, done) = (self.bench.clone(), self.done.0.clone());
        let stop = self.supervisor.stopping();
        let work = async move {
            if let Some(message) = carry_out(&bench, &done, place, ready).await {
                if message == Message::Again {
                    pause_before_again(&bench, &stop).await;
                }
                let _closed = done.send(Done::Message(place, message)).await;
            }
            let _closed = done.send(Done::Slot).await;
            Ok(())
        };
        self.supervisor.spawn(Kind::Attempt, work.instrument(span));
    }

    /// Gives back, after a pause, a message that a newer scheduler wrote.
    fn leave_to_a_newer_worker(&self, place: Place, id: &str) {
        tracing::warn!(
            message = id,
            "a message is of a newer version; a newer worker has to take it"
        );
        let (bench, done) = (self.bench.clone(), self.done.0.clone());
        let stop = self.supervisor.stopping();
        self.supervisor.spawn(Kind::Attempt, async move {
            pause_before_again(&bench, &stop).await;
            let _closed = done.send(Done::Message(place, Message::Again)).await;
            Ok(())
        });
    }

    async fn done(&mut self, done: Done) {
        match done {
            Done::Slot => {
                self.busy = self.busy.saturating_sub(1);
                self.count_slots();
            }
            Done::Message(place, message) => self.queues.settle(place, message).await,
        }
    }

    fn count_slots(&self) {
        metrics().slots(self.bench.config.slots, self.busy);
    }

    async fn obey(&mut self, delivery: Delivery) {
        let settled = match serde_json::from_slice(&delivery.body) {
            Ok(word) => {
                self.hear(word);
                self.control.ack(delivery.tag).await
            }
            Err(error) => {
                let message = &delivery.id;
                tracing::warn!(
                    %error, message, "a word to this worker cannot be read; it is set aside"
                );
                self.control.reject(delivery.tag).await
            }
        };
        if let Err(error) = settled {
            tracing::debug!(%error, "a word to this worker comes again");
        }
    }

    fn hear(&self, word: Control) {
        match word {
            Control::Abort { v: _, attempt, epoch, taken_over } => {
                let why = if taken_over { Why::LeaseLost } else { Why::Aborted };
                self.bench.in_flight.stop(&attempt, epoch, why);
            }
            Control::Grant { v: _, attempt, epoch } => {
                self.bench.in_flight.grant(&attempt, epoch);
            }
        }
    }

    /// Leaves work, and words, to the other worker of this name. What runs here goes on.
    async fn step_aside(&mut self) {
        self.is_aside = true;
        self.queues.stop_receiving().await;
        if let Err(error) = self.control.stop_receiving().await {
            tracing::debug!(%error, "words to the other worker of this name may still come here");
        }
    }

    async fn come_back(&mut self) {
        self.is_aside = false;
        for queue in 0..self.queues.count() {
            self.consume_again(queue).await;
        }
        self.control_again().await;
    }

    async fn consume_again(&mut self, queue: usize) {
        if let Err(error) = self.queues.consume_again(queue).await {
            self.pause(&error).await;
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
        self.bench.ports.clock.sleep(AGAIN_PAUSE).await;
    }

    /// Gives back what was not begun, lets end what ends soon, and hands over the rest. A cancel is heard
    /// meanwhile, too.
    async fn drain(&mut self) {
        self.bench.draining.cancel();
        self.queues.stop_receiving().await;
        let (clock, config) = (Arc::clone(&self.bench.ports.clock), &self.bench.config);
        let hand_over = clock.sleep(config.finish_within()).fuse();
        let time_up = clock.sleep(config.drain_timeout).fuse();
        tokio::pin!(hand_over, time_up);
        while self.busy > 0 {
            let wake = tokio::select! {
                biased;
                Some(done) = self.done.1.recv() => Wake::Done(done),
                () = &mut time_up => Wake::TimeUp,
                () = &mut hand_over => Wake::HandOver,
                delivery = self.control.next(), if !self.is_aside => Wake::Control(delivery),
            };
            if matches!(wake, Wake::TimeUp) {
                return tracing::warn!(attempts = self.busy, "attempts did not end in time");
            }
            self.act(wake).await;
        }
    }
}

/// Reads a message; `None` if it is of a newer version, whose shape is not known here.
fn read(body: &[u8]) -> Result<Option<AttemptReady>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        v: u16,
    }
    if serde_json::from_slice::<Versioned>(body)?.v > MESSAGE_VERSION {
        return Ok(None);
    }
    serde_json::from_slice(body).map(Some)
}

/// What cannot be dealt with for now would come back at once: it waits here, not in a fast circle.
async fn pause_before_again(bench: &Bench, stop: &CancellationToken) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = bench.ports.clock.sleep(AGAIN_PAUSE) => {}
    }
}

/// Works on a message; one that lasts is acknowledged once its claim is safe, before it ends (D6).
/// What is to become of the message; `None` if that was done.
async fn carry_out(
    bench: &Bench,
    done: &mpsc::Sender<Done>,
    place: Place,
    message: Ready,
) -> Option<Message> {
    let guarded = CancellationToken::new();
    let held = async {
        guarded.cancelled().await;
        bench.ports.clock.sleep(bench.config.hold_message_for).await;
    };
    let ready = &message.ready;
    let (attempt, epoch) = (ready.attempt.clone(), ready.epoch);
    let until = ready.deadline.map(|at| at.duration_since(bench.ports.clock.now()));
    let work = with_deadline(bench, (&attempt, epoch), until, bench.work(message, &guarded));
    tokio::pin!(work);
    tokio::select! {
        biased;
        message = &mut work => Some(message),
        () = held => {
            let _closed = done.send(Done::Message(place, Message::Done)).await;
            tracing::debug!(%attempt, "its heartbeat guards it from here on");
            let _late = work.await;
            None
        }
    }
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

/// What a log line of an attempt says of where it comes from.
fn span_of(attempt: &AttemptId, epoch: Epoch) -> tracing::Span {
    tracing::info_span!(
        "attempt", execution.id = %attempt.execution, stage.ref = %attempt.stage,
        task = attempt.task, attempt = attempt.number, %epoch
    )
}
