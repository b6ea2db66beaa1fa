//! Pipelines of the load: DAGs of stages that do nothing.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Whose pipelines they are, where nothing else is said.
pub(super) const APPLICATION: &str = "load";
/// Stages of one layer of [`Graph::Layers`].
const LAYER_WIDTH: usize = 100;
/// Stages that follow one of them at most.
const OUT_DEGREE_MAX: usize = 5;
/// The dice of [`Graph::Layers`]: every run has the same DAG.
const SEED: u64 = 1;

/// How the stages of one execution hang together. One stage ends them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Graph {
    /// One after the other.
    Chain { stages: usize },
    /// One, so many behind it, and a join.
    Fan { branches: usize },
    /// A random DAG in layers of [`LAYER_WIDTH`], and a join.
    Layers { stages: usize },
    /// So many diamonds in a row: one, two behind it, and a join that is the next one's first.
    Diamonds { levels: usize },
}

impl Graph {
    /// How many stages there are.
    pub(crate) fn len(self) -> usize {
        self.upstream().len()
    }

    /// The document of a pipeline, each stage with so many bytes of its own.
    pub(crate) fn document(self, stage_bytes: usize) -> Value {
        let upstream = self.upstream();
        let count = upstream.len();
        let stage = |(at, before): (usize, Vec<usize>)| {
            let before: Vec<_> = before.iter().map(ToString::to_string).collect();
            let mut stage = json!({
                "refId": at.to_string(), "type": "nothing", "name": "nothing",
                "requisiteStageRefIds": before, "number": at.to_string(),
                "last": (at + 1 == count).to_string(),
            });
            if stage_bytes > 0 {
                stage["payload"] = "x".repeat(stage_bytes).into();
            }
            stage
        };
        let stages: Vec<_> = upstream.into_iter().enumerate().map(stage).collect();
        json!({ "application": APPLICATION, "name": "load", "stages": stages })
    }

    /// The same of another application.
    pub(super) fn document_of(self, application: &str) -> Value {
        let mut document = self.document(0);
        document["application"] = application.into();
        document
    }

    /// Of each stage, those that it follows.
    fn upstream(self) -> Vec<Vec<usize>> {
        match self {
            Self::Chain { stages } => {
                (0..stages).map(|at| at.checked_sub(1).into_iter().collect()).collect()
            }
            Self::Fan { branches } => {
                let middle = std::iter::repeat_n(vec![0], branches);
                let join = (1..=branches).collect();
                std::iter::once(Vec::new()).chain(middle).chain([join]).collect()
            }
            Self::Layers { stages } => layers(stages),
            Self::Diamonds { levels } => {
                let level = |level: usize| {
                    let first = level * 3;
                    [vec![first], vec![first], vec![first + 1, first + 2]]
                };
                std::iter::once(Vec::new()).chain((0..levels).flat_map(level)).collect()
            }
        }
    }
}

fn layers(stages: usize) -> Vec<Vec<usize>> {
    let mut dice = ChaCha8Rng::seed_from_u64(SEED);
    let mut upstream = vec![Vec::new(); stages + 1];
    for at in 0..stages {
        let next = (at / LAYER_WIDTH + 1) * LAYER_WIDTH;
        let end = (next + LAYER_WIDTH).min(stages);
        if next >= end {
            upstream[stages].push(at);
            continue;
        }
        for _ in 0..dice.random_range(1..=OUT_DEGREE_MAX) {
            let follower: &mut Vec<_> = &mut upstream[dice.random_range(next..end)];
            if follower.last() != Some(&at) {
                follower.push(at);
            }
        }
    }
    // Nobody follows nothing, so that layers stay layers.
    for (at, before) in upstream.iter_mut().enumerate().take(stages).skip(LAYER_WIDTH) {
        if before.is_empty() {
            let layer = (at / LAYER_WIDTH - 1) * LAYER_WIDTH;
            before.push(dice.random_range(layer..layer + LAYER_WIDTH));
        }
    }
    upstream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_end_and_follows_only_what_comes_before() {
        let graphs = [
            (Graph::Chain { stages: 10 }, 10),
            (Graph::Fan { branches: 100 }, 102),
            (Graph::Layers { stages: 1_000 }, 1_001),
            (Graph::Diamonds { levels: 5 }, 16),
        ];
        for (graph, stages) in graphs {
            let upstream = graph.upstream();
            assert_eq!(upstream.len(), stages, "{graph:?}");
            let follows = |at: usize| upstream.iter().any(|before| before.contains(&at));
            let ends: Vec<_> = (0..stages).filter(|at| !follows(*at)).collect();
            assert_eq!(ends, [stages - 1], "{graph:?}");
            let is_ordered =
                |(at, before): (usize, &Vec<usize>)| before.iter().all(|one| *one < at);
            assert!(upstream.iter().enumerate().all(is_ordered), "{graph:?}");
        }
    }
}
