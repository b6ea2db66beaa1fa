//! Time's part: reports, requests and timers become events; what is lost is noticed and done again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use scheduler_engine::event::{AttemptKey, Event, StageIndex};
use shared_model::{AttemptId, Epoch, ExecutionId, TaskAnswer};
use shared_ports::journal::StageBody;
use shared_ports::messages::{AttemptReport, MESSAGE_VERSION, Report};
use shared_ports::{Delivery, PortError, Queue};

use super::driver::{Driver, Turn, Waiter};
use super::loaded::Loaded;
use super::turn::Work;
use super::{ControlError, Request, expressions, fold, inputs, requests};

/// Leased attempts without a live lease, and since when.
#[derive(Default)]
pub(crate) struct Missing {
    since: BTreeMap<(ExecutionId, AttemptKey, Epoch), Timestamp>,
}

impl Missing {
    /// Forgets an execution.
    pub(crate) fn forget(&mut self, id: &ExecutionId) {
        self.since.retain(|(execution, _, _), _| execution != id);
    }
}

impl Driver {
    /// Takes a worker's report.
    pub(crate) async fn report(&mut self, turn: &mut Turn, delivery: Delivery) {
        let report: AttemptReport = match serde_json::from_slice(&delivery.body) {
            Ok(report) => report,
            Err(error) => {
                let message = &delivery.id;
                tracing::warn!(%error, message, "a report cannot be read; it is set aside");
                // Should that be lost, it comes again.
                return drop(self.reports.reject(delivery.tag).await);
            }
        };
        if report.v > MESSAGE_VERSION {
            tracing::warn!(
                v = report.v,
                "a report of a newer version; dropped, its sender reports again"
            );
            return Self::dismiss(turn, delivery.tag);
        }
        match self.finished_answer(&report).await {
            Ok(answer) => self.reported(turn, report, answer, delivery.tag).await,
            Err(error) => {
                tracing::warn!(%error, attempt = %report.attempt, "a report cannot be read for now");
                self.later_again(delivery.tag);
            }
        }
    }

    async fn finished_answer(
        &self,
        report: &AttemptReport,
    ) -> Result<Option<TaskAnswer>, PortError> {
        match &report.report {
            Report::Started | Report::LeaseEnded => Ok(None),
            Report::Finished(answer) => Ok(Some((**answer).clone())),
            Report::FinishedBlob(blob) => {
                let bytes = self.blob(blob).await?;
                serde_json::from_slice(&bytes).map(Some).map_err(|error| PortError::Refused {
                    doing: format!("reading the answer of `{}`", report.attempt),
                    why: error.to_string(),
                })
            }
        }
    }

    async fn reported(
        &mut self,
        turn: &mut Turn,
        report: AttemptReport,
        answer: Option<TaskAnswer>,
        tag: u64,
    ) {
        let now = self.shell.ports.clock.now();
        let id = report.attempt.execution.clone();
        if self.reload.contains(&id) {
            return self.later_again(tag);
        }
        let Some(mut work) = self.take(turn, &id) else {
            if matches!(report.report, Report::Started) {
                self.send(vec![inputs::abort(&report.worker, report.attempt, report.epoch)]).await;
            }
            return Self::dismiss(turn, tag);
        };
        match apply_report(&self.shell, &mut work.0, &report, answer, now).await {
            Ok(()) => work.1.push(Waiter::Report(tag)),
            Err(error) => {
                work.1.push(Waiter::Report(tag));
                return self.give_up(work, error);
            }
        }
        self.keep(turn, work);
    }

    /// Takes something asked of an execution.
    pub(crate) async fn request(&mut self, turn: &mut Turn, request: Request) {
        let now = self.shell.ports.clock.now();
        let Request { execution, by, ask, reply } = request;
        if !self.is_taken_up(&execution).await {
            return drop(reply.send(Err(not_now(&execution, self.outage.error()))));
        }
        let Some(mut work) = self.take(turn, &execution) else {
            let known = self.shell.ports.journal.load(&execution).await;
            return drop(reply.send(Err(absent(&execution, known.map(|found| found.is_some())))));
        };
        let resolved = requests::resolve(&work.0.loaded.engine, &ask, &by, now);
        let done = match resolved {
            Ok(resolved) => apply_request(&self.shell, &mut work.0, resolved, now).await,
            Err(refused) => Ok(Err(refused)),
        };
        match done {
            Ok(Ok(())) => {
                work.1.push(Waiter::Request(reply));
                self.keep(turn, work);
            }
            Ok(Err(refused)) => {
                drop(reply.send(Err(refused)));
                self.keep(turn, work);
            }
            Err(error) => {
                work.1.push(Waiter::Request(reply));
                self.give_up(work, error);
            }
        }
    }

    /// Applies an event of the shell's own making.
    pub(crate) async fn event(
        &mut self,
        turn: &mut Turn,
        id: &ExecutionId,
        event: Event,
        body: Option<(StageIndex, StageBody)>,
        at: Timestamp,
    ) {
        let Some(mut work) = self.take(turn, id) else { return };
        match work.0.apply(&self.shell, event, body, at).await {
            Ok(_) => self.keep(turn, work),
            Err(error) => self.give_up(work, error),
        }
    }

    /// Looks at everything in flight: workers that are gone, bells that nobody heard.
    pub(crate) async fn sweep(&mut self, turn: &mut Turn) {
        let ids: Vec<ExecutionId> = self.executions.keys().cloned().collect();
        for id in ids {
            if let Err(error) = self.sweep_one(turn, &id).await {
                tracing::warn!(execution = %id, %error, "cannot look after it for now");
            }
        }
        self.sweep_children(turn).await;
    }

    async fn sweep_one(&mut self, turn: &mut Turn, id: &ExecutionId) -> Result<(), PortError> {
        let Some(loaded) = self.executions.get(id) else { return Ok(()) };
        let now = self.shell.ports.clock.now();
        let in_flight: Vec<_> = loaded.engine.in_flight().collect();
        let names: Vec<AttemptId> =
            in_flight.iter().map(|flight| inputs::attempt_id(loaded, flight.attempt)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let holders = self.shell.ports.leases.holders(&names).await?;
        for (flight, holder) in in_flight.into_iter().zip(holders) {
            let held = holder.is_some_and(|(_, epoch)| epoch == flight.epoch);
            if flight.leased {
                self.look_for_worker(turn, id, flight.attempt, flight.epoch, held, now).await;
            } else if !held
                && now.duration_since(flight.since) >= self.shell.config.redispatch_after
            {
                self.ring_again(turn, id, flight.attempt).await?;
            }
        }
        Ok(())
    }

    /// A leased attempt without a lease is lost once that lasted from one sweep to the next: its
    /// last report may still be on its way when its lease ends.
    async fn look_for_worker(
        &mut self,
        turn: &mut Turn,
        id: &ExecutionId,
        attempt: AttemptKey,
        epoch: Epoch,
        held: bool,
        now: Timestamp,
    ) {
        let key = (id.clone(), attempt, epoch);
        if held {
            self.missing.since.remove(&key);
            return;
        }
        let since = *self.missing.since.entry(key.clone()).or_insert(now);
        let sweep = jiff::SignedDuration::try_from(self.shell.config.sweep_interval);
        if now.duration_since(since) >= sweep.unwrap_or(jiff::SignedDuration::ZERO) && since != now
        {
            self.missing.since.remove(&key);
            self.event(turn, id, Event::LeaseExpired { attempt, epoch, at: now }, None, now).await;
        }
    }

    /// Rings the bell again for an attempt that nobody took although its queue is empty.
    async fn ring_again(
        &mut self,
        turn: &mut Turn,
        id: &ExecutionId,
        attempt: AttemptKey,
    ) -> Result<(), PortError> {
        let Some(loaded) = self.executions.get(id) else { return Ok(()) };
        if !self.queue_is_empty(loaded, attempt).await? {
            return Ok(());
        }
        let Some(mut work) = self.take(turn, id) else { return Ok(()) };
        let commands = work.0.loaded.engine.outstanding_of(attempt.stage);
        let now = self.shell.ports.clock.now();
        match work.0.carry_out(&self.shell, commands, now).await {
            Ok(()) => self.keep(turn, work),
            Err(error) => self.give_up(work, error),
        }
        Ok(())
    }

    async fn queue_is_empty(
        &self,
        loaded: &Loaded,
        attempt: AttemptKey,
    ) -> Result<bool, PortError> {
        let task = loaded.engine.stage(attempt.stage).task(attempt.task);
        match &task.kind {
            scheduler_engine::plan::TaskKind::Worker { capability, .. } => {
                let depth =
                    self.shell.ports.broker.depth(&Queue::Ready(capability.clone())).await?;
                Ok(depth == 0)
            }
            scheduler_engine::plan::TaskKind::Native
            | scheduler_engine::plan::TaskKind::Wait { .. }
            | scheduler_engine::plan::TaskKind::Child
            | scheduler_engine::plan::TaskKind::Judgment => Ok(false),
        }
    }

    /// Says that whoever held an attempt is gone: leases died with the process before this one.
    ///
    /// # Errors
    /// [`PortError`] if something could not be read.
    pub(crate) async fn expire_leases(
        &self,
        work: &mut Work,
        at: Timestamp,
    ) -> Result<(), PortError> {
        let leased: Vec<_> =
            work.loaded.engine.in_flight().filter(|flight| flight.leased).collect();
        for flight in leased {
            let (attempt, epoch) = (flight.attempt, flight.epoch);
            let event = Event::LeaseExpired { attempt, epoch, at };
            let _stale = work.apply(&self.shell, event, None, at).await?;
        }
        Ok(())
    }
}

async fn apply_report(
    shell: &super::evaluation::Shell,
    work: &mut Work,
    report: &AttemptReport,
    answer: Option<TaskAnswer>,
    at: Timestamp,
) -> Result<(), PortError> {
    let Some(attempt) = attempt_key(work, &report.attempt) else { return Ok(()) };
    let epoch = report.epoch;
    let Some(answer) = answer else {
        if matches!(report.report, Report::LeaseEnded) {
            let event = Event::LeaseExpired { attempt, epoch, at };
            let _stale = work.apply(shell, event, None, at).await?;
            return Ok(());
        }
        let event = Event::LeaseGranted { attempt, epoch, worker: report.worker.clone(), at };
        if work.apply(shell, event, None, at).await?.is_err() {
            // Somebody works on what nobody waits for any more, or what another goes on with.
            let goes_on = work.loaded.engine.in_flight().any(|flight| flight.attempt == attempt);
            let end = if goes_on { inputs::taken_over } else { inputs::abort };
            work.messages.push(end(&report.worker, report.attempt.clone(), epoch));
        }
        return Ok(());
    };
    let mut body = work.body(&*shell.ports.journal, attempt.stage).await?;
    let name = work.loaded.engine.stage(attempt.stage).task(attempt.task).name.clone();
    fold::answer(&mut body, attempt.task, &name, &answer, at);
    let expressions_failed = expressions::failed(&body.context);
    let outcome = fold::outcome(&answer);
    let worker = report.worker.clone();
    let event = Event::AttemptFinished { attempt, epoch, worker, outcome, expressions_failed, at };
    if work.apply(shell, event, Some((attempt.stage, body)), at).await?.is_err() {
        tracing::debug!(attempt = %report.attempt, %epoch, "a stale report changes nothing");
    }
    Ok(())
}

/// The attempt inside its execution; `None` if the execution has no such stage or task.
fn attempt_key(work: &Work, id: &AttemptId) -> Option<AttemptKey> {
    let stage = work.loaded.engine.find(&id.stage)?;
    let known = usize::from(id.task) < work.loaded.engine.stage(stage).task_count();
    known.then_some(AttemptKey { stage, run: id.run, task: id.task, number: id.number })
}

async fn apply_request(
    shell: &super::evaluation::Shell,
    work: &mut Work,
    resolved: requests::Resolved,
    at: Timestamp,
) -> Result<Result<(), ControlError>, PortError> {
    let mut patched = None;
    if let Some((stage, fields)) = resolved.patch {
        let mut body = work.body(&*shell.ports.journal, stage).await?;
        fold::patch(&mut body, &fields);
        patched = Some((stage, body));
    }
    let Some(event) = resolved.event else {
        if let Some((stage, body)) = patched {
            work.set_body(stage, body);
        }
        return Ok(Ok(()));
    };
    let taken = work.apply(shell, event, patched, at).await?;
    Ok(taken.map_err(|stale| ControlError::Conflict { why: stale.to_string() }))
}

/// What happened to it last was not stored, and it has not been loaded again: it has not ended.
fn not_now(id: &ExecutionId, outage: Option<PortError>) -> ControlError {
    if let Some(PortError::Full { .. }) = outage {
        return PortError::Full { doing: format!("storing execution `{id}`") }.into();
    }
    let source = "the store failed a moment ago; try again".into();
    PortError::Unavailable { doing: format!("loading execution `{id}` again"), source }.into()
}

fn absent(id: &ExecutionId, known: Result<bool, PortError>) -> ControlError {
    match known {
        Ok(true) => ControlError::Conflict { why: format!("execution `{id}` has ended") },
        Ok(false) => ControlError::NotFound { what: format!("execution `{id}`") },
        Err(error) => error.into(),
    }
}
