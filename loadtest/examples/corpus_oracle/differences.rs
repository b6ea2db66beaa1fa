//! Where we answer otherwise than Orca, on purpose.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::case::{Case, Step};
use crate::compare::Depth;
use crate::play::Answer;

/// Case, comparison and reason, reviewed.
const LIST: &str = include_str!("differences.tsv");

/// The listed differences, by case.
pub(crate) struct Listed(BTreeMap<&'static str, (&'static str, &'static str)>);

impl Listed {
    pub(crate) fn read() -> Result<Self> {
        let mut all = BTreeMap::new();
        for line in LIST.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let mut fields = line.split('\t');
            let (id, depth) =
                (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let reason = fields.next().with_context(|| format!("`{line}` has no reason"))?;
            ensure!(depth == "core" || depth == "full", "`{line}` is neither of core nor full");
            ensure!(all.insert(id, (depth, reason)).is_none(), "`{id}` is listed twice");
        }
        Ok(Self(all))
    }

    /// Why a case may differ, if that was decided.
    pub(crate) fn reason(&self, id: &str, depth: Depth) -> Option<&'static str> {
        let (of, reason) = self.0.get(id)?;
        (depth == Depth::Full || *of == "core").then_some(*reason)
    }
}

/// Why the corpus itself wants another answer than Orca's here, if it does and this is the one.
pub(crate) fn decided(case: &Case, answer: &Answer) -> Option<&'static str> {
    let stages = case.pipeline["stages"].as_array().map_or(&[][..], Vec::as_slice);
    let refused = answer.submits.iter().all(|(status, _)| *status == 400);
    if refused && !answer.submits.is_empty() {
        return has_no_order(stages).then_some("equal refIds and cycles are refused");
    }
    if case.hung {
        let ended = answer.missed.is_empty() && !answer.executions.is_empty();
        return ended.then_some("what stayed RUNNING for ever in Orca ends here");
    }
    if stages.iter().any(|stage| !stage["stageTimeoutMs"].is_null()) {
        return Some("timeouts fire on time, also where they are written as text");
    }
    let is_patch = |step: &Step| matches!(step, Step::Call(call) if call.method == "PATCH");
    let late = |call: &String| {
        call.starts_with("PATCH") && (call.contains("got 409") || call.contains("got 404"))
    };
    if case.steps.iter().any(is_patch) && answer.calls.iter().any(late) {
        return Some("a PATCH of what has ended or is not there says so and changes nothing");
    }
    None
}

/// Whether two stages have one refId, or stages wait for each other.
fn has_no_order(stages: &[Value]) -> bool {
    let mut left: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for stage in stages {
        let before = stage["requisiteStageRefIds"].as_array().into_iter().flatten();
        let before = before.map(text).collect();
        if left.insert(text(&stage["refId"]), before).is_some() {
            return true;
        }
    }
    loop {
        let known: BTreeSet<String> = left.keys().cloned().collect();
        let count = left.len();
        left.retain(|_, before| before.iter().any(|one| known.contains(one)));
        if left.len() == count {
            return count > 0;
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ring_and_a_name_twice_have_no_order() {
        let stage =
            |name: &str, before: &[&str]| json!({"refId": name, "requisiteStageRefIds": before});
        assert!(has_no_order(&[stage("1", &[]), stage("2", &["3"]), stage("3", &["2"])]));
        assert!(has_no_order(&[stage("1", &[]), stage("1", &[])]));
        assert!(!has_no_order(&[stage("1", &[]), stage("2", &["1"]), stage("3", &["1", "2"])]));
    }

    #[test]
    fn the_list_can_be_read() {
        assert!(Listed::read().unwrap().reason("g-assign", Depth::Core).is_some());
        assert!(Listed::read().unwrap().reason("a-chain", Depth::Full).is_none());
    }
}
