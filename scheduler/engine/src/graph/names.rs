//! Names that people and programs can live with.

use shared_model::{Limits, Pipeline, Problem, StageView};

/// Everything that is wrong with the names in a pipeline.
pub(super) fn check(pipeline: &Pipeline, limits: &Limits) -> Vec<Problem> {
    let mut problems = Vec::new();
    for key in ["application", "name"] {
        problems.extend(name(&format!("/{key}"), pipeline.text(key), limits));
    }
    for (index, parameter) in pipeline.parameters().into_iter().enumerate() {
        problems.extend(name(&format!("/parameterConfig/{index}/name"), parameter.name(), limits));
    }
    for (index, stage) in pipeline.stages().into_iter().enumerate() {
        problems.extend(stage_names(index, stage, limits));
    }
    problems
}

fn stage_names(index: usize, stage: StageView<'_>, limits: &Limits) -> Vec<Problem> {
    let mut problems = Vec::new();
    if stage.kind().is_empty() && stage.alias().is_empty() {
        problems.push(Problem::error(
            "stage-without-type",
            format!("/stages/{index}/type"),
            format!("stage `{}` has no type", stage.name()),
            "give it one, e.g. wait or deployManifest",
        ));
    }
    let reference = stage.ref_id().map(|reference| reference.to_string()).unwrap_or_default();
    for (key, text) in [("name", stage.name()), ("type", stage.kind()), ("refId", &reference)] {
        problems.extend(name(&format!("/stages/{index}/{key}"), text, limits));
    }
    problems
}

fn name(pointer: &str, text: &str, limits: &Limits) -> Option<Problem> {
    let max = limits.name_bytes_max;
    if text.len() > max {
        let message =
            format!("the name has {} bytes, the limit is {max} (name_bytes_max)", text.len());
        return Some(Problem::error("name-too-long", pointer, message, "shorten it"));
    }
    let odd = text.chars().find(|c| is_odd(*c))?;
    let message =
        format!("the name holds the character U+{:04X}, which cannot be seen", odd as u32);
    Some(Problem::error("name-with-control-character", pointer, message, "remove it"))
}

/// Control characters, and those that change the direction of text (CVE-2021-42574).
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}
