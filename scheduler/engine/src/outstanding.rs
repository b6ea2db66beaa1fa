//! What should be in flight, from the state alone.

use shared_model::Status;

use crate::command::{Command, Evaluate};
use crate::event::{AttemptKey, StageIndex, Timer};
use crate::execution::Execution;
use crate::plan::TaskKind;
use crate::stage::{Attempt, Phase, Stage};

/// Every command that is still to be carried out. Carrying one out twice does no harm.
pub fn outstanding(execution: &Execution) -> Vec<Command> {
    let stages = execution.active.iter().flat_map(|index| execution.outstanding_of(*index));
    start(execution).into_iter().chain(stages).collect()
}

/// What has not begun asks for room.
fn start(execution: &Execution) -> Vec<Command> {
    if execution.status() != Status::NotStarted {
        return Vec::new();
    }
    let expiry = execution.start_rule().expires_at;
    let expiry = expiry.map(|at| Command::Arm { timer: Timer::StartExpiry, at });
    [Command::AskToStart].into_iter().chain(expiry).collect()
}

impl Execution {
    /// What is outstanding of one stage.
    pub fn outstanding_of(&self, index: StageIndex) -> Vec<Command> {
        let stage = self.stage(index);
        let mut commands = Vec::new();
        if self.status().is_complete() || !self.active.contains(&index) {
            return commands;
        }
        if let Some(what) = evaluation(stage) {
            commands.push(Command::Evaluate { stage: index, what });
        }
        commands.extend(self.dispatch_command(index));
        // What else waits for a grant asks again.
        if stage.current().is_some_and(|(_, task)| task.is_unkeyed()) {
            commands.extend(self.grant_command(index));
        }
        commands.extend(timers(index, stage));
        commands.extend(abort(index, stage));
        commands.extend(child(index, stage));
        commands.retain(|command| !self.holds_back(command));
        commands
    }
}

fn evaluation(stage: &Stage) -> Option<Evaluate> {
    match stage.phase {
        Phase::Evaluating => Some(Evaluate::Start),
        Phase::PlanningAfter => Some(Evaluate::After),
        Phase::PlanningOnFailure(_) => Some(Evaluate::OnFailure),
        Phase::Task(index) if stage.task(index).kind == TaskKind::Native => {
            Some(Evaluate::Native(index))
        }
        Phase::Task(_) | Phase::Idle | Phase::Before | Phase::After | Phase::OnFailure(_) => None,
    }
}

fn timers(index: StageIndex, stage: &Stage) -> Vec<Command> {
    let mut armed = Vec::new();
    if let Some((_, task)) = stage.current() {
        if let TaskKind::Wait { until } = task.kind {
            armed.push((Timer::Wait(index), until));
        }
        if let Attempt::Paused { until, .. } = task.attempt {
            armed.push((Timer::Retry(index), until));
        }
    }
    let timeout = stage.body.as_ref().and_then(|body| body.timeout_at);
    if stage.ending().is_none() {
        armed.extend(timeout.map(|at| (Timer::StageTimeout(index), at)));
    }
    if let Some(ending) = stage.ending() {
        armed.push((Timer::Abort(index), ending.at_last));
    }
    armed.into_iter().map(|(timer, at)| Command::Arm { timer, at }).collect()
}

/// The execution that a stage waits for is watched to its end, also when it is to end early.
fn child(index: StageIndex, stage: &Stage) -> Vec<Command> {
    let waits = stage.current().is_some_and(|(_, task)| task.kind == TaskKind::Child);
    let cancel = stage.ending().map(|_| Command::CancelChild { stage: index });
    let watch = Command::WatchChild { stage: index };
    if waits { cancel.into_iter().chain([watch]).collect() } else { Vec::new() }
}

fn abort(index: StageIndex, stage: &Stage) -> Option<Command> {
    stage.ending()?;
    let (task, state) = stage.current()?;
    let Attempt::Leased { epoch, worker, .. } = &state.attempt else { return None };
    let attempt = AttemptKey { stage: index, run: stage.run, task, number: state.number };
    Some(Command::Abort { attempt, epoch: *epoch, worker: Some(worker.clone()) })
}
