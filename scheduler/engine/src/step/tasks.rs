//! Tasks follow one another.

use shared_model::{Status, TaskIndex};

use crate::command::{Command, Evaluate, Fact};
use crate::event::{Outcome, StageIndex, Timer};
use crate::plan::{Settings, TaskKind};
use crate::stage::{Attempt, Phase};
use crate::step::{Stale, Turn};

/// What a failure of a task makes of it and its stage (reference §4.3, scenarios H29).
pub(crate) fn failure_status(settings: &Settings) -> Status {
    match settings {
        Settings { continue_pipeline: true, .. } => Status::FailedContinue,
        Settings { fail_pipeline: true, .. } => Status::Terminal,
        Settings { .. } => Status::Stopped,
    }
}

impl Turn<'_> {
    /// Starts a task; behind the last one the stage's tasks are done.
    pub(crate) fn start_task(&mut self, stage: StageIndex, index: TaskIndex) {
        if usize::from(index) >= self.execution.stage(stage).task_count() {
            return self.tasks_done(stage);
        }
        let at = self.at;
        self.touch(stage).phase = Phase::Task(index);
        let Some(task) = self.task(stage, index) else { return };
        task.status = Status::Running;
        task.start_time = Some(at);
        match task.kind.clone() {
            TaskKind::Worker { .. } => {
                task.number = 1;
                self.dispatch(stage, index);
            }
            TaskKind::Native => {
                self.command(Command::Evaluate { stage, what: Evaluate::Native(index) });
            }
            TaskKind::Wait { until } => self.arm(Timer::Wait(stage), until),
            TaskKind::Judgment => {}
            TaskKind::Child => self.command(Command::WatchChild { stage }),
        }
    }

    /// Ends a task; what follows depends on how (scenarios H42–H44).
    pub(crate) fn end_task(&mut self, stage: StageIndex, index: TaskIndex, status: Status) {
        let at = self.at;
        if let Some(task) = self.task(stage, index) {
            task.status = status;
            task.end_time = Some(at);
            task.attempt = Attempt::None;
        }
        let is_last = usize::from(index) + 1 >= self.execution.stage(stage).task_count();
        match () {
            () if status.is_halt() || is_last => self.tasks_done(stage),
            () if self.is_ending() && self.owner(stage).is_none() => {
                self.end(stage, Status::Canceled)
            }
            () => self.start_task(stage, index + 1),
        }
    }

    pub(crate) fn fail_task(&mut self, stage: StageIndex, index: TaskIndex) {
        let status = failure_status(&self.execution.stage(stage).settings());
        self.end_task(stage, index, status);
    }

    pub(crate) fn native_finished(
        &mut self,
        stage: StageIndex,
        task: TaskIndex,
        outcome: &Outcome,
        expressions_failed: bool,
    ) -> Result<(), Stale> {
        self.in_phase(stage, Phase::Task(task))?;
        if !matches!(
            self.execution.stage(stage).task(task).kind,
            TaskKind::Native | TaskKind::Child
        ) {
            return Err(Stale::StageMovedOn);
        }
        self.note_expressions(stage, expressions_failed);
        if let Some(ending) = self.execution.stage(stage).ending() {
            self.end_current(stage, ending.status);
            return Ok(());
        }
        match outcome {
            Outcome::Succeeded => self.end_task(stage, task, Status::Succeeded),
            Outcome::Skipped => self.end_task(stage, task, Status::Skipped),
            Outcome::Stopped => self.end_task(stage, task, Status::Stopped),
            Outcome::FailedContinue => self.end_task(stage, task, Status::FailedContinue),
            Outcome::Redirect => self.go_round(stage),
            // Somebody cancelled the execution that it waited for.
            Outcome::Canceled => self.end_task(stage, task, Status::Canceled),
            // The scheduler computes at once: there is nothing to wait for and nobody to lose.
            Outcome::Failed { .. } | Outcome::Again { .. } | Outcome::HandedOver => {
                self.fail_task(stage, task);
            }
        }
        Ok(())
    }

    pub(crate) fn note_expressions(&mut self, stage: StageIndex, failed: bool) {
        if let Some(body) = self.touch(stage).body.as_mut() {
            body.expressions_failed = failed;
        }
    }

    /// The loop goes round again: a new run of the stage, so that its effects have new keys (D5).
    pub(crate) fn go_round(&mut self, stage: StageIndex) {
        let state = self.touch(stage);
        state.run += 1;
        if let Some(body) = state.body.as_mut() {
            body.tasks.iter_mut().for_each(crate::stage::Task::reset);
        }
        self.start_task(stage, 0);
    }

    pub(crate) fn judged(
        &mut self,
        stage: StageIndex,
        proceed: bool,
        by: String,
    ) -> Result<(), Stale> {
        let task = self.running(stage, |kind| matches!(kind, TaskKind::Judgment))?;
        self.announce(Fact::Judged { stage, proceed, by });
        if proceed {
            self.end_task(stage, task, Status::Succeeded);
        } else {
            self.fail_task(stage, task);
        }
        Ok(())
    }

    pub(crate) fn wait_ended(&mut self, stage: StageIndex, by: String) -> Result<(), Stale> {
        let task = self.running(stage, |kind| matches!(kind, TaskKind::Wait { .. }))?;
        self.announce(Fact::WaitEnded { stage, by });
        self.end_task(stage, task, Status::Succeeded);
        Ok(())
    }

    pub(crate) fn wait_is_over(&mut self, stage: StageIndex) -> Result<(), Stale> {
        let task = self
            .running(stage, |kind| matches!(kind, TaskKind::Wait { .. }))
            .map_err(|_| Stale::TimerMovedOn)?;
        match self.execution.stage(stage).task(task).kind {
            TaskKind::Wait { until } if until > self.at => self.arm(Timer::Wait(stage), until),
            TaskKind::Wait { .. }
            | TaskKind::Worker { .. }
            | TaskKind::Native
            | TaskKind::Child
            | TaskKind::Judgment => self.end_task(stage, task, Status::Succeeded),
        }
        Ok(())
    }

    /// The task that runs now, if it is of a kind.
    fn running(
        &self,
        stage: StageIndex,
        is_meant: impl Fn(&TaskKind) -> bool,
    ) -> Result<TaskIndex, Stale> {
        let state = self.execution.stages.get(stage as usize).ok_or(Stale::StageMovedOn)?;
        match state.current() {
            Some((index, task)) if is_meant(&task.kind) => Ok(index),
            Some(_) | None => Err(Stale::StageMovedOn),
        }
    }
}
