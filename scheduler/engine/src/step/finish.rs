//! Stages end, others begin, the execution ends.

use jiff::SignedDuration;
use shared_model::Status;

use crate::command::{Cause, Command, Evaluate, Fact};
use crate::event::{StageIndex, Timer};
use crate::plan::Owner;
use crate::stage::Phase;
use crate::step::tasks::failure_status;
use crate::step::{Stale, Turn};
use crate::window;

impl Turn<'_> {
    /// The tasks are done, or one of them halted: what the stage type plans behind them comes next.
    pub(crate) fn tasks_done(&mut self, stage: StageIndex) {
        let status = self.verdict_of_parts(stage);
        let Some(body) = self.execution.stage(stage).body.as_ref() else { return };
        let after = body.plans_after;
        if status == Status::Succeeded && after {
            self.touch(stage).phase = Phase::PlanningAfter;
            return self.command(Command::Evaluate { stage, what: Evaluate::After });
        }
        self.end_or_make_good(stage, status);
    }

    /// Ends a stage, after what it plans because it failed, where it did and plans something.
    fn end_or_make_good(&mut self, stage: StageIndex, status: Status) {
        let body = self.execution.stage(stage).body.as_ref();
        let plans = body.is_some_and(|body| body.plans_on_failure);
        if !plans || !status.is_failure() || self.is_ending() {
            return self.end(stage, status);
        }
        self.touch(stage).phase = Phase::PlanningOnFailure(status);
        self.command(Command::Evaluate { stage, what: Evaluate::OnFailure });
    }

    /// What a stage's parts come to (scenarios H48, H58).
    pub(crate) fn verdict_of_parts(&mut self, stage: StageIndex) -> Status {
        let state = self.execution.stage(stage);
        let settings = state.settings();
        let expressions_failed = state.body.as_ref().is_some_and(|body| body.expressions_failed);
        let children = state.children.iter().map(|child| self.execution.stage(*child).status);
        let parts: Vec<Status> =
            children.chain(state.tasks().iter().map(|task| task.status)).collect();
        if settings.fail_on_failed_expressions && expressions_failed {
            self.announce(Fact::StageGaveUp { stage, cause: Cause::ExpressionsFailed });
            return Status::Terminal;
        }
        let any = |status: Status| parts.contains(&status);
        match () {
            () if any(Status::Terminal) => failure_status(&settings),
            () if any(Status::Stopped) => Status::Stopped,
            () if any(Status::Canceled) => Status::Canceled,
            () if any(Status::FailedContinue) => Status::FailedContinue,
            () if parts.iter().all(|part| part.lets_downstream_start()) => Status::Succeeded,
            () => Status::Terminal,
        }
    }

    /// Ends a stage; what waits for it goes on.
    pub(crate) fn end(&mut self, stage: StageIndex, status: Status) {
        let at = self.at;
        let state = self.touch(stage);
        state.status = status;
        state.end_time = Some(at);
        state.phase = Phase::Idle;
        self.execution.active.remove(&stage);
        self.announce(Fact::StageFinished { stage, status });
        match self.execution.stage(stage).synthetic().map(|synthetic| synthetic.parent) {
            Some(parent) => self.child_ended(parent, stage, status),
            None => self.top_level_ended(stage, status),
        }
    }

    fn top_level_ended(&mut self, stage: StageIndex, status: Status) {
        match status {
            Status::Succeeded | Status::FailedContinue | Status::Skipped => self.let_through(stage),
            Status::Terminal | Status::Canceled => self.halt(status),
            Status::Stopped => {
                let fails =
                    self.execution.stage(stage).settings().complete_other_branches_then_fail;
                self.execution.head.fails_at_end |= fails;
            }
            Status::NotStarted
            | Status::Running
            | Status::Paused
            | Status::Suspended
            | Status::Redirect
            | Status::Buffered => {}
        }
    }

    /// Stages that waited for this one start once nothing else keeps them.
    fn let_through(&mut self, stage: StageIndex) {
        for next in 0..self.execution.stage(stage).downstream.len() {
            let next = self.execution.stage(stage).downstream[next];
            let state = self.execution.stage_mut(next);
            state.remaining = state.remaining.saturating_sub(1);
            let is_open = state.status == Status::NotStarted && state.phase == Phase::Idle;
            if state.remaining == 0 && is_open && !self.is_ending() {
                self.make_ready(next);
            }
        }
    }

    /// The execution is decided: everything else ends (scenarios H69).
    pub(crate) fn halt(&mut self, verdict: Status) {
        self.execution.head.verdict.get_or_insert(verdict);
        let is_held = self.execution.head.status == Status::Paused;
        if is_held {
            // What is to end is not held any more: it would never end.
            self.execution.head.status = Status::Running;
        }
        for stage in self.execution.active.clone() {
            if self.owner(stage).is_none() {
                self.abort(stage, Status::Canceled);
            }
        }
        if is_held {
            self.go_on();
        }
    }

    fn child_ended(&mut self, parent: StageIndex, child: StageIndex, status: Status) {
        self.give_time_back(parent, child);
        if let Some(ending) = self.execution.stage(parent).ending() {
            if !self.has_active_children(parent) {
                self.end(parent, ending.status);
            }
            return;
        }
        if status.lets_downstream_start() {
            self.let_through(child);
        }
        if status == Status::Terminal {
            self.abort_children(parent, Status::Canceled);
        }
        if !self.has_active_children(parent) {
            self.children_done(parent);
        }
    }

    /// What a stage waited for its execution window does not count as its time (scenarios H40).
    fn give_time_back(&mut self, parent: StageIndex, child: StageIndex) {
        if !self.is_window(child) {
            return;
        }
        let began = self.execution.stage(child).start_time.unwrap_or(self.at);
        let waited = self.at.duration_since(began);
        let mut above = Some(parent);
        while let Some(stage) = above {
            above = self.execution.stage(stage).synthetic().map(|synthetic| synthetic.parent);
            self.postpone_timeout(stage, waited);
        }
    }

    /// Moves the end of a stage's time.
    pub(crate) fn postpone_timeout(&mut self, stage: StageIndex, by: SignedDuration) {
        let timeout_at = self.execution.stage(stage).body.as_ref().and_then(|body| body.timeout_at);
        let Some(later) = timeout_at.and_then(|at| at.checked_add(by).ok()) else { return };
        if let Some(body) = self.touch(stage).body.as_mut() {
            body.timeout_at = Some(later);
        }
        self.arm(Timer::StageTimeout(stage), later);
    }

    fn is_window(&self, stage: StageIndex) -> bool {
        let synthetic = self.execution.stage(stage).synthetic();
        synthetic.is_some_and(|synthetic| synthetic.stage_type == window::STAGE_TYPE)
    }

    /// Whether a stage, or one that it planned, waits for its execution window.
    pub(crate) fn waits_for_window(&self, stage: StageIndex) -> bool {
        let mut children = self.execution.stage(stage).children.iter();
        children.any(|child| {
            self.execution.active.contains(child)
                && (self.is_window(*child) || self.waits_for_window(*child))
        })
    }

    pub(crate) fn has_active_children(&self, parent: StageIndex) -> bool {
        let mut children = self.execution.stage(parent).children.iter();
        children.any(|child| self.execution.active.contains(child))
    }

    fn children_done(&mut self, parent: StageIndex) {
        match self.execution.stage(parent).phase {
            Phase::Before if self.before_stages_let_through(parent) => self.start_task(parent, 0),
            Phase::Before => self.tasks_done(parent),
            Phase::After => {
                let status = self.verdict_of_parts(parent);
                self.end_or_make_good(parent, status);
            }
            Phase::OnFailure(status) => self.end(parent, status),
            Phase::Idle
            | Phase::Evaluating
            | Phase::Task(_)
            | Phase::PlanningAfter
            | Phase::PlanningOnFailure(_) => {}
        }
    }

    /// Whether the tasks may begin (scenarios H54, H55, H60).
    fn before_stages_let_through(&self, parent: StageIndex) -> bool {
        let children = self.execution.stage(parent).children.iter();
        let mut before = children.filter(|child| self.owner(**child) == Some(Owner::Before));
        before.all(|child| {
            let child = self.execution.stage(*child);
            match child.status {
                Status::Succeeded | Status::Skipped => true,
                Status::FailedContinue => child.settings().siblings_continue,
                Status::NotStarted
                | Status::Running
                | Status::Paused
                | Status::Suspended
                | Status::Terminal
                | Status::Canceled
                | Status::Redirect
                | Status::Stopped
                | Status::Buffered => false,
            }
        })
    }

    /// Ends the execution once nothing of it runs.
    pub(crate) fn finish_if_done(&mut self) {
        let head = &mut self.execution.head;
        let waits = head.status == Status::NotStarted && head.verdict.is_none();
        if !self.execution.active.is_empty() || head.status.is_complete() || waits {
            return;
        }
        let verdict = head.verdict;
        let status = verdict.unwrap_or_else(|| self.execution.verdict_of_stages());
        self.execution.head.status = status;
        self.execution.head.end_time = Some(self.at);
        self.announce(Fact::ExecutionFinished { status });
    }

    pub(crate) fn cancel(&mut self, by: String, reason: String) -> Result<(), Stale> {
        if self.execution.head.canceled.is_some() {
            return Err(Stale::AlreadyCanceled);
        }
        let at = self.at;
        let cancel = crate::execution::Cancel { by: by.clone(), reason: reason.clone(), at };
        self.execution.head.canceled = Some(cancel);
        self.announce(Fact::CancelRequested { by, reason });
        self.halt(Status::Canceled);
        Ok(())
    }
}

impl crate::Execution {
    /// How an execution ends that nothing decided before: a branch that was not begun again counts as it
    /// ended (scenarios H68, H69).
    fn verdict_of_stages(&self) -> Status {
        let any = |status: Status| {
            let mut top_level = self.stages.iter().filter(|stage| stage.synthetic.is_none());
            top_level.any(|stage| stage.status == status)
        };
        match () {
            () if any(Status::Terminal) || self.head.fails_at_end => Status::Terminal,
            () if any(Status::Canceled) => Status::Canceled,
            () => Status::Succeeded,
        }
    }
}
