//! What a document asks for and nobody carries out yet: said, never silently ignored (D18).

use jiff::Timestamp;
use scheduler_engine::window::{self, WINDOW, Window};
use serde_json::Value;
use shared_model::{Object, Pipeline, Problem, Severity};
use shared_ports::journal::HistoryEntry;

use crate::Registry;

/// Warnings and errors about fields of the pipeline as a whole, and stage types nobody knows.
pub(super) fn of(pipeline: &Pipeline, registry: &Registry) -> Vec<Problem> {
    let mut found = Vec::new();
    found.extend(template(pipeline));
    found.extend(no_stages(pipeline));
    found.extend(unbuilt_fields(pipeline));
    found.extend(unknown_types(pipeline, registry));
    found.extend(impossible_windows(pipeline));
    found
}

fn template(pipeline: &Pipeline) -> Option<Problem> {
    let templated =
        pipeline.text("type") == "templatedPipeline" || pipeline.raw.contains_key("template");
    templated.then(|| {
        Problem::error(
            "template-unsupported",
            "/template",
            "the pipeline is made from a template, and templates are not expanded yet",
            "run the pipeline that the template expands to",
        )
    })
}

/// Spinnaker takes such a pipeline too, and ends it at once.
fn no_stages(pipeline: &Pipeline) -> Option<Problem> {
    pipeline.stages().is_empty().then(|| {
        Problem::warning(
            "pipeline-without-stages",
            "/stages",
            "the pipeline has no stages: it will end TERMINAL at once",
            "give it `stages`; is this the document that was meant?",
        )
    })
}

fn unbuilt_fields(pipeline: &Pipeline) -> Vec<Problem> {
    let listed = |key: &str| !pipeline.list(key).is_empty();
    let unbuilt = [
        ("triggers", listed("triggers"), "no trigger starts it; start it by hand"),
        ("notifications", listed("notifications"), "nobody is notified"),
    ];
    let asked = unbuilt.into_iter().filter(|(_, asked, _)| *asked);
    asked.map(|(field, _, effect)| unbuilt_field(field, effect)).collect()
}

fn unbuilt_field(field: &str, effect: &str) -> Problem {
    Problem::warning(
        "field-without-effect",
        format!("/{field}"),
        format!("`{field}` has no effect yet: {effect}"),
        String::new(),
    )
}

fn unknown_types(pipeline: &Pipeline, registry: &Registry) -> Vec<Problem> {
    let stages = pipeline.stages();
    let unknown = stages.iter().enumerate().filter(|(_, stage)| {
        !stage.kind().is_empty() && !stage.kind().contains("${") && !registry.knows(**stage)
    });
    unknown.map(|(index, stage)| unknown_type(index, stage.kind())).collect()
}

fn unknown_type(index: usize, kind: &str) -> Problem {
    Problem::warning(
        "stage-type-unknown",
        format!("/stages/{index}/type"),
        format!("no worker ever announced the stage type `{kind}`: the stage will end TERMINAL"),
        "check the spelling, or start a worker that has it",
    )
}

/// Windows without an expression in them can be read before they are needed.
fn impossible_windows(pipeline: &Pipeline) -> Vec<Problem> {
    let stages = pipeline.stages();
    let windows = stages.iter().enumerate().filter_map(|(index, stage)| {
        let window = stage.raw.get(WINDOW).filter(|window| !window.to_string().contains("${"))?;
        let is_on = stage.raw.get(window::STAGE_TYPE) == Some(&Value::Bool(true));
        is_on.then(|| (index, Object::from_iter([(WINDOW.to_owned(), window.clone())])))
    });
    let problem = |(index, context)| {
        let error = Window::read(&context).err()?;
        let what = error.messages.first().cloned().unwrap_or_default();
        let help = error.messages.get(1).cloned().unwrap_or_default();
        Some(Problem::error("window-impossible", format!("/stages/{index}/{WINDOW}"), what, help))
    };
    windows.filter_map(problem).collect()
}

/// A problem as a line of the execution's history.
pub(super) fn entry(problem: &Problem, at: Timestamp) -> HistoryEntry {
    let kind = match problem.severity {
        Severity::Error => "document-error",
        Severity::Warning => "document-warning",
    };
    HistoryEntry { at, stage: None, kind: kind.into(), text: problem.to_string() }
}
