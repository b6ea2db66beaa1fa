//! Looks at everything that is stored, the moment it is: what must hold after every step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use scheduler_engine::Execution;
use scheduler_engine::event::{AttemptKey, StageIndex};
use shared_model::{AttemptId, Epoch, ExecutionId, Limits, Status};
use shared_ports::journal::{Append, Appended, TAKES_ROOM, Version};

use super::document::LIMITED;
use super::ledger::Ledger;
use super::verdict::Violation;

/// Violations after which nothing more is noted: one fault makes many.
const FOUND_MAX: usize = 20;

/// Who looks.
pub(crate) struct Observer {
    /// How many of the limited pipeline may run at once.
    running_max: Option<usize>,
    limits: Limits,
    /// Who is told of takeovers.
    ledger: Arc<Ledger>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    executions: BTreeMap<ExecutionId, Known>,
    removed: BTreeMap<ExecutionId, Status>,
    found: Vec<Violation>,
}

/// What is known of one execution.
#[derive(Default)]
struct Known {
    version: Version,
    is_limited: bool,
    rows: Vec<Bytes>,
    execution: Option<Execution>,
    /// The newest epoch of each stage, and of all.
    epochs: BTreeMap<StageIndex, (AttemptKey, Epoch)>,
    newest: Epoch,
    /// What was given out again by what was stored last, with its epoch before that.
    taken_over: Vec<(AttemptId, Epoch)>,
    /// What was in flight before it and is not any more, or is again, since nobody holds it any more.
    waited_for: Vec<(AttemptId, Epoch, bool)>,
}

/// What of an append is looked at, as whoever appends wants it.
pub(crate) struct Wanted {
    id: ExecutionId,
    expected: Version,
    is_limited: bool,
    head: Bytes,
    rows: Vec<(u32, Bytes)>,
}

impl Wanted {
    pub(crate) fn of(append: &Append) -> Self {
        Self {
            id: append.execution.clone(),
            expected: append.expected,
            is_limited: append.head.pipeline_config_id.as_deref() == Some(LIMITED),
            head: append.head.state.clone(),
            rows: append.stages.iter().map(|row| (row.index, row.state.clone())).collect(),
        }
    }
}

impl Observer {
    pub(crate) fn new(running_max: Option<usize>, ledger: Arc<Ledger>) -> Arc<Self> {
        let (limits, state) = (Limits::default(), Mutex::default());
        Arc::new(Self { running_max, limits, ledger, state })
    }

    /// Looks at what one transaction stored.
    pub(crate) fn stored(&self, wanted: Vec<Wanted>, answers: &[Appended]) {
        let mut state = self.lock();
        let State { executions, found, .. } = &mut *state;
        for (wanted, answer) in wanted.into_iter().zip(answers) {
            let Appended::Stored(version) = answer else { continue };
            let known = executions.entry(wanted.id.clone()).or_default();
            found.extend(known.take(wanted, *version, &self.limits));
            for (attempt, epoch) in known.taken_over.drain(..) {
                self.ledger.is_taken_over(&attempt, epoch);
            }
            for (attempt, epoch, is_waited_for) in known.waited_for.drain(..) {
                self.ledger.is_waited_for(&attempt, epoch, is_waited_for);
            }
        }
        found.extend(self.over_limit(executions));
        found.truncate(FOUND_MAX);
    }

    /// Looks at what was removed.
    pub(crate) fn removed(&self, asked: &[(ExecutionId, Version)], answers: &[bool]) {
        let mut state = self.lock();
        for ((id, _), _) in asked.iter().zip(answers).filter(|(_, is_removed)| **is_removed) {
            let Some(known) = state.executions.remove(id) else { continue };
            let status = known.execution.map_or(Status::NotStarted, |last| last.status());
            if !status.is_complete() {
                state.found.push(Violation::Vanished(format!("{id}, which was {status}")));
            }
            state.removed.insert(id.clone(), status);
        }
    }

    /// The version in which an execution is stored.
    pub(crate) fn version(&self, id: &ExecutionId) -> Option<Version> {
        self.lock().executions.get(id).map(|known| known.version)
    }

    /// How an execution stood that somebody removed.
    pub(crate) fn status_when_removed(&self, id: &ExecutionId) -> Option<Status> {
        self.lock().removed.get(id).copied()
    }

    /// What must not happen and did.
    pub(crate) fn found(&self) -> Vec<Violation> {
        self.lock().found.clone()
    }

    fn over_limit(&self, executions: &BTreeMap<ExecutionId, Known>) -> Option<Violation> {
        let max = self.running_max?;
        let running = executions.iter().filter(|(_, known)| known.takes_room());
        let running: Vec<&ExecutionId> = running.map(|(id, _)| id).collect();
        (running.len() > max).then(|| {
            Violation::OverLimit(format!("{} at once, of {max}: {running:?}", running.len()))
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn takes_room(&self) -> bool {
        let status = self.execution.as_ref().map(Execution::status);
        self.is_limited && status.is_some_and(|status| TAKES_ROOM.contains(&status))
    }

    /// Takes in what was stored; says what is wrong with it.
    fn take(&mut self, wanted: Wanted, version: Version, limits: &Limits) -> Vec<Violation> {
        let Wanted { id, expected, is_limited, head, rows } = wanted;
        let mut found = Vec::new();
        if version != expected + 1 || version != self.version + 1 {
            let before = self.version;
            found.push(Violation::Overwritten(format!(
                "{id}: decided on version {expected}, stored as {version} after {before}"
            )));
        }
        (self.version, self.is_limited) = (version, is_limited);
        for (index, row) in rows {
            match self.rows.get_mut(index as usize) {
                Some(old) => *old = row,
                None => self.rows.push(row),
            }
        }
        match Execution::decode(&id, &head, &self.rows, limits) {
            Ok(execution) => {
                found.extend(self.follow(&execution));
                self.execution = Some(execution);
            }
            Err(error) => found.push(Violation::Overwritten(format!("{id}: {error}"))),
        }
        found
    }

    fn follow(&mut self, new: &Execution) -> Vec<Violation> {
        let mut found = self.epochs_that_fall(new);
        found.extend(runs_on(new));
        let Some(old) = &self.execution else { return found };
        self.waited_for.extend(waited_for(old, new));
        if goes_back(old.status(), new.status()) && !begins_again(old, new) {
            let (id, was, is) = (new.id(), old.status(), new.status());
            found.push(Violation::WentBack(format!("{id} was {was} and is {is}")));
        }
        for at in 0..old.stage_count() {
            found.extend(stage_goes_back(old, new, at));
        }
        found.extend((0..new.stage_count()).filter_map(|at| too_early(old, new, at)));
        found
    }

    /// Epochs of what is newly given out rise.
    fn epochs_that_fall(&mut self, new: &Execution) -> Vec<Violation> {
        let mut found = Vec::new();
        let given = (0..new.stage_count()).filter_map(|at| new.flight(at));
        let mut newest = self.newest;
        for flight in given {
            let now = (flight.attempt, flight.epoch);
            let last = self.epochs.insert(flight.attempt.stage, now);
            if let Some((attempt, epoch)) = last
                && attempt == flight.attempt
                && epoch < flight.epoch
            {
                self.taken_over.push((attempt_id(new, attempt), epoch));
            }
            if last != Some(now) && flight.epoch <= self.newest {
                let (id, stage) = (new.id(), new.stage(flight.attempt.stage).reference());
                found.push(Violation::WentBack(format!(
                    "{id}: {stage} has epoch {} after {}",
                    flight.epoch, self.newest
                )));
            }
            newest = newest.max(flight.epoch);
        }
        self.newest = newest;
        found
    }
}

fn attempt_id(execution: &Execution, attempt: AttemptKey) -> AttemptId {
    AttemptId {
        execution: execution.id().clone(),
        stage: execution.stage(attempt.stage).reference().clone(),
        run: attempt.run,
        task: attempt.task,
        number: attempt.number,
    }
}

/// The attempts that were in flight or are, if not both, and whether they are.
fn waited_for(old: &Execution, new: &Execution) -> Vec<(AttemptId, Epoch, bool)> {
    let mut changed = Vec::new();
    for at in 0..old.stage_count().min(new.stage_count()) {
        let (was, is) = (old.flight(at), new.flight(at));
        if was.as_ref().map(|was| was.attempt) == is.as_ref().map(|is| is.attempt) {
            continue;
        }
        changed.extend(was.map(|was| (attempt_id(old, was.attempt), was.epoch, false)));
        changed.extend(is.map(|is| (attempt_id(new, is.attempt), is.epoch, true)));
    }
    changed
}

fn goes_back(was: Status, is: Status) -> bool {
    was.is_complete() && was != is
}

/// Whether somebody restarted a stage of it.
fn begins_again(old: &Execution, new: &Execution) -> bool {
    (0..old.stage_count()).any(|at| new.stage(at).run() > old.stage(at).run())
}

/// What has ended stays as it ended, but for a run that begins anew.
fn stage_goes_back(old: &Execution, new: &Execution, at: StageIndex) -> Option<Violation> {
    if at >= new.stage_count() {
        return Some(Violation::WentBack(format!("{}: stage {at} is gone", new.id())));
    }
    let (was, is) = (old.stage(at), new.stage(at));
    let is_another = is.run() > was.run() || is.is_removed();
    let falls = goes_back(was.status(), is.status()) && !is_another;
    (falls || is.run() < was.run()).then(|| {
        let (id, stage, run) = (new.id(), was.reference(), is.run());
        let (was, is) = (was.status(), is.status());
        Violation::WentBack(format!("{id}: {stage} was {was} and is {is} in run {run}"))
    })
}

/// A stage begins once everything that it requires lets it. Who restarts what it requires in the same
/// transaction comes later.
fn too_early(old: &Execution, new: &Execution, at: StageIndex) -> Option<Violation> {
    let stage = new.stage(at);
    let began = |last: &Execution| {
        let last = (at < last.stage_count()).then(|| last.stage(at));
        last.is_none_or(|last| last.status() != Status::Running || last.run() != stage.run())
    };
    if stage.status() != Status::Running || !began(old) {
        return None;
    }
    let is_open = |up: &&StageIndex| {
        let (was, is) = (old.stage_count().gt(*up).then(|| old.stage(**up)), new.stage(**up));
        let restarted = was.is_some_and(|was| is.run() > was.run());
        !is.status().lets_downstream_start() && !restarted
    };
    let up = stage.requisites().iter().find(is_open)?;
    let (id, name, up) = (new.id(), stage.reference(), new.stage(*up).reference());
    Some(Violation::TooEarly(format!("{id}: {name} runs before {up}")))
}

/// Nothing of what has ended runs.
fn runs_on(execution: &Execution) -> Option<Violation> {
    if !execution.status().is_complete() {
        return None;
    }
    let mut all = (0..execution.stage_count()).map(|at| execution.stage(at));
    let stage = all.find(|stage| stage.status() == Status::Running && !stage.is_removed())?;
    let (id, status, name) = (execution.id(), execution.status(), stage.reference());
    Some(Violation::RunsOn(format!("{id} is {status}, and {name} runs")))
}
