//! Time's part: requests and timers become events; what is lost is noticed and done again.

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;
use scheduler_engine::Flight;
use scheduler_engine::event::{AttemptKey, Event, StageIndex};
use shared_model::{AttemptId, Capability, Epoch, ExecutionId};
use shared_ports::journal::StageBody;
use shared_ports::{PortError, Queue};

use super::driver::{Driver, Turn, Waiter};
use super::ready::Which;
use super::turn::Work;
use super::{Ask, ControlError, Request, fold, inputs, ready, requests, restart};

/// Attempts whose holders are asked for in one call.
const SWEPT_PER_CALL_MAX: usize = 1_000;

/// Executions that one sweep looks over for what is in no account.
const LOOKED_OVER_MAX: usize = 1_000;

/// How many messages wait in queues, as found in one sweep.
type Depths = BTreeMap<Capability, u64>;

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
    /// Takes something asked of an execution.
    pub(crate) async fn request(&mut self, turn: &mut Turn, request: Request) {
        let now = self.shell.ports.clock.now();
        let Request { execution, by, ask, reply } = request;
        if !self.is_taken_up(&execution).await {
            return drop(reply.send(Err(not_now(&execution, self.outage.error()))));
        }
        let taken = match ask {
            Ask::Restart { .. } => self.take_ended(turn, &execution).await,
            Ask::Cancel { .. } | Ask::Patch { .. } | Ask::Pause | Ask::Resume => {
                self.take_anywhere(turn, &execution).await
            }
        };
        let mut work = match taken {
            Ok(Some(work)) => work,
            Ok(None) => {
                let known = self.shell.ports.journal.load(&execution).await;
                let known = known.map(|found| found.is_some());
                return drop(reply.send(Err(absent(&execution, known))));
            }
            Err(error) => return drop(reply.send(Err(error.into()))),
        };
        let resolved = requests::resolve(&work.0.loaded.engine, &ask, &by, now);
        let done = match resolved {
            Ok(resolved) => apply_request(&self.shell, &mut work.0, resolved, now).await,
            Err(refused) => Ok(Err(refused)),
        };
        // What is refused or changes nothing is not stored: that it was decided on an older version than
        // the newest would not come out there.
        if done.is_ok() && work.0.changes.is_empty() {
            match self.newer(&work.0.loaded).await {
                Ok(None) => {}
                Ok(Some(found)) => {
                    work.1.push(Waiter::Request(reply));
                    return self.overtaken(work.0, work.1, found);
                }
                Err(error) => {
                    drop(reply.send(Err(error.into())));
                    return self.keep(turn, work);
                }
            }
        }
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

    /// Looks at what was sent to workers and is not over: workers that are gone, bells that nobody heard.
    /// What waits here for its turn has neither.
    pub(crate) async fn sweep(&mut self, turn: &mut Turn) {
        self.look_at_slots().await;
        let mut all: Vec<_> = self.ready.sent().filter_map(|which| self.flight_of(which)).collect();
        all.extend(self.overlooked());
        let mut depths = Depths::default();
        for some in all.chunks(SWEPT_PER_CALL_MAX) {
            if let Err(error) = self.sweep_some(turn, some, &mut depths).await {
                tracing::warn!(%error, attempts = some.len(), "cannot look after attempts for now");
            }
        }
        self.sweep_children(turn).await;
        self.lines.call_all();
    }

    fn flight_of(&self, which: &Which) -> Option<(ExecutionId, AttemptId, Flight)> {
        let (id, stage) = which;
        let loaded = self.executions.get(id)?;
        let flight = loaded.engine.flight(*stage)?;
        Some((id.clone(), inputs::attempt_id(loaded, flight.attempt), flight))
    }

    /// What some executions have in flight although nobody here keeps account of it; the next sweep looks
    /// at others.
    fn overlooked(&mut self) -> Vec<(ExecutionId, AttemptId, Flight)> {
        let begin = self.swept.take().map_or(Bound::Unbounded, Bound::Excluded);
        let some = || self.executions.range::<ExecutionId, _>((begin.as_ref(), Bound::Unbounded));
        let some = || some().take(LOOKED_OVER_MAX);
        let all = some().flat_map(|(id, loaded)| {
            loaded.engine.in_flight().map(move |flight| (id.clone(), flight.attempt.stage))
        });
        let unknown = all.filter(|which| !self.ready.knows(which));
        let found = unknown.filter_map(|which| self.flight_of(&which)).collect();
        self.swept = some().nth(LOOKED_OVER_MAX - 1).map(|(id, _)| id.clone());
        found
    }

    async fn sweep_some(
        &mut self,
        turn: &mut Turn,
        flights: &[(ExecutionId, AttemptId, Flight)],
        depths: &mut Depths,
    ) -> Result<(), PortError> {
        let now = self.shell.ports.clock.now();
        let names: Vec<AttemptId> = flights.iter().map(|(_, name, _)| name.clone()).collect();
        let holders = self.shell.ports.leases.holders(&names).await?;
        for ((id, _, flight), holder) in flights.iter().zip(holders) {
            let held = holder.is_some_and(|(_, epoch)| epoch == flight.epoch);
            let is_overdue = now.duration_since(flight.since) >= self.shell.config.redispatch_after;
            if flight.leased {
                self.look_for_worker(turn, id, flight.attempt, flight.epoch, held, now).await;
            } else if !held && is_overdue {
                self.ring_again(turn, id, flight.attempt, depths).await?;
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
        depths: &mut Depths,
    ) -> Result<(), PortError> {
        let which = (id.clone(), attempt.stage);
        if self.ready.knows(&which) && !self.ready.is_sent(&which) {
            return Ok(());
        }
        let Some(loaded) = self.executions.get(id) else { return Ok(()) };
        let Some(capability) = ready::capability(loaded, attempt) else { return Ok(()) };
        let capability = self.shell.reach.queue(capability);
        if !self.queue_is_empty(&capability, depths).await? {
            return Ok(());
        }
        self.ring(turn, id, attempt.stage).await;
        Ok(())
    }

    async fn queue_is_empty(
        &self,
        capability: &Capability,
        depths: &mut Depths,
    ) -> Result<bool, PortError> {
        if let Some(depth) = depths.get(capability) {
            return Ok(*depth == 0);
        }
        let depth = self.shell.ports.broker.depth(&Queue::Ready(capability.clone())).await?;
        depths.insert(capability.clone(), depth);
        Ok(depth == 0)
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

async fn apply_request(
    shell: &super::evaluation::Shell,
    work: &mut Work,
    resolved: requests::Resolved,
    at: Timestamp,
) -> Result<Result<(), ControlError>, PortError> {
    let mut patched = None;
    if let Some((stage, fields)) = resolved.patch {
        let mut body = work.body(&*shell.ports.journal, stage).await?;
        if let Err(refused) = requests::check_roles(&body.context, resolved.roles.as_ref()) {
            return Ok(Err(refused));
        }
        fold::patch(&mut body, &fields);
        patched = Some((stage, body));
    }
    let Some(event) = resolved.event else {
        if let Some((stage, body)) = patched {
            work.set_body(stage, body);
        }
        return Ok(Ok(()));
    };
    let mut bodies: Vec<_> = patched.into_iter().collect();
    if let Event::RestartRequested { stage, by, .. } = &event {
        let keeps_child = !bodies.is_empty();
        let restart = restart::Restart { stage: *stage, by, keeps_child };
        bodies = restart.bodies(&*shell.ports.journal, work, at).await?;
    }
    let taken = work.apply(shell, event, bodies, at).await?;
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
