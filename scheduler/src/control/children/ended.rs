//! What an execution that has ended means for the stage that waited for it (Orca's
//! `monitorPipeline`).

use scheduler_engine::event::Outcome;
use serde_json::{Value, json};
use shared_model::{Object, Retry, Status};
use shared_ports::journal::StageBody;

use crate::control::fold;

/// Errors of a child that are told to its parent.
const ERRORS_MAX: usize = 50;

/// How an execution ended.
pub(super) struct End {
    status: Status,
    outcome: Outcome,
    outputs: Object,
    exception: Option<Value>,
}

/// How an execution ended, from its view; `None` if it has not.
pub(super) fn of(child: &Value) -> Option<End> {
    let status: Status = serde_json::from_value(child["status"].clone()).ok()?;
    if !status.is_complete() {
        return None;
    }
    let (outcome, exception) = match status {
        Status::Succeeded => (Outcome::Succeeded, None),
        Status::Canceled => {
            let error = "At least one monitored pipeline was cancelled";
            (Outcome::Canceled, Some(json!({ "details": { "errors": [error] } })))
        }
        Status::NotStarted
        | Status::Running
        | Status::Paused
        | Status::Suspended
        | Status::FailedContinue
        | Status::Terminal
        | Status::Redirect
        | Status::Stopped
        | Status::Skipped
        | Status::Buffered => (Outcome::Failed { retry: Retry::Never }, Some(exception(child))),
    };
    Some(End { status, outcome, outputs: outputs(child), exception })
}

impl End {
    /// Folds it into the stage; what it comes to there.
    pub(super) fn into_stage(self, mut body: StageBody) -> (Outcome, StageBody) {
        let mut context = Object::new();
        context.insert("status".into(), self.status.name().into());
        context.extend(self.exception.map(|exception| ("exception".to_owned(), exception)));
        fold::patch(&mut body, &context);
        if !skips_outputs(&body.context) {
            body.outputs.extend(self.outputs);
        }
        (self.outcome, body)
    }
}

fn skips_outputs(context: &Object) -> bool {
    match context.get("skipDownstreamOutput") {
        Some(Value::Bool(skips)) => *skips,
        Some(Value::String(text)) => text == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

fn stages(child: &Value) -> impl Iterator<Item = &Value> {
    child["stages"].as_array().into_iter().flatten()
}

/// Everything that its stages hand on, a later stage's over an earlier one's.
fn outputs(child: &Value) -> Object {
    let mut all = Object::new();
    for outputs in stages(child).filter_map(|stage| stage["outputs"].as_object()) {
        all.extend(outputs.iter().filter(|(key, _)| *key != "stageTimeoutMs").map(own));
    }
    all
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// The errors of its stages, and which of them failed first.
fn exception(child: &Value) -> Value {
    let failed = || stages(child).enumerate().filter(|(_, stage)| stage["status"] == "TERMINAL");
    let pipeline = child["name"].as_str().unwrap_or_default();
    let errors = failed().flat_map(|(_, stage)| errors_of(pipeline, stage)).take(ERRORS_MAX);
    let mut exception = json!({ "details": { "errors": errors.collect::<Vec<_>>() } });
    if let Some((index, stage)) = failed().next() {
        exception["source"] = json!({
            "executionId": child["id"],
            "stageId": stage["id"],
            "stageName": stage["name"],
            "stageIndex": index,
        });
    }
    exception
}

fn errors_of(pipeline: &str, stage: &Value) -> Vec<String> {
    let details = &stage["context"]["exception"]["details"];
    let name = stage["name"].as_str().unwrap_or_default();
    let all = details["errors"].as_array().filter(|errors| !errors.is_empty());
    let single = details["error"].as_str().into_iter().map(str::to_owned);
    let texts: Vec<String> = match all {
        Some(errors) => errors.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => single.collect(),
    };
    let told = |text| format!("Exception in child pipeline stage ({pipeline}: {name}): {text}");
    texts.into_iter().map(told).collect()
}
