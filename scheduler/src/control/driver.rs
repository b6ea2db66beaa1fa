//! The loop: takes everything at hand, applies it, stores it in one transaction, carries it out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use scheduler_engine::command::Command;
use scheduler_engine::event::Timer;
use shared_model::ExecutionId;
use shared_ports::messages::AttemptReady;
use shared_ports::{Outgoing, PortError};
use shared_runtime::metrics::metrics;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::children::Children;
use super::contents::Contents;
use super::evaluation::Shell;
use super::lines::Lines;
use super::loaded::Loaded;
use super::outage::Outage;
use super::ready::{Ready, Which};
use super::reports::Joined;
use super::seats::{Next, Seats, Tag};
use super::share::{self, Share};
use super::sweep::Missing;
use super::timers::Timers;
use super::turn::Work;
use super::{ControlError, Request, Scheduler, Update, all_unfinished};
use crate::start::{Submission, SubmitError};

/// How long the loop waits after the store or the broker failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Something that wakes the loop from outside.
pub(crate) enum Input {
    /// A prepared execution.
    Submit {
        /// What to store.
        submission: Box<Submission>,
        /// Whether its id is the caller's: then it may exist already.
        is_named: bool,
        /// Answered once it is stored.
        reply: oneshot::Sender<Result<(), SubmitError>>,
    },
    /// Something asked of an execution.
    Request(Request),
}

impl Input {
    /// Whether whoever asked does not wait any more. It asks again, or for something else: what is done
    /// then must not be undone by what it asked for first.
    fn is_given_up(&self) -> bool {
        match self {
            Self::Submit { reply, .. } => reply.is_closed(),
            Self::Request(request) => request.reply.is_closed(),
        }
    }
}

/// Everything that can wake the loop.
enum Wake {
    Stop,
    Input(Input),
    Report(Next),
    Time,
}

/// Who is told once an execution's turn is stored, or not.
pub(crate) enum Waiter {
    /// A report's delivery.
    Report(Tag),
    /// A submission.
    Submit(oneshot::Sender<Result<(), SubmitError>>),
    /// A submission of what another one of this turn brings already.
    SubmitAgain(oneshot::Sender<Result<(), SubmitError>>),
    /// A request.
    Request(oneshot::Sender<Result<(), ControlError>>),
}

/// The loop's state.
pub(crate) struct Driver {
    pub(crate) shell: Arc<Shell>,
    inbox: mpsc::Receiver<Input>,
    pub(super) seats: Seats,
    pub(super) share: Share,
    pub(super) updates: broadcast::Sender<Update>,
    stop: CancellationToken,
    /// Executions that have not ended.
    pub(crate) executions: BTreeMap<ExecutionId, Loaded>,
    /// Executions whose content is in memory.
    pub(super) contents: Contents,
    pub(crate) timers: Timers,
    /// The execution after which the next sweep looks over some.
    pub(crate) swept: Option<ExecutionId>,
    /// Leased attempts that nobody seems to hold.
    pub(crate) missing: Missing,
    /// Who waits for the end of which execution.
    pub(crate) children: Children,
    /// Who waits for room among the executions of its pipeline.
    pub(super) lines: Lines,
    /// Messages that could not be sent yet.
    pub(crate) unsent: Vec<Outgoing>,
    /// Executions that are ahead of or behind the journal and must be loaded again.
    pub(crate) reload: Vec<ExecutionId>,
    /// Deliveries to give back once the store works again.
    pub(super) returned: Vec<Tag>,
    /// Deliveries with several reports that are not all dealt with.
    pub(super) joined: Joined,
    /// Commands that were left over when their execution's turn was long enough.
    pub(super) later: VecDeque<(ExecutionId, VecDeque<Command>)>,
    /// Attempts that wait for their turn, or in the broker.
    pub(super) ready: Ready,
    /// How many of each application have not ended.
    pub(super) admission: Admission,
    /// Messages of attempts that this turn made ready.
    pub(super) fresh: BTreeMap<Which, AttemptReady>,
    /// Attempts whose turn it is and whose messages are to be made.
    pub(super) admitted: VecDeque<Which>,
    /// Whether the last thing that was to be stored was not.
    pub(crate) outage: Arc<Outage>,
    next_sweep: Duration,
    /// When what failed is tried again.
    next_heal: Duration,
}

/// One turn's executions and who waits for each.
#[derive(Default)]
pub(crate) struct Turn {
    pub(super) works: BTreeMap<ExecutionId, (Work, Vec<Waiter>)>,
    pub(super) acks: Vec<Tag>,
}

impl Turn {
    /// Takes the executions that stages of this turn start, each with its parent.
    pub(crate) fn take_children(&mut self) -> Vec<(ExecutionId, Submission)> {
        let works = self.works.iter_mut();
        let of = |(id, (work, _)): (&ExecutionId, &mut (Work, Vec<Waiter>))| {
            let children = std::mem::take(&mut work.children).into_iter();
            children.map(|child| (id.clone(), child)).collect::<Vec<_>>()
        };
        works.flat_map(of).collect()
    }
}

impl Driver {
    /// Takes up what an earlier process left.
    ///
    /// # Errors
    /// [`PortError`] if the store or the broker cannot be reached.
    pub(crate) async fn open(
        handle: &Scheduler,
        inbox: mpsc::Receiver<Input>,
        stop: CancellationToken,
        share: Share,
    ) -> Result<Self, PortError> {
        let shards = share.shards.count();
        let shell = Arc::new(Shell::new(handle, shards));
        let seats = Seats::open(Arc::clone(&shell.ports.broker), shards).await?;
        let is_alone = !share.shards.is_shared();
        // One of several takes up what is in its shards, once it owns some.
        let all = if is_alone { all_unfinished(&shell.ports).await? } else { Vec::new() };
        let mut driver = Self {
            inbox,
            seats,
            share,
            updates: handle.updates.clone(),
            stop,
            executions: BTreeMap::new(),
            contents: Contents::default(),
            timers: Timers::default(),
            swept: None,
            missing: Missing::default(),
            children: Children::default(),
            lines: Lines::default(),
            unsent: Vec::new(),
            reload: Vec::new(),
            outage: Arc::clone(&handle.outage),
            returned: Vec::new(),
            joined: Joined::default(),
            later: VecDeque::new(),
            ready: Ready::new(Arc::clone(&shell.reach)),
            admission: Admission::default(),
            fresh: BTreeMap::new(),
            admitted: VecDeque::new(),
            next_sweep: shell.config.sweep_interval,
            next_heal: Duration::ZERO,
            shell,
        };
        for id in all {
            driver.take_up(&id, true).await?;
        }
        Ok(driver)
    }

    /// Runs until it is told to stop; what is at hand then is stored first.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        loop {
            let wake = self.wait().await;
            let began = self.shell.ports.clock.elapsed();
            let stop = matches!(wake, Wake::Stop);
            let mut turn = Turn::default();
            self.share.begin_turn();
            self.handle(&mut turn, wake).await;
            self.take_at_hand(&mut turn).await;
            self.upkeep(&mut turn).await;
            let stored = self.store(turn).await;
            self.answer_rings();
            self.measure(stored, began);
            if stop {
                self.leave_all().await;
                return Ok(());
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        if self.has_work() {
            return Wake::Time;
        }
        let pause = self.pause();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Wake::Stop,
            Some(input) = self.inbox.recv() => Wake::Input(input),
            report = self.seats.next() => Wake::Report(report),
            () = self.shell.ports.clock.sleep(pause) => Wake::Time,
        }
    }

    /// Whether the next turn has something to do, whatever comes from outside.
    fn has_work(&self) -> bool {
        !self.later.is_empty()
            || !self.admitted.is_empty()
            || self.children.has_work()
            || self.lines.has_work()
            || self.share.has_work()
    }

    /// How long until a timer or a sweep is due.
    fn pause(&self) -> Duration {
        let clock = &self.shell.ports.clock;
        let sweep = self.next_sweep.saturating_sub(clock.elapsed());
        let heal = self.next_heal.saturating_sub(clock.elapsed());
        let retry = if self.is_failing() { heal } else { sweep };
        let timer = self.timers.next().map(|at| at.duration_since(clock.now()));
        let timer = timer.map(|wait| wait.max(SignedDuration::ZERO).unsigned_abs());
        // A wall clock that jumps must not make a timer late by more than a sweep.
        let pause = timer.unwrap_or(sweep).min(sweep).min(retry);
        if self.share.shards.is_shared() { pause.min(share::PAUSE_MAX) } else { pause }
    }

    async fn handle(&mut self, turn: &mut Turn, wake: Wake) {
        match wake {
            Wake::Stop => {}
            Wake::Input(input) if input.is_given_up() => {}
            Wake::Input(Input::Submit { submission, is_named, reply }) => {
                self.submit(turn, *submission, is_named, reply).await;
            }
            Wake::Input(Input::Request(request)) => self.request(turn, request).await,
            Wake::Report(next) => _ = self.received(turn, next).await,
            Wake::Time => self.carry_out_later(turn).await,
        }
    }

    /// Takes what is at hand without waiting for more: one transaction carries all of it (D8).
    async fn take_at_hand(&mut self, turn: &mut Turn) {
        let mut left = self.shell.config.turn_events_max.saturating_sub(1);
        while left > 0 {
            let taken = if let Ok(input) = self.inbox.try_recv() {
                self.handle(turn, Wake::Input(input)).await;
                1
            } else if let Some(next) = self.seats.at_hand() {
                self.received(turn, next).await
            } else {
                break;
            };
            left = left.saturating_sub(taken);
        }
        self.fire_timers(turn).await;
        self.ring_admitted(turn).await;
        self.tell_parents(turn).await;
        self.cancel_children(turn).await;
        self.begin_waiting(turn).await;
    }

    /// Takes what a queue says; how many reports there were in it, at least one.
    async fn received(&mut self, turn: &mut Turn, next: Next) -> usize {
        match next {
            Next::Delivery(tag, delivery) => {
                self.gain(tag.shard);
                self.delivered(turn, tag, delivery).await
            }
            Next::Closed(shard) => {
                self.lose(shard);
                self.sit_down_again().await;
                1
            }
        }
    }

    /// Receives again from the queues whose connection is gone.
    pub(super) async fn sit_down_again(&mut self) {
        if let Err(error) = self.seats.reopen().await {
            tracing::warn!(%error, "reports cannot be received for now");
            self.shell.ports.clock.sleep(PAUSE_AFTER_FAILURE).await;
        }
    }

    async fn submit(
        &mut self,
        turn: &mut Turn,
        submission: Submission,
        is_named: bool,
        reply: oneshot::Sender<Result<(), SubmitError>>,
    ) {
        let id = submission.loaded.id.clone();
        let unfinished = self.executions.len() + turn.works.len();
        if unfinished >= self.shell.config.executions_unfinished_max {
            return drop(reply.send(Err(SubmitError::TooMany { unfinished })));
        }
        let application = submission.loaded.label.application.clone();
        let unfinished = self.admission.of(&application);
        if unfinished >= self.shell.config.executions_unfinished_per_application_max {
            let refused = SubmitError::TooManyOfApplication { application, unfinished };
            return drop(reply.send(Err(refused)));
        }
        if let Some((work, waiters)) = turn.works.get_mut(&id)
            && work.loaded.version == 0
        {
            // It exists once it is stored, and it may not be.
            return waiters.push(Waiter::SubmitAgain(reply));
        }
        let known = self.executions.contains_key(&id) || turn.works.contains_key(&id);
        let stored = match is_named {
            true => self.shell.ports.journal.load(&id).await.map(|stored| stored.is_some()),
            false => Ok(false),
        };
        match stored {
            Ok(false) if !known => {}
            Ok(_) => return drop(reply.send(Err(SubmitError::Exists(id)))),
            Err(error) => return drop(reply.send(Err(error.into()))),
        }
        let mut work = Work::new(submission.loaded);
        work.changes = submission.changes;
        let now = self.shell.ports.clock.now();
        match work.carry_out(&self.shell, submission.commands, now).await {
            Ok(()) => {
                self.admission.note(&id, &application);
                turn.works.insert(id, (work, vec![Waiter::Submit(reply)]));
            }
            Err(error) => drop(reply.send(Err(error.into()))),
        }
    }

    async fn fire_timers(&mut self, turn: &mut Turn) {
        let now = self.shell.ports.clock.now();
        while let Some((id, timer)) = self.timers.take_due(now) {
            self.fire(turn, &id, timer, now).await;
        }
    }

    async fn fire(&mut self, turn: &mut Turn, id: &ExecutionId, timer: Timer, at: Timestamp) {
        let event = scheduler_engine::event::Event::TimerFired { timer, at };
        self.event(turn, id, event, None, at).await;
    }

    async fn carry_out_later(&mut self, turn: &mut Turn) {
        for (id, commands) in std::mem::take(&mut self.later) {
            let now = self.shell.ports.clock.now();
            let Some(mut work) = self.take(turn, &id) else { continue };
            match work.0.carry_out(&self.shell, commands, now).await {
                Ok(()) => drop(turn.works.insert(id, work)),
                Err(error) => self.give_up(work, error),
            }
        }
    }

    /// Takes an execution into the turn; `None` if it has ended, does not exist or cannot be read.
    pub(crate) fn take(
        &mut self,
        turn: &mut Turn,
        id: &ExecutionId,
    ) -> Option<(Work, Vec<Waiter>)> {
        if let Some(work) = turn.works.remove(id) {
            return Some(work);
        }
        let loaded = self.executions.remove(id)?;
        Some((Work::new(loaded), Vec::new()))
    }

    /// Puts an execution back into the turn.
    pub(crate) fn keep(&self, turn: &mut Turn, work: (Work, Vec<Waiter>)) {
        turn.works.insert(work.0.loaded.id.clone(), work);
    }

    /// Loads an execution and carries out what its state says is outstanding.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read or stored; it is then to be taken up later.
    async fn take_up(&mut self, id: &ExecutionId, at_start: bool) -> Result<(), PortError> {
        let limits = &self.shell.config.limits;
        let loaded = Loaded::load(&*self.shell.ports.journal, id, limits).await?;
        let Some(loaded) = loaded.filter(|found| !found.engine.status().is_complete()) else {
            return Ok(());
        };
        let mut work = self.resume(loaded).await?;
        let now = self.shell.ports.clock.now();
        if at_start && self.shell.config.leases_are_fresh {
            self.expire_leases(&mut work, now).await?;
        }
        let mut turn = Turn::default();
        self.keep(&mut turn, (work, Vec::new()));
        self.store(turn).await;
        Ok(())
    }

    /// Whether an execution is in memory as it is stored, after one more try if it was left behind.
    pub(crate) async fn is_taken_up(&mut self, id: &ExecutionId) -> bool {
        let Some(place) = self.reload.iter().position(|left| left == id) else { return true };
        self.reload.remove(place);
        if let Err(error) = self.take_up(id, false).await {
            self.outage.failed(&error, 1, self.shell.ports.clock.elapsed());
            self.reload.push(id.clone());
        }
        !self.reload.contains(id)
    }

    /// Takes up what a failure left behind, sends what could not be sent.
    pub(crate) async fn heal(&mut self) {
        let mut left = VecDeque::from(std::mem::take(&mut self.reload));
        while let Some(id) = left.pop_front() {
            if let Err(error) = self.take_up(&id, false).await {
                self.outage.failed(&error, left.len() + 1, self.shell.ports.clock.elapsed());
                self.reload.push(id);
            }
            // No room for one is no room for the next; another comes first at the next try.
            if !self.reload.is_empty() && self.is_full() {
                break;
            }
        }
        self.reload.splice(0..0, left);
        if self.reload.is_empty() {
            for tag in std::mem::take(&mut self.returned) {
                self.seats.nack(tag).await;
            }
            self.outage.forget();
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.send(unsent).await;
    }

    fn is_full(&self) -> bool {
        matches!(self.outage.error(), Some(PortError::Full { .. }))
    }

    fn measure(&self, stored: usize, began: Duration) {
        metrics().at_hand(self.executions.len(), self.timers.len());
        if stored > 0 {
            let took = self.shell.ports.clock.elapsed().saturating_sub(began);
            metrics().turn(stored, took);
        }
    }

    /// Whether something failed and is to be tried again.
    fn is_failing(&self) -> bool {
        // Whoever failed may be gone since, with its shard or its caller: then nothing else tells.
        self.outage.error().is_some()
            || !self.reload.is_empty()
            || !self.unsent.is_empty()
            || !self.returned.is_empty()
            || self.share.shards.has_unlisted()
            || !self.seats.are_taken()
    }

    /// What comes round, however busy the loop is.
    async fn upkeep(&mut self, turn: &mut Turn) {
        let now = self.shell.ports.clock.elapsed();
        if self.is_failing() && now >= self.next_heal {
            if !self.seats.are_taken() {
                self.sit_down_again().await;
            }
            self.heal().await;
            self.next_heal = self.shell.ports.clock.elapsed() + PAUSE_AFTER_FAILURE;
        }
        if now >= self.next_sweep {
            self.next_sweep = now + self.shell.config.sweep_interval;
            self.sweep(turn).await;
            self.compare(turn).await;
        }
        self.share_upkeep(turn).await;
    }

    /// The bytes of a blob.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    pub(crate) async fn blob(&self, blob: &shared_ports::BlobRef) -> Result<Bytes, PortError> {
        self.shell.ports.blobs.get(blob, None).await
    }
}
