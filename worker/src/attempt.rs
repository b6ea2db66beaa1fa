//! One attempt, from claim to report.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::SignedDuration;
use serde_json::Value;
use shared_model::{AttemptId, Epoch, Retry, TaskAnswer, TaskError, TaskResult};
use shared_plugin::{Catalog, EndSignal, Ending, Secrets, StageLog, StageType, TaskContext};
use shared_ports::messages::{AttemptReady, Inputs, Report, TaskInput};
use shared_ports::{Claim, Holder, LogName, PortError, Shelf, WorkerPorts};
use shared_runtime::telemetry;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::in_flight::{Begin, InFlight, Why};
use crate::log::BlobLog;
use crate::observed::Watched;
use crate::outbox::Outbox;
use crate::standing::Standing;

/// Pause between two claims of what is new.
const CLAIM_PAUSE: Duration = Duration::from_secs(1);

/// How long an attempt that may not begin yet waits before it says again that it is there, and how
/// often it does.
const GRANT_PAUSE: Duration = Duration::from_secs(5);
const GRANT_ASKED_MAX: u32 = 24;

/// How long a message may have lain, by the clocks of both ends, so that its work begins at once: it may
/// have been cancelled since, and the message of a cancel goes to who reported that it began.
const LAIN_MAX: SignedDuration = SignedDuration::from_secs(1);

/// How long work lasts before its beginning is reported: the end of what is done sooner tells enough,
/// and a message less for each task is a third of what the broker carries.
const START_TOLD_AFTER: Duration = Duration::from_millis(100);

/// What an attempt works with.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) config: Arc<Config>,
    /// As whom it claims.
    pub(crate) holder: Holder,
    pub(crate) ports: WorkerPorts,
    pub(crate) catalog: Catalog,
    pub(crate) in_flight: InFlight,
    /// Cancelled once the worker stops: nothing begins from then on.
    pub(crate) draining: CancellationToken,
    pub(crate) standing: Standing,
    /// Where reports are brought.
    pub(crate) outbox: Outbox,
    /// Where long texts of inputs lie.
    pub(crate) shelf: Arc<Shelf>,
}

/// What a message asks for.
pub(crate) struct Ready {
    pub(crate) ready: AttemptReady,
    /// Whether somebody else may have had it before.
    pub(crate) redelivered: bool,
}

/// A task's inputs, or why they will never be read.
type Readable = Result<TaskInput, TaskError>;

/// How an attempt's message is to be dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// It is dealt with.
    Done,
    /// It is to come again, here or elsewhere.
    Again,
    /// Nobody can read it: it is set aside for somebody to look at.
    Unreadable,
}

impl Bench {
    /// Carries out what a message asks for, from claim to report; `guarded` tells when it is safe
    /// against the message's loss.
    pub(crate) async fn work(&self, ready: Ready, guarded: &CancellationToken) -> Message {
        let Ready { ready, redelivered } = ready;
        if self.draining.is_cancelled() {
            return Message::Again;
        }
        let (attempt, epoch) = (&ready.attempt, ready.epoch);
        let end = match self.in_flight.begin(attempt, epoch, ready.needs_grant, guarded) {
            Begin::Now(end) => end,
            Begin::Runs => return Message::Done,
            Begin::Ended => {
                // Its report may have been lost: the scheduler still waits for it, else it is stale.
                self.report(&ready, Report::LeaseEnded).await;
                return Message::Done;
            }
        };
        match self.claim(&ready, redelivered).await {
            Ok(Some(input)) => {
                if ready.to_end {
                    self.in_flight.stop(&ready.attempt, ready.epoch, Why::Aborted);
                }
                self.run(&ready, input, end).await;
            }
            Ok(None) => {
                self.in_flight.forget(&ready.attempt, ready.epoch);
                return Message::Done;
            }
            Err(error) => {
                tracing::warn!(attempt = %ready.attempt, %error, "cannot be claimed for now");
                self.in_flight.forget(&ready.attempt, ready.epoch);
                return Message::Again;
            }
        }
        self.release(&ready.attempt, ready.epoch).await;
        Message::Done
    }

    /// Ends it here, and its lease, if it has one and somebody hears of it.
    async fn release(&self, attempt: &AttemptId, epoch: Epoch) {
        let unleased = self.in_flight.is_unleased(attempt, epoch);
        self.in_flight.end(attempt, epoch);
        if unleased {
            return;
        }
        if let Err(error) = self.ports.leases.release(attempt, epoch).await {
            tracing::debug!(%error, "a lease was not released; it ends by itself");
        }
    }

    /// What the attempt works on, once it is this worker's; `None` if it is not. Inputs are read
    /// first: an epoch is granted once, so nothing that may work later comes between claim and work.
    async fn claim(
        &self,
        ready: &AttemptReady,
        redelivered: bool,
    ) -> Result<Option<Readable>, PortError> {
        let attempt = &ready.attempt;
        let input = match self.input(&ready.inputs).await {
            Err(PortError::Refused { doing, why }) => {
                Err(TaskError::new("InputsUnreadable", format!("{doing}: {why}")))
            }
            input => Ok(input?),
        };
        let Some(claimed) = self.ask(ready, redelivered).await? else {
            tracing::warn!(%attempt, "no lease can be had for now; it begins without one");
            self.in_flight.unleased(attempt, ready.epoch);
            return Ok(Some(input));
        };
        match claimed {
            Claim::Granted => {
                self.in_flight.claimed(attempt, ready.epoch);
                Ok(Some(input))
            }
            // Whoever had the message is gone, or cut off from the broker. What it did can be recognised,
            // so nobody waits for its lease to end; a newer epoch fences it.
            Claim::Refused { holder, epoch }
                if redelivered && epoch == ready.epoch && !ready.needs_grant =>
            {
                tracing::info!(%attempt, %holder, %epoch, "its message came again; it is taken over");
                self.lease_ended(ready, holder).await;
                Ok(None)
            }
            Claim::Refused { holder, epoch } => {
                tracing::debug!(%attempt, %holder, %epoch, "claim refused; dropped");
                Ok(None)
            }
            Claim::Ended { holder, epoch } => {
                tracing::debug!(%attempt, %holder, %epoch, "its lease has ended");
                self.lease_ended(ready, holder).await;
                Ok(None)
            }
        }
    }

    /// Asks for the lease; `None` if the attempt is to begin without one. That is so where the store of
    /// the leases does not answer for long, and nobody can have begun this epoch of it before: then
    /// the epoch that came with the message is enough, for what it does is recognised.
    async fn ask(
        &self,
        ready: &AttemptReady,
        redelivered: bool,
    ) -> Result<Option<Claim>, PortError> {
        let waits = redelivered || ready.needs_grant;
        let (attempt, ttl) = (&ready.attempt, self.config.lease_ttl);
        loop {
            if !waits && self.standing.is_unheard() {
                return Ok(None);
            }
            match self.ports.leases.claim(attempt, ready.epoch, &self.holder, ttl).await {
                Ok(claim) => return Ok(Some(claim)),
                Err(error) if waits || self.draining.is_cancelled() => return Err(error),
                // Given back it would not be new any more.
                Err(error) => tracing::debug!(%attempt, %error, "no answer to a claim yet"),
            }
            self.ports.clock.sleep(CLAIM_PAUSE).await;
        }
    }

    async fn run(&self, ready: &AttemptReady, input: Readable, end: EndSignal) {
        let (attempt, epoch) = (&ready.attempt, ready.epoch);
        // It may have been taken over while it was claimed. (Unkeyed work waits for its grant.)
        if !ready.needs_grant && self.in_flight.why(attempt, epoch) == Some(Why::LeaseLost) {
            return tracing::warn!(%attempt, %epoch, "lost before it began");
        }
        let (clock, worker) = (&*self.ports.clock, &self.config.id);
        let watched = Watched::begin(clock, ready, input.as_ref().ok());
        let waits = ready.needs_grant || self.has_lain(ready);
        let answer = match input {
            Ok(input) if waits && !self.is_granted(ready, &end).await => {
                TaskAnswer::HandedOver { checkpoint: input.checkpoint.unwrap_or_default() }
            }
            Ok(input) => {
                let work = self.told(ready, waits, self.answer(ready, input, end));
                match watched.place() {
                    Some(place) => Box::pin(telemetry::within(place, work)).await,
                    None => work.await,
                }
            }
            Err(error) => TaskAnswer::terminal(error),
        };
        let answer = match self.in_flight.why(attempt, epoch) {
            // Nobody else may go on with it: what it says is all that will ever be known.
            _ if ready.needs_grant => answer,
            Some(Why::LeaseLost) => {
                watched.end(clock, ready, worker, None);
                return tracing::warn!(%attempt, %epoch, "lost; its answer is dropped");
            }
            Some(Why::Draining | Why::Aborted) | None => answer,
        };
        watched.end(clock, ready, worker, Some(&answer));
        self.finish(ready, answer).await;
    }

    /// Whether its message may have lain for so long that it was cancelled meanwhile. Of a clock that is
    /// wrong nobody knows, so what seems to come from the future has lain, too.
    fn has_lain(&self, ready: &AttemptReady) -> bool {
        let now = self.ports.clock.now();
        let age = ready.sent_at.map(|at| now.duration_since(at).abs());
        !ready.to_end && age.is_some_and(|age| age > LAIN_MAX)
    }

    /// Does the work, and reports that it began once it has lasted a while; what waited for its grant
    /// (`is_known`) has told so already.
    async fn told(
        &self,
        ready: &AttemptReady,
        is_known: bool,
        work: impl Future<Output = TaskAnswer>,
    ) -> TaskAnswer {
        let told = async {
            self.ports.clock.sleep(START_TOLD_AFTER).await;
            self.report(ready, Report::Started).await;
        };
        tokio::pin!(work);
        tokio::select! {
            biased;
            answer = &mut work => return answer,
            () = told, if !is_known => {}
        }
        work.await
    }

    /// Waits until the claim is in the journal; `false` if it is to end before that, the worker stops,
    /// or it takes too long: then it was not begun.
    async fn is_granted(&self, ready: &AttemptReady, end: &EndSignal) -> bool {
        let granted = self.in_flight.granted(&ready.attempt, ready.epoch);
        for _ in 0..GRANT_ASKED_MAX {
            // Either word may have been lost.
            self.ask_to_begin(ready).await;
            tokio::select! {
                biased;
                // First: who was away may hear both at once, and its lease is gone.
                _ = end.told() => return false,
                () = self.draining.cancelled() => return false,
                () = granted.cancelled() => return true,
                () = self.ports.clock.sleep(GRANT_PAUSE) => {}
            }
        }
        false
    }

    async fn input(&self, inputs: &Inputs) -> Result<TaskInput, PortError> {
        let mut input: TaskInput = match inputs {
            Inputs::Inline(input) => (**input).clone(),
            Inputs::Blob(blob) => {
                let bytes = self.ports.blobs.get(blob, None).await?;
                serde_json::from_slice(&bytes).map_err(|error| PortError::Refused {
                    doing: "reading a task's inputs".into(),
                    why: error.to_string(),
                })?
            }
        };
        self.shelf.take_out_inputs(&mut input).await?;
        Ok(input)
    }

    async fn answer(&self, ready: &AttemptReady, input: TaskInput, end: EndSignal) -> TaskAnswer {
        let stage_type = input.stage_type.clone();
        let alias = input.context.get("alias").and_then(Value::as_str).unwrap_or_default();
        let found = [alias, &stage_type].into_iter().find_map(|name| self.catalog.find(name));
        let Some(found) = found else {
            let why = format!("this worker has no stage type `{stage_type}`");
            return TaskAnswer::terminal(TaskError::new("NoSuchStageType", why));
        };
        let secrets = self.catalog.secrets();
        let log = Arc::new(self.log(&ready.attempt));
        let cx = TaskContext {
            attempt: ready.attempt.clone(),
            epoch: ready.epoch,
            input: Arc::new(input),
            log: Arc::clone(&log) as Arc<dyn StageLog>,
            end,
            clock: Arc::clone(&self.ports.clock),
            blobs: Arc::clone(&self.ports.blobs),
        };
        let ended = CancellationToken::new();
        let work = async {
            let answer = self.bounded(Arc::clone(&found), &cx, ready.needs_grant).await;
            self.make_good(found, &cx, &answer).await;
            let answer = without_secrets(secrets, answer);
            ended.cancel();
            answer
        };
        // The flushing is waited for, not dropped: it may hold lines in its hands.
        let (answer, ()) = tokio::join!(work, log.keep_flushing(&ended));
        log.finish(cx.end.token()).await;
        answer
    }

    fn log(&self, attempt: &AttemptId) -> BlobLog {
        let name =
            LogName { execution: attempt.execution.to_string(), stage: attempt.stage.to_string() };
        let (blobs, clock) = (Arc::clone(&self.ports.blobs), Arc::clone(&self.ports.clock));
        let secrets = self.catalog.secrets().clone();
        BlobLog::new(name, blobs, clock, self.config.log_bytes_max).hiding(secrets)
    }

    /// Runs the task; one that does not end within its grace once it is told to is cut off.
    async fn bounded(
        &self,
        stage_type: Arc<dyn StageType>,
        cx: &TaskContext,
        needs_grant: bool,
    ) -> TaskAnswer {
        let task = cx.input.task.clone();
        let run = AssertUnwindSafe(stage_type.run(&task, cx)).catch_unwind();
        let late = async {
            let grace = match cx.told_to_end().await {
                Ending::Cancel => self.config.cancel_grace,
                Ending::HandOver => self.config.hand_over_grace(),
            };
            self.ports.clock.sleep(grace).await;
            grace
        };
        tokio::select! {
            biased;
            answer = run => {
                let answer = answer.unwrap_or_else(|panic| panicked(&task, &*panic));
                self.was_cancelled(cx, needs_grant, answer)
            }
            grace = late => self.cut_off(grace, cx, needs_grant),
        }
    }

    /// Lets the stage type tell the outside world that nobody waits any more; one that failed has done
    /// so where it failed.
    async fn make_good(
        &self,
        stage_type: Arc<dyn StageType>,
        cx: &TaskContext,
        answer: &TaskAnswer,
    ) {
        let aborted = self.in_flight.why(&cx.attempt, cx.epoch) == Some(Why::Aborted);
        if !aborted || matches!(answer, TaskAnswer::Failed { .. }) {
            return;
        }
        let cx = TaskContext { end: EndSignal::default(), ..cx.clone() };
        let task = cx.input.task.clone();
        let made_good = AssertUnwindSafe(stage_type.cancelled(&task, &cx)).catch_unwind();
        tokio::select! {
            biased;
            ended = made_good => {
                if let Err(panic) = ended {
                    let _logged = panicked(&task, &*panic);
                }
            }
            () = self.ports.clock.sleep(self.config.cancel_grace) => {
                tracing::warn!(attempt = %cx.attempt, task, "did not make good in time");
            }
        }
    }

    /// A task that ends because its worker does was not cancelled: another worker goes on with it.
    fn was_cancelled(&self, cx: &TaskContext, needs_grant: bool, answer: TaskAnswer) -> TaskAnswer {
        let stops = self.in_flight.why(&cx.attempt, cx.epoch) == Some(Why::Draining);
        let is_cancel = matches!(answer, TaskAnswer::Canceled { .. });
        if stops && is_cancel && !needs_grant { cx.handed_over() } else { answer }
    }

    /// The answer of a task that gave none: another worker goes on with it if it can be recognised what
    /// was done; else nobody knows, and a person is asked.
    fn cut_off(&self, grace: Duration, cx: &TaskContext, needs_grant: bool) -> TaskAnswer {
        let task = &cx.input.task;
        tracing::warn!(attempt = %cx.attempt, task, ?grace, "did not end when it was told to");
        match self.in_flight.why(&cx.attempt, cx.epoch) {
            Some(Why::Draining) if !needs_grant => cx.handed_over(),
            Some(Why::Draining | Why::Aborted | Why::LeaseLost) | None => {
                TaskAnswer::Canceled { result: TaskResult::default() }
            }
        }
    }
}

/// What stages read of secrets is in nothing that is stored.
fn without_secrets(secrets: &Secrets, answer: TaskAnswer) -> TaskAnswer {
    if !secrets.are_known() {
        return answer;
    }
    let hidden = serde_json::to_value(&answer).and_then(|mut value| {
        secrets.hide_all(&mut value);
        serde_json::from_value(value)
    });
    hidden.unwrap_or_else(|_| {
        let why = "its answer cannot be told without what is secret in it";
        TaskAnswer::terminal(TaskError::new("SecretInAnswer", why))
    })
}

fn panicked(task: &str, panic: &(dyn std::any::Any + Send)) -> TaskAnswer {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(task, panic = text, "a stage type panicked");
    let error = TaskError::new("StagePanicked", format!("task `{task}` broke down: {text}"))
        .and("this is a fault of the stage type, not of the pipeline; please report it");
    TaskAnswer::Failed { error, retry: Retry::Never, result: TaskResult::default() }
}
