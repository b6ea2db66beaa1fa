//! Pipelines by chance, and what is to become of them.

use serde_json::{Map, Value, json};
use shared_model::{ExecutionId, Status};

use super::chance::Chance;
use super::meddling::{self, Meddling};
use super::setting::{Fault, Setting};

/// The pipeline that others start.
pub(crate) const CHILD: &str = "child";

/// The pipeline of which only so many executions may run.
pub(crate) const LIMITED: &str = "limited";

/// The document of the one that others start.
pub(crate) fn child() -> Map<String, Value> {
    let stage = json!({"refId": "c", "name": "c", "type": "act", "lastsMs": 20_000});
    let document = json!({"application": "sim", "name": CHILD, "id": CHILD, "stages": [stage]});
    document.as_object().cloned().unwrap_or_default()
}

/// One pipeline, and what its user does with it.
pub(crate) struct Plan {
    pub(crate) id: ExecutionId,
    pub(crate) document: Value,
    pub(crate) stages: Vec<PlannedStage>,
    /// When it is submitted, in seconds.
    pub(crate) submit_after: u64,
    /// When it is cancelled, in seconds after that.
    pub(crate) cancel_after: Option<u64>,
    /// How it waits for the others, where they are executions of one pipeline.
    pub(crate) limit: Option<Limit>,
    /// What else people do to it.
    pub(crate) meddling: Meddling,
    /// When somebody wants to delete it, in seconds after it was submitted.
    pub(crate) delete_after: Option<u64>,
}

/// How executions of one pipeline wait for each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) running_max: usize,
    pub(crate) keeps_waiting: bool,
    /// When all of them are submitted, in seconds, where they come at once.
    pub(crate) all_at: Option<u64>,
}

/// Executions that come at once.
const CROWD: u64 = 6;
/// Told apart from the seed's other dice, so that what else it tells stays as it was.
const CROWD_DICE: u64 = 0xc40d_5ed0_0a7a_d004;

impl Limit {
    /// Dice of their own: what else a seed tells stays as it was.
    pub(crate) fn roll(seed: u64, setting: &Setting) -> Option<Self> {
        let chance = Chance::of(!seed);
        let limit = || Self {
            running_max: chance.between(1, 3) as usize,
            keeps_waiting: !chance.one_in(3),
            all_at: None,
        };
        let crowd = setting.has(Fault::Crowds).then(|| Self::roll_crowd(seed)).flatten();
        crowd.or_else(|| chance.one_in(3).then(limit))
    }

    /// The others of a crowd, whose first few are there already.
    pub(crate) fn more(self, seed: u64, first: u64) -> impl Iterator<Item = Plan> {
        let chance = Chance::of(seed.rotate_left(31) ^ CROWD_DICE);
        let until = if self.all_at.is_some() { CROWD } else { first };
        (first..until).map(move |n| Plan::roll(&chance, seed, n))
    }

    /// In one world of three all come at once, to where few may run.
    fn roll_crowd(seed: u64) -> Option<Self> {
        let chance = Chance::of(seed ^ CROWD_DICE);
        chance.one_in(3).then(|| Self {
            running_max: if chance.one_in(3) { 2 } else { 1 },
            keeps_waiting: chance.one_in(2),
            all_at: Some(chance.between(0, 60)),
        })
    }
}

/// One stage of it.
pub(crate) struct PlannedStage {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) upstream: Vec<usize>,
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Acts, and succeeds.
    Act,
    /// Acts after attempts that fail for now.
    ActLater,
    /// Acts, and says twice that it is not done yet.
    ActInTurns,
    /// Acts, then fails for good; the pipeline goes on.
    FailOn,
    /// Acts, then fails for good; the pipeline ends.
    Fail,
    /// Waits.
    Wait,
    /// Waits for somebody.
    Judgment,
    /// Acts, and cannot find out later whether it did.
    ActUnseen,
    /// Starts another pipeline, which acts, and waits for it.
    Child,
}

impl Kind {
    fn roll(chance: &Chance) -> Self {
        match chance.between(0, 19) {
            0..8 => Self::Act,
            8..10 => Self::ActLater,
            10..12 => Self::ActInTurns,
            12 => Self::FailOn,
            13 => Self::Fail,
            14 => Self::Wait,
            15 => Self::Child,
            16 | 17 => Self::ActUnseen,
            _ => Self::Judgment,
        }
    }

    /// Whether a worker carries it out.
    pub(crate) fn acts(self) -> bool {
        !matches!(self, Self::Wait | Self::Judgment | Self::Child)
    }
}

impl Plan {
    pub(crate) fn roll(chance: &Chance, seed: u64, n: u64) -> Self {
        let count = chance.between(1, 9);
        let mut stages = Vec::<PlannedStage>::new();
        for at in 0..count {
            let upstream = (0..stages.len()).filter(|_| chance.one_in(3)).collect();
            let (name, kind) = (format!("s{at}"), Kind::roll(chance));
            stages.push(PlannedStage { name, kind, upstream });
        }
        let written: Vec<Value> = stages.iter().map(|stage| stage.json(chance)).collect();
        Self {
            id: ExecutionId::new(format!("E{seed}-{n}")),
            document: json!({"application": "sim", "name": format!("p{n}"), "stages": written}),
            stages,
            submit_after: chance.between(0, 60),
            cancel_after: chance.one_in(6).then(|| chance.between(0, 200)),
            limit: None,
            meddling: Meddling::default(),
            delete_after: None,
        }
    }

    /// The same, of so many stages at most.
    pub(crate) fn cut(mut self, setting: &Setting) -> Self {
        let stages_max = setting.stages_max.unwrap_or(usize::MAX);
        self.stages.truncate(stages_max);
        if let Some(stages) = self.document["stages"].as_array_mut() {
            stages.truncate(stages_max);
        }
        self.cancel_after = self.cancel_after.filter(|_| setting.has(Fault::Cancels));
        self
    }

    /// Lets people do more to it than judge and cancel.
    pub(crate) fn meddled_with(mut self, seed: u64, n: u64, setting: &Setting) -> Self {
        if setting.has(Fault::Meddling) {
            self.meddling = Meddling::roll(seed, n, self.stages.len(), self.limit);
        }
        if setting.has(Fault::Deletes) {
            self.delete_after = meddling::roll_delete(seed, n);
        }
        self.meddling.write(&mut self.document);
        self
    }

    /// Makes it an execution of a pipeline of which only so many may run.
    pub(crate) fn limited(mut self, limit: Option<Limit>) -> Self {
        let Some(document) = self.document.as_object_mut() else { return self };
        if let Some(Limit { running_max, keeps_waiting, all_at }) = limit {
            self.submit_after = all_at.unwrap_or(self.submit_after);
            document.insert("id".into(), LIMITED.into());
            document.insert("maxConcurrentExecutions".into(), running_max.into());
            document.insert("keepWaitingPipelines".into(), keeps_waiting.into());
        }
        self.limit = limit;
        self
    }

    /// Whether it may end without having begun, since a newer one waits.
    pub(crate) fn may_be_superseded(&self) -> bool {
        self.limit.is_some_and(|limit| !limit.keeps_waiting)
    }

    /// Whether it starts others.
    pub(crate) fn has_children(&self) -> bool {
        self.stages.iter().any(|stage| stage.kind == Kind::Child)
    }

    /// Whether it may end like that.
    pub(crate) fn may_end(&self, status: Status) -> bool {
        let may_be_canceled =
            self.cancel_after.is_some() || self.may_be_superseded() || self.meddling.may_cancel();
        let either = [Status::Succeeded, Status::Terminal];
        status == self.expected()
            || (may_be_canceled && status == Status::Canceled)
            || (self.meddling.may_end_otherwise() && either.contains(&status))
    }

    /// How it ends if it is left alone.
    pub(crate) fn expected(&self) -> Status {
        let fails = self.stages.iter().any(|stage| stage.kind == Kind::Fail);
        if fails { Status::Terminal } else { Status::Succeeded }
    }
}

impl PlannedStage {
    fn json(&self, chance: &Chance) -> Value {
        let upstream: Vec<String> = self.upstream.iter().map(|at| format!("s{at}")).collect();
        let mut stage = json!({
            "refId": self.name, "name": self.name, "requisiteStageRefIds": upstream,
            "type": "act", "lastsMs": chance.between(0, 40_000),
        });
        let more = match self.kind {
            Kind::Act => json!({}),
            Kind::ActUnseen => json!({"type": "actUnseen"}),
            Kind::ActLater => json!({"failuresFirst": chance.between(1, 4)}),
            Kind::ActInTurns => json!({"turnsFirst": 2}),
            Kind::FailOn => json!({"fails": true, "failPipeline": false, "continuePipeline": true}),
            Kind::Fail => json!({"fails": true}),
            Kind::Wait => json!({"type": "wait", "waitTime": chance.between(0, 120)}),
            Kind::Judgment => json!({"type": "manualJudgment"}),
            Kind::Child => json!({"type": "pipeline", "pipeline": CHILD}),
        };
        if let (Some(stage), Value::Object(more)) = (stage.as_object_mut(), more) {
            stage.extend(more);
        }
        stage
    }
}
