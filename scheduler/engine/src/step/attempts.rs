//! Attempts: given out, claimed, lost, tried again, reported.

use jiff::SignedDuration;
use shared_model::{Epoch, Retry, Status, TaskIndex, WorkerId};

use crate::command::{Cause, Command, Fact};
use crate::event::{AttemptKey, Outcome, StageIndex, Timer};
use crate::plan::TaskKind;
use crate::retry;
use crate::stage::Attempt;
use crate::step::{Stale, Turn};

impl Turn<'_> {
    /// Gives the newest attempt at a task out, with the next epoch.
    pub(crate) fn dispatch(&mut self, stage: StageIndex, index: TaskIndex) {
        self.execution.head.dispatches += 1;
        let (epoch, since) = (Epoch(self.execution.head.dispatches), self.at);
        if let Some(task) = self.task(stage, index) {
            task.attempt = Attempt::Queued { epoch, since };
        }
        if let Some(command) = self.execution.dispatch_command(stage) {
            self.command(command);
        }
    }

    pub(crate) fn granted(
        &mut self,
        attempt: AttemptKey,
        epoch: Epoch,
        worker: WorkerId,
        waits: bool,
    ) -> Result<(), Stale> {
        self.current_epoch(attempt, epoch)?;
        self.not_unknown(attempt)?;
        let since = self.at;
        let Some(task) = self.task(attempt.stage, attempt.task) else { return Ok(()) };
        if let Attempt::Leased { worker: holder, .. } = &task.attempt {
            // The same word may come twice; another's is stale, and ends that other.
            if *holder != worker {
                return Err(Stale::StageMovedOn);
            }
        } else {
            task.attempt = Attempt::Leased { epoch, worker: worker.clone(), since };
            self.announce(Fact::AttemptStarted { attempt, worker });
        }
        if (waits || self.is_unkeyed(attempt))
            && let Some(command) = self.execution.grant_command(attempt.stage)
        {
            self.command(command);
        }
        Ok(())
    }

    /// Of short work only the end is reported: whose it was is told with it.
    pub(crate) fn tell_beginning(&mut self, attempt: AttemptKey, worker: WorkerId) {
        let task = self.execution.stage(attempt.stage).task(attempt.task);
        if matches!(task.attempt, Attempt::Queued { .. }) {
            self.announce(Fact::AttemptStarted { attempt, worker });
        }
    }

    /// A worker reported the end of an attempt, with its newest epoch; one that still waits was
    /// granted without our hearing of it.
    pub(crate) fn attempt_finished(
        &mut self,
        attempt: AttemptKey,
        epoch: Epoch,
        outcome: &Outcome,
        expressions_failed: bool,
    ) -> Result<(), Stale> {
        let AttemptKey { stage, task, .. } = attempt;
        if matches!(outcome, Outcome::Canceled | Outcome::HandedOver) {
            self.not_unknown(attempt)?;
        }
        self.note_expressions(stage, expressions_failed);
        if let Some(ending) = self.execution.stage(stage).ending() {
            // What took too long may say that it goes on all the same (scenarios H39).
            let goes_on = ending.status.is_failure() && *outcome == Outcome::FailedContinue;
            let status = if goes_on { Status::FailedContinue } else { ending.status };
            self.end_current(stage, status);
            return Ok(());
        }
        match outcome {
            Outcome::Succeeded => self.end_task(stage, task, Status::Succeeded),
            Outcome::Skipped => self.end_task(stage, task, Status::Skipped),
            Outcome::Stopped => self.end_task(stage, task, Status::Stopped),
            Outcome::FailedContinue => self.end_task(stage, task, Status::FailedContinue),
            Outcome::Redirect => self.go_round(stage),
            Outcome::Again { after } => self.pause(stage, task, *after, false),
            Outcome::Failed { retry: Retry::Never } => self.fail_task(stage, task),
            Outcome::Failed { retry: Retry::Later } => self.try_again(attempt),
            // Nobody cancelled it, as nothing is ending: its worker gave it up.
            Outcome::Canceled if self.is_unkeyed(attempt) => self.outcome_unknown(attempt, epoch),
            Outcome::Canceled | Outcome::HandedOver => {
                self.take_over(attempt, Fact::AttemptHandedOver { attempt });
            }
        }
        Ok(())
    }

    fn try_again(&mut self, failed: AttemptKey) {
        if failed.number >= self.execution.bounds.attempts_max {
            let cause = Cause::AttemptsSpent { attempts: failed.number };
            self.announce(Fact::StageGaveUp { stage: failed.stage, cause });
            return self.fail_task(failed.stage, failed.task);
        }
        let wait = retry::pause(failed);
        let at = self.at.checked_add(wait).unwrap_or(self.at);
        self.announce(Fact::AttemptRetried { attempt: failed, at });
        self.pause(failed.stage, failed.task, wait, true);
    }

    fn pause(&mut self, stage: StageIndex, index: TaskIndex, wait: SignedDuration, retry: bool) {
        let since = self.at;
        let until = since.checked_add(wait).unwrap_or(since);
        if let Some(task) = self.task(stage, index) {
            task.attempt = Attempt::Paused { since, until, retry };
            task.takeovers = 0;
        }
        self.arm(Timer::Retry(stage), until);
    }

    pub(crate) fn pause_is_over(&mut self, stage: StageIndex) -> Result<(), Stale> {
        let state = self.execution.stages.get(stage as usize).ok_or(Stale::TimerMovedOn)?;
        let Some((index, task)) = state.current() else { return Err(Stale::TimerMovedOn) };
        let Attempt::Paused { until, retry, .. } = task.attempt else {
            return Err(Stale::TimerMovedOn);
        };
        if until > self.at {
            self.arm(Timer::Retry(stage), until);
            return Ok(());
        }
        if retry && let Some(task) = self.task(stage, index) {
            task.number += 1;
        }
        self.dispatch(stage, index);
        Ok(())
    }

    /// The attempt's worker stopped answering.
    pub(crate) fn lost(&mut self, attempt: AttemptKey, epoch: Epoch) -> Result<(), Stale> {
        self.current_epoch(attempt, epoch)?;
        if let Some(ending) = self.execution.stage(attempt.stage).ending() {
            self.end_current(attempt.stage, ending.status);
            return Ok(());
        }
        self.not_unknown(attempt)?;
        let task = self.execution.stage(attempt.stage).task(attempt.task);
        if task.is_unkeyed() && task.worker().is_some() {
            self.outcome_unknown(attempt, epoch);
            return Ok(());
        }
        let fact = Fact::AttemptLost {
            attempt,
            worker: task.worker().cloned(),
            takeovers: task.takeovers + 1,
            takeovers_max: self.execution.bounds.takeovers_max,
        };
        self.take_over(attempt, fact);
        Ok(())
    }

    /// The same attempt goes to another worker with the next epoch; no retry is spent (D15).
    fn take_over(&mut self, attempt: AttemptKey, fact: Fact) {
        let AttemptKey { stage, task: index, .. } = attempt;
        let takeovers_max = self.execution.bounds.takeovers_max;
        let Some(task) = self.task(stage, index) else { return };
        if task.takeovers >= takeovers_max {
            let cause = Cause::TakeoversSpent { takeovers: task.takeovers };
            self.announce(Fact::StageGaveUp { stage, cause });
            return self.fail_task(stage, index);
        }
        task.takeovers += 1;
        self.announce(fact);
        self.dispatch(stage, index);
    }
}

impl crate::Execution {
    /// The command that gives the stage's waiting attempt out; `None` if none waits.
    pub(crate) fn dispatch_command(&self, index: StageIndex) -> Option<Command> {
        let stage = self.stage(index);
        let (task, state) = stage.current()?;
        let TaskKind::Worker { capability, .. } = &state.kind else { return None };
        let Attempt::Queued { epoch, .. } = state.attempt else { return None };
        Some(Command::Dispatch {
            attempt: AttemptKey { stage: index, run: stage.run, task, number: state.number },
            epoch,
            capability: capability.clone(),
            deadline: stage.body.as_ref().and_then(|body| body.timeout_at),
            needs_grant: state.is_unkeyed(),
            to_end: stage.ending().is_some(),
        })
    }
}
