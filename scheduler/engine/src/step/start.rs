//! A stage becomes ready, is evaluated, starts.

use shared_model::{StageRef, Status};

use crate::command::{Command, Evaluate, Fact};
use crate::event::{PlanFailed, StageIndex, StageStart, Timer};
use crate::plan::{Owner, Settings, StagePlan, SyntheticPlan};
use crate::stage::{Body, Phase, Stage, Synthetic, Task};
use crate::step::{Stale, Turn};
use crate::window;

impl Turn<'_> {
    /// Everything before the stage is done: the shell is to evaluate it.
    pub(crate) fn make_ready(&mut self, stage: StageIndex) {
        self.execution.active.insert(stage);
        self.touch(stage).phase = Phase::Evaluating;
        self.command(Command::Evaluate { stage, what: Evaluate::Start });
    }

    pub(crate) fn evaluated(&mut self, stage: StageIndex, start: StageStart) -> Result<(), Stale> {
        self.in_phase(stage, Phase::Evaluating)?;
        match start {
            StageStart::Skip => self.end(stage, Status::Skipped),
            StageStart::Fail { started } => {
                let at = self.at;
                self.touch(stage).start_time = started.then_some(at);
                self.end(stage, Status::Terminal);
            }
            StageStart::Run { settings, plan, expressions_failed } => {
                self.run(stage, settings, plan, expressions_failed);
            }
        }
        Ok(())
    }

    fn run(
        &mut self,
        stage: StageIndex,
        settings: Settings,
        plan: StagePlan,
        expressions_failed: bool,
    ) {
        let StagePlan { before, tasks, plans_after, plans_on_failure } = plan;
        let at = self.at;
        let timeout_at = settings.timeout.and_then(|limit| at.checked_add(limit).ok());
        let body = Body {
            settings,
            tasks: tasks.into_iter().map(Task::new).collect(),
            plans_after,
            plans_on_failure,
            expressions_failed,
            timeout_at,
            ending: None,
        };
        let state = self.touch(stage);
        state.body = Some(Box::new(body));
        state.status = Status::Running;
        state.start_time = Some(at);
        self.announce(Fact::StageStarted { stage });
        if let Some(timeout_at) = timeout_at {
            self.arm(Timer::StageTimeout(stage), timeout_at);
        }
        self.first_part(stage, before);
    }

    fn first_part(&mut self, stage: StageIndex, before: Vec<SyntheticPlan>) {
        let state = self.execution.stage(stage);
        let plans_after = state.body.as_ref().is_some_and(|body| body.plans_after);
        if before.is_empty() && state.task_count() == 0 && !plans_after {
            return self.end(stage, Status::Skipped);
        }
        if before.is_empty() {
            return self.start_task(stage, 0);
        }
        self.start_children(stage, Owner::Before, before, Phase::Before);
    }

    /// Adds synthetic stages and starts those that wait for none of the others.
    fn start_children(
        &mut self,
        parent: StageIndex,
        owner: Owner,
        plans: Vec<SyntheticPlan>,
        phase: Phase,
    ) {
        self.touch(parent).phase = phase;
        let mut ready = Vec::new();
        let (mut previous, mut opening) = (None, None);
        for plan in plans.into_iter().take(self.execution.bounds.synthetic_stages_max) {
            let is_window = plan.stage_type == window::STAGE_TYPE;
            let requires = previous.filter(|_| plan.after_previous).or(opening);
            let index = self.add_child(parent, owner, plan, requires);
            // Nothing begins before the execution window is open (scenarios H18).
            opening = opening.or(is_window.then_some(index));
            if requires.is_none() {
                ready.push(index);
            }
            previous = Some(index);
        }
        for child in ready {
            self.make_ready(child);
        }
    }

    fn add_child(
        &mut self,
        parent: StageIndex,
        owner: Owner,
        plan: SyntheticPlan,
        requires: Option<StageIndex>,
    ) -> StageIndex {
        let mark = match owner {
            Owner::Before => '<',
            Owner::After => '>',
        };
        let siblings = self.execution.stage(parent).children.iter();
        let same = siblings.filter(|child| self.owner(**child) == Some(owner)).count();
        let reference = format!("{}{mark}{}", self.execution.stage(parent).reference, same + 1);
        let mut child = Stage::new(StageRef::new(reference), requires.into_iter().collect());
        let SyntheticPlan { stage_type, name, after_previous: _ } = plan;
        child.synthetic = Some(Box::new(Synthetic { parent, owner, stage_type, name }));
        let index = self.execution.add(child);
        self.step.touched.insert(index);
        self.step.planned.push(index);
        index
    }

    pub(crate) fn owner(&self, stage: StageIndex) -> Option<Owner> {
        self.execution.stage(stage).synthetic().map(|synthetic| synthetic.owner)
    }

    /// The shell says which stages follow the tasks.
    pub(crate) fn planned(
        &mut self,
        stage: StageIndex,
        on_failure: bool,
        planned: Result<Vec<SyntheticPlan>, PlanFailed>,
    ) -> Result<(), Stale> {
        let phase = self.execution.stages.get(stage as usize).map(|stage| stage.phase);
        let (after, otherwise) = match phase {
            Some(Phase::PlanningAfter) if !on_failure => (Phase::After, Status::Succeeded),
            Some(Phase::PlanningOnFailure(status)) if on_failure => {
                (Phase::OnFailure(status), status)
            }
            Some(_) | None => return Err(Stale::StageMovedOn),
        };
        match planned {
            Err(PlanFailed) => self.end(stage, Status::Terminal),
            Ok(plans) if plans.is_empty() => {
                let status = if on_failure { otherwise } else { self.verdict_of_parts(stage) };
                self.end(stage, status);
            }
            Ok(plans) => {
                if on_failure {
                    self.remove_unbegun(stage);
                }
                self.start_children(stage, Owner::After, plans, after);
            }
        }
        Ok(())
    }

    /// What a stage planned and never began gives way to what it plans because it failed (scenarios
    /// H52).
    fn remove_unbegun(&mut self, parent: StageIndex) {
        let children = self.execution.stage(parent).children.iter().copied();
        let unbegun = children.filter(|child| {
            let child = self.execution.stage(*child);
            child.status == Status::NotStarted && child.phase == Phase::Idle
        });
        let unbegun: Vec<StageIndex> = unbegun.collect();
        for child in &unbegun {
            self.touch(*child).removed = true;
        }
        if !unbegun.is_empty() {
            self.execution.derive();
        }
    }
}
