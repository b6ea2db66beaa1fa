//! An execution begins, at once or when there is room for it (reference §2.6).

use shared_model::Status;

use crate::command::{Command, Fact};
use crate::event::{StageIndex, Timer};
use crate::stage::Phase;
use crate::step::{Stale, Turn};

/// Spinnaker's word for who ends an execution that comes too late, and why.
pub const SYSTEM: &str = "spinnaker";
const TOO_LATE: &str = "Could not begin execution before start time expiry";

impl Turn<'_> {
    /// What is limited waits for room, also when there is some: only the store knows.
    pub(crate) fn begin_or_wait(&mut self) {
        let rule = self.execution.head.start_rule;
        if rule.expires_at.is_some_and(|at| at <= self.at) {
            return self.too_late();
        }
        if rule.running_max.is_none() && !self.execution.bounds.limits_running() {
            return self.run_all();
        }
        self.command(Command::AskToStart);
        if let Some(at) = rule.expires_at {
            self.arm(Timer::StartExpiry, at);
        }
    }

    pub(crate) fn started(&mut self) -> Result<(), Stale> {
        if self.execution.head.status != Status::NotStarted {
            return Err(Stale::ExecutionBegan);
        }
        self.run_all();
        Ok(())
    }

    fn run_all(&mut self) {
        let at = self.at;
        let head = &mut self.execution.head;
        head.status = Status::Running;
        head.start_time.get_or_insert(at);
        self.announce(Fact::ExecutionStarted);
        let is_first = self.execution.stages.iter().all(|stage| !stage.status.is_complete());
        let any = self.begin_ready();
        if !any && is_first {
            self.execution.head.verdict = Some(Status::Terminal);
        }
    }

    /// Begins every stage that waits for nothing; whether there is one.
    pub(crate) fn begin_ready(&mut self) -> bool {
        let count = self.execution.stage_count();
        let ready: Vec<StageIndex> = (0..count).filter(|index| self.may_begin(*index)).collect();
        for stage in &ready {
            self.make_ready(*stage);
        }
        !ready.is_empty()
    }

    fn may_begin(&self, index: StageIndex) -> bool {
        let stage = self.execution.stage(index);
        let waits = stage.status == Status::NotStarted && stage.phase == Phase::Idle;
        waits && stage.remaining == 0 && stage.synthetic().is_none()
    }

    pub(crate) fn start_has_expired(&mut self) -> Result<(), Stale> {
        let head = &self.execution.head;
        let until = head.start_rule.expires_at.filter(|_| head.status == Status::NotStarted);
        let until = until.ok_or(Stale::TimerMovedOn)?;
        if until > self.at {
            self.arm(Timer::StartExpiry, until);
            return Ok(());
        }
        self.too_late();
        Ok(())
    }

    fn too_late(&mut self) {
        // Nobody cancelled it before: it would have ended.
        let _first = self.cancel(SYSTEM.to_owned(), TOO_LATE.to_owned());
    }
}
