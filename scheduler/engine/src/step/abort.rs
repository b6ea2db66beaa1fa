//! Stages that are to end before they are done: other branches failed, a user cancelled, time is up.

use jiff::SignedDuration;
use shared_model::{Status, TaskIndex};

use crate::command::{Cause, Command, Fact};
use crate::event::{AttemptKey, StageIndex, Timer};
use crate::plan::TaskKind;
use crate::stage::{Attempt, Ending, Phase};
use crate::step::tasks::failure_status;
use crate::step::{Stale, Turn};

/// How long a worker may take to end an attempt that it is told to end.
const ABORT_GRACE: SignedDuration = SignedDuration::from_secs(30);
/// How long another execution may take to end: its own workers have their time in it, and those of
/// the executions that it started.
const CHILD_GRACE: SignedDuration = SignedDuration::from_mins(10);

impl Turn<'_> {
    /// Ends a stage with a status, at once or as soon as its worker has ended.
    pub(crate) fn abort(&mut self, stage: StageIndex, status: Status) {
        if !self.execution.active.contains(&stage) || self.execution.stage(stage).ending().is_some()
        {
            return;
        }
        match self.execution.stage(stage).phase {
            Phase::Evaluating => {
                self.touch(stage).phase = Phase::Idle;
                self.execution.active.remove(&stage);
                self.withdrawn(stage);
            }
            Phase::Task(task) if self.ends_by_itself(stage, task) => {}
            Phase::Task(task) => self.abort_task(stage, task, status),
            Phase::Before | Phase::After | Phase::OnFailure(_) => self.abort_parent(stage, status),
            Phase::PlanningAfter | Phase::PlanningOnFailure(_) | Phase::Idle => {
                self.end(stage, status);
            }
        }
    }

    /// Whether the task is under way in the scheduler itself: it ends in no time, and as itself, also
    /// when another branch has failed meanwhile (as in Orca, where both have run by then).
    fn ends_by_itself(&self, stage: StageIndex, task: TaskIndex) -> bool {
        self.execution.stage(stage).task(task).kind == TaskKind::Native
            && self.owner(stage).is_none()
            && self.execution.head.canceled.is_none()
    }

    /// A synthetic stage that was about to start does not: its parent may be waiting for it alone.
    fn withdrawn(&mut self, stage: StageIndex) {
        let parent = self.execution.stage(stage).synthetic().map(|synthetic| synthetic.parent);
        let Some(parent) = parent else { return };
        if let Some(ending) = self.execution.stage(parent).ending()
            && !self.has_active_children(parent)
        {
            self.end(parent, ending.status);
        }
    }

    fn abort_task(&mut self, stage: StageIndex, index: TaskIndex, status: Status) {
        let state = self.execution.stage(stage);
        let task = state.task(index);
        if task.kind == TaskKind::Child {
            let at_last = self.note_ending(stage, status, CHILD_GRACE);
            self.command(Command::CancelChild { stage });
            return self.arm(Timer::Abort(stage), at_last);
        }
        if task.is_told_at_rest() {
            return self.abort_at_rest(stage, index, status);
        }
        let Attempt::Leased { epoch, worker, .. } = &task.attempt else {
            return self.end_current(stage, status);
        };
        let attempt = AttemptKey { stage, run: state.run, task: index, number: task.number };
        let (epoch, worker) = (*epoch, Some(worker.clone()));
        let at_last = self.note_ending(stage, status, ABORT_GRACE);
        self.command(Command::Abort { attempt, epoch, worker });
        self.arm(Timer::Abort(stage), at_last);
    }

    /// Gives an attempt that no worker has out once more, so that one tells who waits for it.
    fn abort_at_rest(&mut self, stage: StageIndex, index: TaskIndex, status: Status) {
        let at_last = self.note_ending(stage, status, ABORT_GRACE);
        self.dispatch(stage, index);
        self.arm(Timer::Abort(stage), at_last);
    }

    /// The stage ends in this step.
    pub(crate) fn note_ending_now(&mut self, stage: StageIndex, status: Status) {
        self.note_ending(stage, status, SignedDuration::ZERO);
    }

    fn note_ending(
        &mut self,
        stage: StageIndex,
        status: Status,
        grace: SignedDuration,
    ) -> jiff::Timestamp {
        let at_last = self.at.checked_add(grace).unwrap_or(self.at);
        if let Some(body) = self.touch(stage).body.as_mut() {
            body.ending = Some(Ending { status, at_last });
        }
        at_last
    }

    fn abort_parent(&mut self, stage: StageIndex, status: Status) {
        self.note_ending(stage, status, ABORT_GRACE);
        // What is skipped is skipped as a whole (scenarios H64).
        let below = if status == Status::Skipped { status } else { Status::Canceled };
        self.abort_children(stage, below);
        let still_active = self.execution.active.contains(&stage);
        if still_active && !self.has_active_children(stage) {
            self.end(stage, status);
        }
    }

    pub(crate) fn abort_children(&mut self, parent: StageIndex, status: Status) {
        for child in self.execution.stage(parent).children.clone() {
            self.abort(child, status);
        }
    }

    /// Ends the task that runs now, and the stage with it.
    pub(crate) fn end_current(&mut self, stage: StageIndex, status: Status) {
        let at = self.at;
        if let Phase::Task(index) = self.execution.stage(stage).phase
            && let Some(task) = self.task(stage, index)
        {
            task.status = status;
            task.end_time = Some(at);
            task.attempt = Attempt::None;
        }
        self.end(stage, status);
    }

    /// The worker did not end what it was told to end.
    pub(crate) fn abort_was_ignored(&mut self, stage: StageIndex) -> Result<(), Stale> {
        let state = self.execution.stages.get(stage as usize).ok_or(Stale::TimerMovedOn)?;
        let active = self.execution.active.contains(&stage);
        let ending = state.ending().filter(|_| active).ok_or(Stale::TimerMovedOn)?;
        if ending.at_last > self.at {
            self.arm(Timer::Abort(stage), ending.at_last);
            return Ok(());
        }
        self.announce(Fact::StageGaveUp { stage, cause: Cause::AbortIgnored });
        self.end_current(stage, ending.status);
        Ok(())
    }

    /// A stage took longer than it may.
    pub(crate) fn time_is_up(&mut self, stage: StageIndex) -> Result<(), Stale> {
        let state = self.execution.stages.get(stage as usize).ok_or(Stale::TimerMovedOn)?;
        let running = state.status == Status::Running && state.ending().is_none();
        let body = state.body.as_ref().filter(|_| running).ok_or(Stale::TimerMovedOn)?;
        let until = body.timeout_at.ok_or(Stale::TimerMovedOn)?;
        if until > self.at {
            self.arm(Timer::StageTimeout(stage), until);
            return Ok(());
        }
        if self.waits_for_window(stage) {
            // Once it is open there is more time.
            return Ok(());
        }
        if body.settings.mark_successful_on_timeout {
            self.abort(stage, Status::Succeeded);
            return Ok(());
        }
        let status = failure_status(&body.settings);
        self.announce(Fact::StageGaveUp { stage, cause: Cause::TimedOut });
        self.abort(stage, status);
        Ok(())
    }
}
