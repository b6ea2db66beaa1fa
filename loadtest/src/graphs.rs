//! Pipelines of any size: stages one behind the other, side by side, or each behind many.

use serde_json::{Value, json};

/// How the stages of a pipeline follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Each behind the one before it.
    Chain,
    /// One, the others but one behind it, and one that joins them.
    Fan,
    /// Each behind the ten before it, some behind eleven: ten edges a stage.
    Dense,
}

impl Shape {
    /// Stages of a type.
    pub fn stages(self, count: usize, stage_type: &str) -> Vec<Value> {
        let stage = |at: usize| {
            let before: Vec<String> =
                self.before(at, count).iter().map(ToString::to_string).collect();
            json!({
                "refId": at.to_string(), "type": stage_type, "name": "work",
                "requisiteStageRefIds": before,
            })
        };
        (0..count).map(stage).collect()
    }

    /// A pipeline of stages of a type.
    pub fn pipeline(self, count: usize, stage_type: &str) -> Value {
        json!({ "application": "load", "name": "scale", "stages": self.stages(count, stage_type) })
    }

    /// The stages that one waits for.
    fn before(self, at: usize, count: usize) -> Vec<usize> {
        match self {
            Self::Chain => at.checked_sub(1).into_iter().collect(),
            Self::Fan if at == 0 => Vec::new(),
            Self::Fan if at + 1 == count => (1..at).collect(),
            Self::Fan => vec![0],
            Self::Dense => {
                // The first ten have fewer; so many of the last make up for it.
                let is_among_last = at >= count.saturating_sub(DENSE_MISSING);
                let most = if is_among_last { DENSE + 1 } else { DENSE };
                (at.saturating_sub(most)..at).collect()
            }
        }
    }
}

/// Edges of most stages of a dense one.
const DENSE: usize = 10;
/// What is missing at its first stages: 10 + 9 + … + 1.
const DENSE_MISSING: usize = DENSE * (DENSE + 1) / 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(shape: Shape, count: usize) -> usize {
        let stages = shape.stages(count, "work");
        let of = |stage: &Value| stage["requisiteStageRefIds"].as_array().map_or(0, Vec::len);
        stages.iter().map(of).sum()
    }

    #[test]
    fn a_dense_one_has_ten_edges_a_stage() {
        assert_eq!(edges(Shape::Dense, 2_000), 20_000);
        assert_eq!((edges(Shape::Chain, 2_000), edges(Shape::Fan, 2_000)), (1_999, 1_998 * 2));
    }
}
