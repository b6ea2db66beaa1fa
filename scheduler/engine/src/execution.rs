//! An execution's state.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared_model::{Epoch, ExecutionId, Limits, StageRef, Status};

use crate::event::{AttemptKey, StageIndex};
use crate::graph::Graph;
use crate::stage::{Attempt, Stage};
use crate::step::{Step, Turn};

/// One run of a pipeline.
#[derive(Debug, Clone)]
pub struct Execution {
    pub(crate) id: ExecutionId,
    pub(crate) bounds: Bounds,
    pub(crate) head: Head,
    pub(crate) stages: Vec<Stage>,
    /// Stages by reference, sorted by it.
    pub(crate) by_reference: Vec<StageIndex>,
    /// Stages that began or are about to, and have not ended.
    pub(crate) active: BTreeSet<StageIndex>,
}

/// The limits that the engine itself obeys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) attempts_max: u32,
    pub(crate) takeovers_max: u32,
    pub(crate) synthetic_stages_max: usize,
    pub(crate) running_max: Option<u32>,
    pub(crate) running_per_application_max: Option<u32>,
}

impl Bounds {
    /// Whether there may be no room although its own pipeline has some.
    pub(crate) fn limits_running(&self) -> bool {
        self.running_max.is_some() || self.running_per_application_max.is_some()
    }
}

/// The part of the state that is not a stage's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) status: Status,
    pub(crate) start_time: Option<Timestamp>,
    pub(crate) end_time: Option<Timestamp>,
    pub(crate) canceled: Option<Cancel>,
    /// How it will end, once that is decided and only running work is waited for.
    pub(crate) verdict: Option<Status>,
    /// Whether a branch was stopped that fails the pipeline once the others are done.
    pub(crate) fails_at_end: bool,
    /// Counts dispatches: every one gets the next epoch, so that epochs grow with the journal (D15).
    pub(crate) dispatches: u64,
    /// Under which conditions it begins.
    pub(crate) start_rule: StartRule,
    /// The last time that somebody held it, if anybody ever did.
    pub(crate) pause: Option<Pause>,
}

/// Under which conditions an execution begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StartRule {
    /// How many executions of its pipeline may run at once, itself included; `None` for any number.
    pub running_max: Option<u32>,
    /// Whether it waits for its turn, however many come after it; else only the newest of those that
    /// wait begins, and the others are superseded.
    pub keeps_waiting: bool,
    /// After that it does not begin any more.
    pub expires_at: Option<Timestamp>,
}

/// Somebody held the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Who let it go on, and when; `None` while it is held.
    pub resumed: Option<(String, Timestamp)>,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            status: Status::NotStarted,
            start_time: None,
            end_time: None,
            canceled: None,
            verdict: None,
            fails_at_end: false,
            dispatches: 0,
            start_rule: StartRule::default(),
            pause: None,
        }
    }
}

/// Who wanted the execution to end, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Who.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// An attempt that somebody should be working on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    /// Which.
    pub attempt: AttemptKey,
    /// Its epoch.
    pub epoch: Epoch,
    /// Whether a worker said that it has it.
    pub leased: bool,
    /// Since when it is in that state.
    pub since: Timestamp,
}

impl Execution {
    /// Begins an execution. A graph without a root ends TERMINAL at once, as in Spinnaker.
    pub fn submit(id: ExecutionId, graph: &Graph, limits: &Limits, at: Timestamp) -> (Self, Step) {
        Self::submit_under(id, graph, limits, StartRule::default(), at)
    }

    /// Makes an execution that begins as soon as its rule lets it.
    pub fn submit_under(
        id: ExecutionId,
        graph: &Graph,
        limits: &Limits,
        start_rule: StartRule,
        at: Timestamp,
    ) -> (Self, Step) {
        let head = Head { start_rule, ..Head::default() };
        let stages = graph.stages.iter();
        let stages = stages.map(|node| Stage::new(node.reference.clone(), node.requires.clone()));
        let mut execution = Self::assemble(id, limits, head, stages.collect());
        let step = Turn::begin(&mut execution, at);
        (execution, step)
    }

    /// Puts a state together, with everything that is derived.
    pub(crate) fn assemble(
        id: ExecutionId,
        limits: &Limits,
        head: Head,
        stages: Vec<Stage>,
    ) -> Self {
        let bounds = Bounds {
            attempts_max: limits.attempts_max,
            takeovers_max: limits.takeovers_max,
            synthetic_stages_max: limits.synthetic_stages_max,
            running_max: limits.executions_running_max.map(NonZeroU32::get),
            running_per_application_max: limits
                .executions_running_per_application_max
                .map(NonZeroU32::get),
        };
        let (by_reference, active) = (Vec::new(), BTreeSet::new());
        let mut execution = Self { id, bounds, head, stages, by_reference, active };
        execution.derive();
        execution
    }

    pub(crate) fn derive(&mut self) {
        for stage in &mut self.stages {
            stage.downstream.clear();
            stage.children.clear();
        }
        let all = 0..self.stage_count();
        let mut by_reference: Vec<StageIndex> =
            all.filter(|index| !self.stage(*index).removed).collect();
        by_reference.sort_by(|a, b| self.stage(*a).reference.cmp(&self.stage(*b).reference));
        self.by_reference = by_reference;
        for index in 0..self.stage_count() {
            self.derive_edges(index);
            if self.is_active(index) {
                self.active.insert(index);
            }
        }
    }

    fn derive_edges(&mut self, index: StageIndex) {
        if self.stage(index).removed {
            return;
        }
        let requires = self.stage(index).requires.clone();
        let open = requires.iter().filter(|up| !self.stage(**up).status.lets_downstream_start());
        let remaining = u32::try_from(open.count()).unwrap_or(u32::MAX);
        self.stage_mut(index).remaining = remaining;
        for up in requires {
            self.stage_mut(up).downstream.push(index);
        }
        if let Some(parent) = self.stage(index).synthetic().map(|synthetic| synthetic.parent) {
            self.stage_mut(parent).children.push(index);
        }
    }

    fn is_active(&self, index: StageIndex) -> bool {
        let stage = self.stage(index);
        stage.status == Status::Running || stage.phase == crate::stage::Phase::Evaluating
    }

    /// Its id.
    pub fn id(&self) -> &ExecutionId {
        &self.id
    }
    /// Where it stands.
    pub fn status(&self) -> Status {
        self.head.status
    }
    /// Who wanted it to end, if anybody did.
    pub fn canceled(&self) -> Option<&Cancel> {
        self.head.canceled.as_ref()
    }
    /// Under which conditions it begins.
    pub fn start_rule(&self) -> &StartRule {
        &self.head.start_rule
    }
    /// The last time that somebody held it.
    pub fn pause(&self) -> Option<&Pause> {
        self.head.pause.as_ref()
    }
    /// When it began.
    pub fn start_time(&self) -> Option<Timestamp> {
        self.head.start_time
    }
    /// When it ended.
    pub fn end_time(&self) -> Option<Timestamp> {
        self.head.end_time
    }
    /// How many stages it has, synthetic ones included.
    pub fn stage_count(&self) -> StageIndex {
        StageIndex::try_from(self.stages.len()).unwrap_or(StageIndex::MAX)
    }
    /// One of its stages.
    ///
    /// # Panics
    /// If it has no such stage: indexes come from the engine or from `find`.
    pub fn stage(&self, index: StageIndex) -> &Stage {
        &self.stages[index as usize]
    }
    pub(crate) fn stage_mut(&mut self, index: StageIndex) -> &mut Stage {
        &mut self.stages[index as usize]
    }

    /// The stage of a reference.
    pub fn find(&self, reference: &StageRef) -> Option<StageIndex> {
        let place = |index: &StageIndex| self.stage(*index).reference.cmp(reference);
        let found = self.by_reference.binary_search_by(place).ok()?;
        Some(self.by_reference[found])
    }

    /// The stages before a stage, nearest first: siblings that it requires, the parent of a synthetic
    /// stage, and so on (reference §4.5).
    ///
    /// It costs as far as it is read: whoever looks for one stage is not to pay for thousands.
    pub fn ancestors(&self, stage: StageIndex) -> impl Iterator<Item = StageIndex> + '_ {
        let mut seen = vec![false; self.stages.len()];
        seen[stage as usize] = true;
        let (mut next, mut queue) = (Some(stage), VecDeque::new());
        std::iter::from_fn(move || {
            // Those above a stage are looked up once the stage itself was given out.
            if let Some(index) = next.take() {
                let stage = self.stage(index);
                let parent = stage.synthetic().map(|synthetic| synthetic.parent);
                for up in stage.requires.iter().copied().chain(parent) {
                    if !std::mem::replace(&mut seen[up as usize], true) {
                        queue.push_back(up);
                    }
                }
            }
            next = queue.pop_front();
            next
        })
    }

    /// Attempts that somebody should be working on.
    pub fn in_flight(&self) -> impl Iterator<Item = Flight> + '_ {
        self.active.iter().filter_map(|index| self.flight(*index))
    }

    /// The attempt of one stage that somebody should be working on.
    pub fn flight(&self, index: StageIndex) -> Option<Flight> {
        let stage = self.stage(index);
        let (task, state) = stage.current()?;
        let attempt = AttemptKey { stage: index, run: stage.run, task, number: state.number };
        match &state.attempt {
            // Nobody is to begin with it while the execution is held.
            Attempt::Queued { .. }
                if self.head.status == Status::Paused && stage.ending().is_none() =>
            {
                None
            }
            Attempt::Queued { epoch, since } => {
                Some(Flight { attempt, epoch: *epoch, leased: false, since: *since })
            }
            Attempt::Leased { epoch, since, .. } => {
                Some(Flight { attempt, epoch: *epoch, leased: true, since: *since })
            }
            Attempt::None | Attempt::Paused { .. } | Attempt::Unknown { .. } => None,
        }
    }

    /// Adds a synthetic stage: in place of one of that name which was removed, if there is one.
    pub(crate) fn add(&mut self, stage: Stage) -> StageIndex {
        let is_same = |old: &Stage| old.removed && old.reference == stage.reference;
        // Looked for only where something was removed.
        let has_removed = self.by_reference.len() < self.stages.len();
        let found = has_removed.then(|| self.stages.iter().position(is_same)).flatten();
        let found = found.and_then(|place| StageIndex::try_from(place).ok());
        let index = found.unwrap_or(self.stage_count());
        let place = self
            .by_reference
            .binary_search_by(|other| self.stage(*other).reference.cmp(&stage.reference))
            .unwrap_or_else(|place| place);
        match found {
            // A run of its own, so that its effects have keys of their own (D5).
            Some(old) => {
                let run = self.stage(old).run + 1;
                *self.stage_mut(old) = Stage { run, ..stage };
            }
            None => self.stages.push(stage),
        }
        self.by_reference.insert(place, index);
        self.derive_edges(index);
        index
    }
}
