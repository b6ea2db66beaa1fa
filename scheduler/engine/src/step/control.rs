//! What people do to an execution: hold it, let it go on, skip a stage, begin one again, end it at once.

use std::collections::BTreeSet;

use shared_model::Status;

use crate::command::{Command, Fact};
use crate::event::{AttemptKey, StageIndex, Timer};
use crate::execution::{Cancel, Execution, Pause};
use crate::outstanding;
use crate::plan::TaskKind;
use crate::stage::{Attempt, Phase, Stage};
use crate::step::{Stale, Turn};

impl Turn<'_> {
    /// Nothing begins from now on; what workers have goes on to its end.
    pub(crate) fn pause_all(&mut self, by: String) -> Result<(), Stale> {
        if self.execution.head.status != Status::Running || self.is_ending() {
            return Err(Stale::NotRunning);
        }
        let pause = Pause { by: by.clone(), at: self.at, resumed: None };
        self.execution.head.pause = Some(pause);
        self.execution.head.status = Status::Paused;
        self.announce(Fact::Paused { by });
        Ok(())
    }

    pub(crate) fn resume_all(&mut self, by: String) -> Result<(), Stale> {
        let at = self.at;
        let head = &mut self.execution.head;
        let pause = head.pause.as_mut().filter(|_| head.status == Status::Paused);
        let pause = pause.ok_or(Stale::NotPaused)?;
        pause.resumed = Some((by.clone(), at));
        let since = pause.at;
        head.status = Status::Running;
        self.announce(Fact::Resumed { by });
        // The time of a stage that was held does not count (scenarios H37).
        for stage in self.execution.active.clone() {
            let began =
                self.execution.stage(stage).start_time.map_or(since, |began| began.max(since));
            self.postpone_timeout(stage, at.duration_since(began));
        }
        self.go_on();
        Ok(())
    }

    /// Does what was held back.
    pub(crate) fn go_on(&mut self) {
        self.step.commands.extend(outstanding(self.execution));
    }

    /// Whether a timer is of no use while the execution is held: it is armed again afterwards.
    pub(crate) fn is_held(&self, timer: Timer) -> bool {
        self.execution.holds_back(&Command::Arm { timer, at: self.at })
    }

    /// Ends a stage, and everything in it, as if there had been nothing to do (scenarios H46, H63, H64).
    pub(crate) fn skip(&mut self, stage: StageIndex, by: String) -> Result<(), Stale> {
        let top = self.execution.top_of(stage).ok_or(Stale::StageMovedOn)?;
        let state = self.execution.stage(top);
        let is_held = self.execution.head.status == Status::Paused;
        if state.status != Status::Running || state.is_ending() || is_held {
            return Err(Stale::StageMovedOn);
        }
        self.announce(Fact::StageSkipped { stage: top, by });
        self.abort(top, Status::Skipped);
        for below in self.execution.below(top) {
            let state = self.execution.stage(below);
            if state.status == Status::NotStarted && !self.execution.active.contains(&below) {
                self.touch(below).status = Status::Skipped;
            }
        }
        Ok(())
    }

    /// Ends everything now, whatever workers do about it: they are told, and not waited for.
    pub(crate) fn force_cancel(&mut self, by: String, reason: String) {
        let at = self.at;
        if self.execution.head.canceled.is_none() {
            let cancel = Cancel { by: by.clone(), reason: reason.clone(), at };
            self.execution.head.canceled = Some(cancel);
        }
        self.announce(Fact::CancelRequested { by, reason });
        self.execution.head.verdict.get_or_insert(Status::Canceled);
        let active: Vec<StageIndex> = self.execution.active.iter().copied().collect();
        for stage in &active {
            self.tell_to_end(*stage);
        }
        // Those that were planned come after those that planned them.
        for stage in active.into_iter().rev() {
            if self.execution.active.contains(&stage) {
                self.end_current(stage, Status::Canceled);
            }
        }
    }

    fn tell_to_end(&mut self, stage: StageIndex) {
        let state = self.execution.stage(stage);
        if state.phase == Phase::Evaluating {
            self.touch(stage).phase = Phase::Idle;
            self.execution.active.remove(&stage);
            return;
        }
        if let Some((index, task)) = state.current() {
            let attempt = AttemptKey { stage, run: state.run, task: index, number: task.number };
            if let Attempt::Leased { epoch, worker, .. } = &task.attempt {
                let (epoch, worker) = (*epoch, Some(worker.clone()));
                self.command(Command::Abort { attempt, epoch, worker });
            } else if task.kind == TaskKind::Child {
                self.command(Command::CancelChild { stage });
            }
        }
        self.note_ending_now(stage, Status::Canceled);
    }

    /// Begins a stage again, and with it everything behind it that has ended (scenarios H76–H78).
    pub(crate) fn restart(&mut self, stage: StageIndex, by: String) -> Result<(), Stale> {
        let top = self.execution.top_of(stage).ok_or(Stale::StageMovedOn)?;
        let has_ended = self.execution.head.status.is_complete();
        let is_open =
            has_ended || (self.execution.head.status == Status::Running && !self.is_ending());
        if !is_open {
            return Err(Stale::NotRunning);
        }
        if self.execution.active.contains(&top) {
            return Err(Stale::StageRuns);
        }
        if !has_ended && self.execution.stage(top).status == Status::NotStarted {
            // It begins by itself when its turn comes.
            return Ok(());
        }
        self.announce(Fact::StageRestarted { stage: top, by });
        for again in self.execution.restarts_with(top) {
            self.reset(again);
        }
        self.execution.derive();
        if has_ended {
            self.open_again();
            self.begin_or_wait();
        } else {
            self.begin_ready();
        }
        Ok(())
    }

    fn open_again(&mut self) {
        let stages = self.execution.stages.iter();
        let fails =
            stages.filter(|stage| stage.status == Status::Stopped && stage.synthetic.is_none());
        let fails_at_end =
            fails.map(Stage::settings).any(|all| all.complete_other_branches_then_fail);
        let head = &mut self.execution.head;
        head.status = Status::NotStarted;
        (head.start_time, head.end_time) = (None, None);
        (head.canceled, head.verdict) = (None, None);
        head.fails_at_end = fails_at_end;
        head.start_rule.expires_at = None;
    }

    /// Everything of a stage's run is gone, but for its effects: the next run has keys of its own (D5).
    fn reset(&mut self, stage: StageIndex) {
        for below in self.execution.below(stage) {
            let state = self.touch(below);
            state.removed = true;
            clear(state);
        }
        let state = self.touch(stage);
        state.run += 1;
        clear(state);
    }
}

fn clear(stage: &mut Stage) {
    stage.status = Status::NotStarted;
    (stage.start_time, stage.end_time) = (None, None);
    stage.phase = Phase::Idle;
    stage.body = None;
}

impl Execution {
    /// Whether a command is not carried out while the execution is held.
    pub(crate) fn holds_back(&self, command: &Command) -> bool {
        self.head.status == Status::Paused
            && match command {
                Command::Evaluate { .. } => true,
                Command::Dispatch { to_end, .. } => !to_end,
                Command::Arm { timer, .. } => match timer {
                    Timer::Wait(_) | Timer::StageTimeout(_) | Timer::Retry(_) => true,
                    Timer::Abort(_) | Timer::StartExpiry => false,
                },
                Command::Grant { .. }
                | Command::Abort { .. }
                | Command::WatchChild { .. }
                | Command::CancelChild { .. }
                | Command::AskToStart
                | Command::Announce { .. } => false,
            }
    }

    /// The document's stage that a stage belongs to: itself, or the one that planned it.
    pub(crate) fn top_of(&self, stage: StageIndex) -> Option<StageIndex> {
        let found = self.stages.get(stage as usize)?;
        match found.synthetic() {
            None => Some(stage),
            Some(synthetic) => self.top_of(synthetic.parent),
        }
    }

    /// The document's stage that a stage belongs to.
    pub fn top_level(&self, stage: StageIndex) -> StageIndex {
        self.top_of(stage).unwrap_or(stage)
    }

    /// The stages that a stage planned, at any depth.
    pub(crate) fn below(&self, stage: StageIndex) -> Vec<StageIndex> {
        let children = self.stage(stage).children.iter();
        children.flat_map(|child| [*child].into_iter().chain(self.below(*child))).collect()
    }

    /// The stages that begin again with one of the document's: itself, and what has ended behind it.
    pub fn restarts_with(&self, stage: StageIndex) -> Vec<StageIndex> {
        let Some(top) = self.top_of(stage) else { return Vec::new() };
        let (mut seen, mut queue) = (BTreeSet::from([top]), vec![top]);
        while let Some(index) = queue.pop() {
            let downstream = self.stage(index).downstream.iter().copied();
            let ended = downstream.filter(|next| self.stage(*next).status.is_complete());
            queue.extend(ended.filter(|next| seen.insert(*next)).collect::<Vec<_>>());
        }
        seen.into_iter().collect()
    }

    /// Where a stage stands for people: one that is held shows it (scenarios H83).
    pub fn shown_status(&self, index: StageIndex) -> Status {
        let stage = self.stage(index);
        if self.head.status != Status::Paused || stage.status != Status::Running {
            return stage.status;
        }
        let is_held = match stage.phase {
            Phase::Task(task) => !matches!(
                stage.task(task).attempt,
                Attempt::Leased { .. } | Attempt::Unknown { .. }
            ),
            Phase::Before | Phase::After | Phase::OnFailure(_) => {
                let mut children = stage.children.iter();
                children.all(|child| self.shown_status(*child) != Status::Running)
            }
            Phase::Idle
            | Phase::Evaluating
            | Phase::PlanningAfter
            | Phase::PlanningOnFailure(_) => true,
        };
        if is_held { Status::Paused } else { Status::Running }
    }
}
