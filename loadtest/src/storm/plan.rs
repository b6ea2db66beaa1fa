//! What is submitted, and what people do to it: data, drawn from the seed and the number of the execution.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Stages of one execution at most.
const STAGES_MAX: usize = 9;
/// How long work lasts, in milliseconds, and how long some of it does.
const WORK_MS_MAX: u64 = 1_500;
const LONG_WORK_MS: std::ops::Range<u64> = 5_000..15_000;
/// The application of everything.
pub(super) const APPLICATION: &str = "storm";
/// Saved pipelines of which only so many executions may run.
pub(super) const LIMITED: [(&str, usize); 3] =
    [("limited-1", 1), ("limited-2", 2), ("limited-3", 3)];
/// One in so many executions is of one of them.
const LIMITED_OF: u32 = 8;
/// Told apart from the dice of accidents.
const DICE: u64 = 0x51ab_77c0_90de_1f2d;

/// One execution.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) number: u64,
    pub(super) stages: Vec<Stage>,
    /// The saved pipeline that it is of, as a place in [`LIMITED`].
    pub(super) limited: Option<usize>,
    /// What is done to it, since it was accepted.
    pub(super) acts: Vec<(Duration, Act)>,
}

/// One stage; its `refId` is its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) kind: Kind,
    pub(super) upstream: Vec<usize>,
    lasts_ms: u64,
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Acts on a target that knows keys.
    Act,
    /// Acts on one that knows none.
    ActOnce,
    /// Waits for a few seconds.
    Wait,
    /// Waits for somebody.
    Judgment,
}

impl Kind {
    pub(super) fn acts(self) -> bool {
        matches!(self, Self::Act | Self::ActOnce)
    }
}

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    Cancel,
    Pause,
    Resume,
    /// Begins a stage again.
    Restart(usize),
    /// Saves the pipeline anew, as it is or with another word in it.
    Edit,
}

impl Plan {
    /// Equal for equal arguments. `meddled`: whether people do more to it than they usually do.
    pub(super) fn of(seed: u64, number: u64, meddled: bool) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ DICE);
        dice.set_stream(number);
        let limited = dice.random_ratio(1, LIMITED_OF).then(|| dice.random_range(0..LIMITED.len()));
        let stages = match limited {
            Some(which) => saved_stages(which),
            None => stages(&mut dice),
        };
        let acts = acts(&mut dice, stages.len(), if meddled { 2 } else { 10 });
        Self { number, stages, limited, acts }
    }

    /// What is sent to start it: the path, and the body.
    pub(super) fn request(&self) -> (String, Value) {
        let number = self.number.to_string();
        match self.limited {
            Some(which) => {
                let path = format!("/pipelines/{APPLICATION}/{}", LIMITED[which].0);
                (path, json!({ "parameters": { "number": number } }))
            }
            None => {
                let document = json!({
                    "application": APPLICATION, "name": "free",
                    "stages": written(&self.stages, &number),
                });
                ("/pipelines/start".to_owned(), document)
            }
        }
    }
}

/// The document of a saved pipeline.
pub(super) fn saved(which: usize, word: u64) -> Value {
    let (name, max) = LIMITED[which];
    json!({
        "application": APPLICATION, "name": name, "id": name,
        "description": format!("Edit {word}."),
        "maxConcurrentExecutions": max, "keepWaitingPipelines": true,
        "parameterConfig": [{ "name": "number", "required": true }],
        "stages": written(&saved_stages(which), "${parameters.number}"),
    })
}

/// They are equal for all executions of it, so that an edit changes nothing of what they do.
fn saved_stages(which: usize) -> Vec<Stage> {
    let mut dice = ChaCha8Rng::seed_from_u64(which as u64);
    let act = |upstream, lasts_ms| Stage { kind: Kind::Act, upstream, lasts_ms };
    vec![act(vec![], dice.random_range(0..WORK_MS_MAX)), act(vec![0], 100)]
}

fn stages(dice: &mut ChaCha8Rng) -> Vec<Stage> {
    let mut stages = Vec::<Stage>::new();
    for at in 0..dice.random_range(1..=STAGES_MAX) {
        let upstream = (0..at).filter(|_| dice.random_ratio(1, 3)).collect();
        let is_long = dice.random_ratio(1, 25);
        let lasts_ms = dice.random_range(if is_long { LONG_WORK_MS } else { 0..WORK_MS_MAX });
        let kind = match dice.random_range(0..20) {
            0..15 => Kind::Act,
            15 | 16 => Kind::ActOnce,
            17 | 18 => Kind::Wait,
            _ => Kind::Judgment,
        };
        stages.push(Stage { kind, upstream, lasts_ms });
    }
    stages
}

fn acts(dice: &mut ChaCha8Rng, stages: usize, one_in: u32) -> Vec<(Duration, Act)> {
    let mut acts = Vec::new();
    let soon = |dice: &mut ChaCha8Rng| Duration::from_millis(dice.random_range(0..10_000));
    if dice.random_ratio(1, one_in) {
        acts.push((soon(dice), Act::Cancel));
    }
    if dice.random_ratio(1, one_in) {
        let at = soon(dice);
        acts.extend([(at, Act::Pause), (at + soon(dice), Act::Resume)]);
    }
    if dice.random_ratio(1, one_in * 2) {
        let at = soon(dice) * 2;
        acts.push((at, Act::Restart(dice.random_range(0..stages))));
    }
    if dice.random_ratio(1, one_in * 2) {
        acts.push((soon(dice), Act::Edit));
    }
    acts.sort();
    acts
}

fn written(stages: &[Stage], number: &str) -> Vec<Value> {
    let stage = |(at, stage): (usize, &Stage)| {
        let upstream: Vec<_> = stage.upstream.iter().map(ToString::to_string).collect();
        let mut written = json!({
            "refId": at.to_string(), "name": format!("stage {at}"),
            "requisiteStageRefIds": upstream, "number": number,
        });
        let (kind, more) = match stage.kind {
            Kind::Act => ("act", ("lastsMs", stage.lasts_ms)),
            Kind::ActOnce => ("actOnce", ("lastsMs", stage.lasts_ms)),
            Kind::Wait => ("wait", ("waitTime", stage.lasts_ms / 500)),
            Kind::Judgment => ("manualJudgment", ("lastsMs", 0)),
        };
        written["type"] = kind.into();
        written[more.0] = more.1.into();
        written
    };
    stages.iter().enumerate().map(stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_are_equal_executions_and_every_sort_is_drawn() {
        assert_eq!(Plan::of(1, 7, false), Plan::of(1, 7, false));
        let plans: Vec<_> = (0..500).map(|number| Plan::of(1, number, true)).collect();
        let has = |kind| plans.iter().any(|plan| plan.stages.iter().any(|one| one.kind == kind));
        assert!([Kind::Act, Kind::ActOnce, Kind::Wait, Kind::Judgment].into_iter().all(has));
        let does = |act: fn(&Act) -> bool| {
            plans.iter().any(|plan| plan.acts.iter().any(|(_, one)| act(one)))
        };
        assert!(does(|act| *act == Act::Edit) && does(|act| *act == Act::Pause));
        assert!(does(|act| *act == Act::Cancel) && does(|act| matches!(act, Act::Restart(_))));
        assert!(plans.iter().any(|plan| plan.limited.is_some()));
    }

    #[test]
    fn more_is_done_to_what_people_meddle_with() {
        let acts = |meddled| (0..500).map(|at| Plan::of(1, at, meddled).acts.len()).sum::<usize>();
        assert!(acts(true) > 2 * acts(false));
    }
}
