//! The rules: one event in, what must happen next out.

mod abort;
mod attempts;
mod begin;
mod control;
mod finish;
mod start;
mod tasks;
mod unknown;

pub use begin::SYSTEM;

use std::collections::BTreeSet;

use jiff::Timestamp;
use shared_model::{Epoch, TaskIndex};

use crate::command::{Command, Fact};
use crate::event::{AttemptKey, Event, StageIndex, Timer};
use crate::execution::Execution;
use crate::stage::{Attempt, Phase};

/// What a step did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// What must happen next, in order.
    pub commands: Vec<Command>,
    /// Stages whose state changed and must be stored.
    pub touched: BTreeSet<StageIndex>,
    /// Synthetic stages that it added, in the order of their plans.
    pub planned: Vec<StageIndex>,
}

/// Why an event changed nothing: it came too late, twice, or from a worker that lost its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// The execution has ended.
    #[error("the execution has ended")]
    ExecutionEnded,
    /// The execution does not run: it is held, waits to begin, or only ends.
    #[error("the execution is not running; it is paused, has not begun, or is ending")]
    NotRunning,
    /// The execution is not held.
    #[error("the execution is not paused")]
    NotPaused,
    /// The stage runs.
    #[error("the stage is running; cancel it first, or wait for its end")]
    StageRuns,
    /// The execution has begun already.
    #[error("the execution has begun already")]
    ExecutionBegan,
    /// The stage is not in the state that the event is about.
    #[error("the stage does not wait for that (any more)")]
    StageMovedOn,
    /// The attempt is not the newest one.
    #[error("the attempt is not the newest one")]
    AttemptMovedOn,
    /// Somebody else has the attempt by now.
    #[error("the attempt was taken over")]
    OldEpoch,
    /// The timer was armed anew, or what it was for has ended.
    #[error("the timer is not armed")]
    TimerMovedOn,
    /// The execution is being cancelled already.
    #[error("the execution is being cancelled already")]
    AlreadyCanceled,
}

/// One step under way.
pub(crate) struct Turn<'a> {
    pub(crate) execution: &'a mut Execution,
    pub(crate) step: Step,
    pub(crate) at: Timestamp,
}

impl Execution {
    /// Applies one event and says what must happen next.
    ///
    /// # Errors
    /// [`Stale`] if the event comes too late; nothing changes then.
    pub fn step(&mut self, event: Event) -> Result<Step, Stale> {
        let begins_again = matches!(event, Event::RestartRequested { .. });
        if self.head.status.is_complete() && !begins_again {
            return Err(Stale::ExecutionEnded);
        }
        let mut turn = Turn { at: event.at(), execution: self, step: Step::default() };
        turn.event(event)?;
        turn.finish_if_done();
        Ok(turn.step)
    }
}

impl Event {
    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Evaluated { at, .. }
            | Self::NativeFinished { at, .. }
            | Self::Planned { at, .. }
            | Self::LeaseGranted { at, .. }
            | Self::AttemptFinished { at, .. }
            | Self::LeaseExpired { at, .. }
            | Self::TimerFired { at, .. }
            | Self::Judged { at, .. }
            | Self::WaitEnded { at, .. }
            | Self::OutcomeTold { at, .. }
            | Self::Started { at }
            | Self::PauseRequested { at, .. }
            | Self::ResumeRequested { at, .. }
            | Self::SkipRequested { at, .. }
            | Self::RestartRequested { at, .. }
            | Self::ForceCancelRequested { at, .. }
            | Self::CancelRequested { at, .. } => *at,
        }
    }
}

impl<'a> Turn<'a> {
    /// The first step of an execution.
    pub(crate) fn begin(execution: &'a mut Execution, at: Timestamp) -> Step {
        let mut turn = Turn { execution, step: Step::default(), at };
        let count = turn.execution.stage_count();
        turn.step.touched.extend(0..count);
        turn.begin_or_wait();
        turn.finish_if_done();
        turn.step
    }

    fn event(&mut self, event: Event) -> Result<(), Stale> {
        match event {
            Event::Evaluated { stage, start, at: _ } => self.evaluated(stage, start),
            Event::NativeFinished { stage, task, outcome, expressions_failed, at: _ } => {
                self.native_finished(stage, task, &outcome, expressions_failed)
            }
            Event::Planned { stage, on_failure, planned, at: _ } => {
                self.planned(stage, on_failure, planned)
            }
            Event::LeaseGranted { attempt, epoch, worker, waits, at: _ } => {
                self.granted(attempt, epoch, worker, waits)
            }
            Event::AttemptFinished {
                attempt,
                epoch,
                worker,
                outcome,
                expressions_failed,
                at: _,
            } => {
                self.current_epoch(attempt, epoch)?;
                self.not_anothers(attempt, &worker)?;
                self.tell_beginning(attempt, worker);
                self.attempt_finished(attempt, epoch, &outcome, expressions_failed)
            }
            Event::LeaseExpired { attempt, epoch, at: _ } => self.lost(attempt, epoch),
            Event::TimerFired { timer, at: _ } => self.fired(timer),
            Event::Judged { stage, proceed, by, at: _ } => self.judged(stage, proceed, by),
            Event::WaitEnded { stage, by, at: _ } => self.wait_ended(stage, by),
            Event::OutcomeTold { stage, told, by, at: _ } => self.outcome_told(stage, told, by),
            Event::Started { at: _ } => self.started(),
            Event::PauseRequested { by, at: _ } => self.pause_all(by),
            Event::ResumeRequested { by, at: _ } => self.resume_all(by),
            Event::SkipRequested { stage, by, at: _ } => self.skip(stage, by),
            Event::RestartRequested { stage, by, at: _ } => self.restart(stage, by),
            Event::ForceCancelRequested { by, reason, at: _ } => {
                self.force_cancel(by, reason);
                Ok(())
            }
            Event::CancelRequested { by, reason, at: _ } => self.cancel(by, reason),
        }
    }

    fn fired(&mut self, timer: Timer) -> Result<(), Stale> {
        if self.is_held(timer) {
            return Err(Stale::TimerMovedOn);
        }
        match timer {
            Timer::Wait(stage) => self.wait_is_over(stage),
            Timer::StageTimeout(stage) => self.time_is_up(stage),
            Timer::Retry(stage) => self.pause_is_over(stage),
            Timer::Abort(stage) => self.abort_was_ignored(stage),
            Timer::StartExpiry => self.start_has_expired(),
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        if !self.execution.holds_back(&command) {
            self.step.commands.push(command);
        }
    }

    pub(crate) fn announce(&mut self, fact: Fact) {
        self.command(Command::Announce { fact });
    }

    pub(crate) fn arm(&mut self, timer: Timer, at: Timestamp) {
        self.command(Command::Arm { timer, at });
    }

    /// A stage that is about to change.
    pub(crate) fn touch(&mut self, stage: StageIndex) -> &mut crate::stage::Stage {
        self.step.touched.insert(stage);
        self.execution.stage_mut(stage)
    }

    /// A task that is about to change.
    pub(crate) fn task(
        &mut self,
        stage: StageIndex,
        task: TaskIndex,
    ) -> Option<&mut crate::stage::Task> {
        let body = self.touch(stage).body.as_mut()?;
        body.tasks.get_mut(usize::from(task))
    }

    /// Whether the execution only waits for running work to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.execution.head.verdict.is_some()
    }

    /// The attempt's stage and task, if it is the newest attempt at the task that runs now.
    pub(crate) fn newest(&self, attempt: AttemptKey) -> Result<(), Stale> {
        if attempt.stage >= self.execution.stage_count() {
            return Err(Stale::AttemptMovedOn);
        }
        let stage = self.execution.stage(attempt.stage);
        match stage.current() {
            Some((task, state))
                if task == attempt.task
                    && stage.run == attempt.run
                    && state.number == attempt.number =>
            {
                Ok(())
            }
            Some(_) | None => Err(Stale::AttemptMovedOn),
        }
    }

    /// Whether the epoch is the one that the newest attempt was given out with.
    pub(crate) fn current_epoch(&self, attempt: AttemptKey, epoch: Epoch) -> Result<(), Stale> {
        self.newest(attempt)?;
        match &self.execution.stage(attempt.stage).task(attempt.task).attempt {
            Attempt::Queued { epoch: newest, .. }
            | Attempt::Leased { epoch: newest, .. }
            | Attempt::Unknown { epoch: newest, .. } => {
                if *newest == epoch {
                    Ok(())
                } else {
                    Err(Stale::OldEpoch)
                }
            }
            Attempt::None | Attempt::Paused { .. } => Err(Stale::OldEpoch),
        }
    }

    /// A stage in this phase.
    pub(crate) fn in_phase(&self, stage: StageIndex, phase: Phase) -> Result<(), Stale> {
        let known = stage < self.execution.stage_count();
        let fits = known && self.execution.stage(stage).phase == phase;
        if fits { Ok(()) } else { Err(Stale::StageMovedOn) }
    }
}
