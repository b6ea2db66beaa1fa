//! Which stages wait for which executions, across the executions of this scheduler.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use scheduler_engine::event::{Event, StageIndex};
use shared_model::ExecutionId;
use shared_ports::PortError;

use super::PARENT;
use crate::control::driver::{Driver, Turn};
use crate::control::loaded::Loaded;
use crate::control::turn::Work;

/// A stage that waits.
pub(crate) type Waiting = (ExecutionId, StageIndex);

/// Who waits for whom, and what is to be done about it in the next turn.
#[derive(Default)]
pub(crate) struct Children {
    watched: BTreeMap<ExecutionId, BTreeSet<Waiting>>,
    /// Executions that are watched since this turn.
    new: BTreeSet<ExecutionId>,
    ended: VecDeque<(Waiting, ExecutionId)>,
    cancels: BTreeSet<ExecutionId>,
    /// Executions to cancel once they are loaded again.
    unreachable: BTreeSet<ExecutionId>,
}

impl Children {
    /// Notes that a stage waits for an execution.
    pub(crate) fn watch(&mut self, waiting: Waiting, child: &ExecutionId) {
        self.watched.entry(child.clone()).or_default().insert(waiting);
        self.new.insert(child.clone());
    }

    /// An execution has ended: whoever waits for it is told in the next turn.
    pub(crate) fn ended(&mut self, child: &ExecutionId) {
        let waiting = self.watched.remove(child).unwrap_or_default();
        self.ended.extend(waiting.into_iter().map(|waiting| (waiting, child.clone())));
    }

    /// Forgets the stages of executions that are not this scheduler's any more.
    pub(crate) fn forget(&mut self, is_lost: &dyn Fn(&ExecutionId) -> bool) {
        self.watched.retain(|_, waiting| {
            waiting.retain(|(parent, _)| !is_lost(parent));
            !waiting.is_empty()
        });
        self.ended.retain(|((parent, _), _)| !is_lost(parent));
    }

    /// An execution is to be cancelled in the next turn.
    pub(crate) fn cancel(&mut self, child: ExecutionId) {
        self.cancels.insert(child);
    }

    /// Whether there is anything to be done.
    pub(crate) fn has_work(&self) -> bool {
        !self.ended.is_empty() || !self.cancels.is_empty()
    }

    /// Who is to be told of which execution's end.
    pub(crate) fn take_ended(&mut self) -> VecDeque<(Waiting, ExecutionId)> {
        std::mem::take(&mut self.ended)
    }

    /// Which executions are to be cancelled.
    pub(crate) fn take_cancels(&mut self) -> BTreeSet<ExecutionId> {
        std::mem::take(&mut self.cancels)
    }

    /// Everybody who waits, and for whom.
    fn waiting(&self) -> impl Iterator<Item = (&ExecutionId, &Waiting)> {
        self.watched.iter().flat_map(|(child, all)| all.iter().map(move |one| (child, one)))
    }
}

impl Driver {
    /// Takes the executions that stages of this turn start into the turn: all are stored together.
    pub(in crate::control) async fn adopt(&mut self, turn: &mut Turn) {
        loop {
            let started = turn.take_children();
            if started.is_empty() {
                return;
            }
            for (parent, submission) in started {
                let (id, now) = (submission.loaded.id.clone(), self.shell.ports.clock.now());
                let mut work = Work::new(submission.loaded);
                work.changes = submission.changes;
                work.changes.with = Some(parent.clone());
                match work.carry_out(&self.shell, submission.commands, now).await {
                    Ok(()) => self.keep(turn, (work, Vec::new())),
                    Err(error) => self.give_up_parent(turn, &parent, &id, error),
                }
            }
        }
    }

    /// Without its child the parent's turn must not be stored.
    fn give_up_parent(
        &mut self,
        turn: &mut Turn,
        parent: &ExecutionId,
        child: &ExecutionId,
        error: PortError,
    ) {
        tracing::debug!(%parent, %child, %error, "a child execution cannot be made for now");
        if let Some(work) = self.take(turn, parent) {
            self.give_up(work, error);
        }
    }

    /// Tells stages of the end of the executions that they wait for.
    pub(in crate::control) async fn tell_parents(&mut self, turn: &mut Turn) {
        for ((parent, stage), child) in self.children.take_ended() {
            let now = self.shell.ports.clock.now();
            let Some(mut work) = self.take(turn, &parent) else { continue };
            match work.0.child_ended(&self.shell, stage, &child, now).await {
                Ok(has_ended) => {
                    if !has_ended {
                        self.children.watch((parent, stage), &child);
                    }
                    self.keep(turn, work);
                }
                Err(error) => self.give_up(work, error),
            }
        }
    }

    /// Cancels the executions whose parents do not want them any more.
    pub(in crate::control) async fn cancel_children(&mut self, turn: &mut Turn) {
        for child in self.children.take_cancels() {
            if self.reload.contains(&child) {
                self.children.unreachable.insert(child);
                continue;
            }
            let at = self.shell.ports.clock.now();
            let reason = "the stage that waits for it ends early".to_owned();
            let event = Event::CancelRequested { by: PARENT.into(), reason, at };
            match self.take_anywhere(turn, &child).await {
                Ok(Some(work)) => self.keep(turn, work),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%child, %error, "it cannot be cancelled for now");
                    self.children.unreachable.insert(child);
                    continue;
                }
            }
            self.event(turn, &child, event, None, at).await;
        }
    }

    /// Looks whether what is watched since this turn has ended before that.
    pub(in crate::control) async fn look_at_new_watches(&mut self) {
        for child in std::mem::take(&mut self.children.new) {
            if !self.executions.contains_key(&child) && !self.reload.contains(&child) {
                self.look_at_child(&child).await;
            }
        }
    }

    async fn look_at_child(&mut self, child: &ExecutionId) {
        match self.shell.ports.journal.load(child).await {
            Ok(Some(stored)) if !stored.head.status.is_complete() => {}
            Ok(_) => self.children.ended(child),
            Err(error) => tracing::debug!(%child, %error, "cannot be looked at for now"),
        }
    }

    fn is_doubtful(&self, child: &ExecutionId, (parent, stage): &Waiting) -> bool {
        let is_ending = |parent: &Loaded| parent.engine.stage(*stage).is_ending();
        !self.executions.contains_key(child) || self.executions.get(parent).is_some_and(is_ending)
    }

    /// Looks again at those who wait for what is not here, or was not cancelled yet.
    pub(in crate::control) async fn sweep_children(&mut self, turn: &mut Turn) {
        let unreachable = std::mem::take(&mut self.children.unreachable);
        self.children.cancels.extend(unreachable);
        let waiting = self.children.waiting();
        let doubtful = waiting.filter(|(child, waiting)| self.is_doubtful(child, waiting));
        for (parent, stage) in doubtful.map(|(_, waiting)| waiting.clone()).collect::<Vec<_>>() {
            self.ring(turn, &parent, stage).await;
        }
    }
}
