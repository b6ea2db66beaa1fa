//! Work that nobody can recognise once it is done (D15, D19): it begins only when its claim is in the
//! journal, and if its worker is lost after that, a person says what became of it.

use shared_model::{Epoch, Status, WorkerId};

use crate::command::{Command, Fact};
use crate::event::{AttemptKey, StageIndex, Told};
use crate::stage::Attempt;
use crate::step::{Stale, Turn};

impl Turn<'_> {
    pub(crate) fn is_unkeyed(&self, attempt: AttemptKey) -> bool {
        self.execution.stage(attempt.stage).task(attempt.task).is_unkeyed()
    }

    /// Refuses what a worker says of work that another one was allowed to begin with the same epoch:
    /// leases that were forgotten are given out again, and who was not allowed did nothing.
    pub(crate) fn not_anothers(&self, attempt: AttemptKey, worker: &WorkerId) -> Result<(), Stale> {
        let task = self.execution.stage(attempt.stage).task(attempt.task);
        match task.worker() {
            Some(holder) if holder != worker && task.is_unkeyed() => Err(Stale::OldEpoch),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses what is too late for an attempt whose outcome is unknown.
    pub(crate) fn not_unknown(&self, attempt: AttemptKey) -> Result<(), Stale> {
        match self.execution.stage(attempt.stage).task(attempt.task).attempt {
            Attempt::Unknown { .. } => Err(Stale::StageMovedOn),
            Attempt::None
            | Attempt::Queued { .. }
            | Attempt::Leased { .. }
            | Attempt::Paused { .. } => Ok(()),
        }
    }

    pub(crate) fn outcome_unknown(&mut self, attempt: AttemptKey, epoch: Epoch) {
        let since = self.at;
        let Some(task) = self.task(attempt.stage, attempt.task) else { return };
        let worker = task.worker().cloned();
        task.attempt = Attempt::Unknown { epoch, since };
        self.announce(Fact::OutcomeUnknown { attempt, worker });
    }

    /// A person says what became of it.
    pub(crate) fn outcome_told(
        &mut self,
        stage: StageIndex,
        told: Told,
        by: String,
    ) -> Result<(), Stale> {
        let state = self.execution.stages.get(stage as usize).ok_or(Stale::StageMovedOn)?;
        let (task, state) = state.current().ok_or(Stale::StageMovedOn)?;
        if !matches!(state.attempt, Attempt::Unknown { .. }) {
            return Err(Stale::StageMovedOn);
        }
        self.announce(Fact::OutcomeTold { stage, told, by });
        match told {
            Told::Done => self.end_task(stage, task, Status::Succeeded),
            Told::Repeat => self.dispatch(stage, task),
            Told::Fail => self.fail_task(stage, task),
        }
        Ok(())
    }
}

impl crate::Execution {
    /// The command that lets the stage's worker begin; none if it is to end.
    pub(crate) fn grant_command(&self, index: StageIndex) -> Option<Command> {
        let stage = self.stage(index);
        let (task, state) = stage.current()?;
        let Attempt::Leased { epoch, worker, .. } = &state.attempt else { return None };
        if stage.is_ending() {
            return None;
        }
        let attempt = AttemptKey { stage: index, run: stage.run, task, number: state.number };
        Some(Command::Grant { attempt, epoch: *epoch, worker: worker.clone() })
    }
}
