//! The shell's side of expressions: what a stage can see, and what becomes of its text (D13).

use std::collections::BTreeSet;

use jiff::Timestamp;
use scheduler_engine::native;
use scheduler_expression::{
    Context, Evaluated, Limits, check_expression, is_enabled, stage_context, stage_root,
    variable_outputs,
};
use serde_json::{Value, json};
use shared_model::{Object, Pipeline, Status, TaskAnswer, TaskError, TaskResult};
use shared_ports::PortError;
use shared_ports::journal::StageBody;

use super::evaluation::{Scene, Shell};
use super::fold;
use super::loaded::Loaded;
use super::turn::Work;
use crate::view;

/// Orca's key of what was evaluated and failed.
const SUMMARY: &str = "expressionEvaluationSummary";

/// Evaluates document text.
#[derive(Default)]
pub(crate) struct Expressions {
    limits: Limits,
}

/// Whether a context holds expressions that failed.
pub(crate) fn failed(context: &Object) -> bool {
    context.get(SUMMARY).and_then(Value::as_object).is_some_and(|summary| !summary.is_empty())
}

/// Whether there is anything to evaluate: most stages have nothing, and building what expressions
/// can see costs as much as the whole execution.
fn has_expressions(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(list) => list.iter().any(has_expressions),
        Value::Object(map) => {
            map.iter().any(|(key, value)| key.contains("${") || has_expressions(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn object_has_expressions(object: &Object) -> bool {
    object
        .iter()
        .any(|(key, value)| key != SUMMARY && (key.contains("${") || has_expressions(value)))
}

/// What a stage sees: the execution in Gate's shape, and bare names.
struct Sight {
    execution: Object,
    root: Object,
    reference: String,
}

impl Sight {
    fn of(scene: &Scene<'_>) -> Self {
        let reference = scene.engine.stage(scene.stage).reference().to_string();
        let bodies: Vec<StageBody> =
            (0..scene.engine.stage_count()).map(|index| scene.content.body(index)).collect();
        let execution = view::for_expressions(scene.engine, &scene.content.document, &bodies);
        let root = stage_root(&execution, Some(&reference));
        Self { execution, root, reference }
    }

    fn context<'a>(&'a self, at: Timestamp, limits: &'a Limits) -> Context<'a> {
        Context::new(&self.root, Some(&self.execution), Some(&self.reference), at, limits)
    }
}

impl Expressions {
    /// Whether a stage runs, by its `stageEnabled`.
    pub(crate) fn is_enabled(&self, scene: &Scene<'_>, body: &StageBody) -> bool {
        let Some(enabled) = body.context.get("stageEnabled") else { return true };
        // Only pipelines have conditions (scenarios H16).
        if scene.content.document.get("type").is_some_and(|kind| kind == "ORCHESTRATION") {
            return true;
        }
        let sight = Sight::of(scene);
        is_enabled(Some(enabled), &sight.context(scene.at, &self.limits))
    }

    /// Evaluates what is still raw in a stage's context (D13). Whether anything was looked at.
    pub(crate) fn evaluate_body(&self, scene: &Scene<'_>, body: &mut StageBody) -> bool {
        if !object_has_expressions(&body.context) {
            return false;
        }
        let mut keep: BTreeSet<String> = body.evaluated.iter().cloned().collect();
        keep.insert(format!("/{SUMMARY}"));
        let sight = Sight::of(scene);
        let stage_type = scene.content.stage_type(scene.engine, scene.stage);
        let value = Value::Object(body.context.clone());
        let context = sight.context(scene.at, &self.limits);
        let is_v4 = uses_v4(&scene.content.document);
        let evaluated = stage_context(&value, &stage_type, is_v4, &context, &keep);
        take(body, evaluated);
        if stage_type == native::EVALUATE_VARIABLES {
            keep_what_is(&mut body.context);
        }
        true
    }

    /// What `evaluateVariables` comes to.
    pub(crate) fn variables(&self, body: &StageBody) -> TaskAnswer {
        match body.context.get("variables").and_then(Value::as_array) {
            Some(list) => {
                let outputs = variable_outputs(list);
                TaskAnswer::Succeeded { result: TaskResult { outputs, ..TaskResult::default() } }
            }
            None => TaskAnswer::terminal(TaskError::new(
                "InvalidStage",
                "`variables` is missing or no list; give a list of {\"key\", \"value\"}",
            )),
        }
    }

    /// What one precondition comes to.
    pub(crate) fn precondition(&self, scene: &Scene<'_>, body: &StageBody) -> TaskAnswer {
        let inner = body.context.get("context").and_then(Value::as_object).cloned();
        let inner = inner.unwrap_or_default();
        let kind = body.context.get("preconditionType").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "expression" => self.expression_precondition(scene, &inner),
            "stageStatus" => native::check_stage_status(&inner, status_of(scene, &inner)),
            other => TaskAnswer::terminal(
                TaskError::new(
                    "UnsupportedPrecondition",
                    format!("the precondition type `{other}` is not carried out yet"),
                )
                .and("use `expression` or `stageStatus`"),
            ),
        }
    }

    fn expression_precondition(&self, scene: &Scene<'_>, inner: &Object) -> TaskAnswer {
        let text = match inner.get("expression") {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let sight = Sight::of(scene);
        let (holds, shown) = check_expression(&text, &sight.context(scene.at, &self.limits));
        let mut inner = inner.clone();
        inner.insert("expressionResult".into(), shown.into());
        let message = inner.get("failureMessage").and_then(Value::as_str).map(str::to_owned);
        let context = Object::from_iter([("context".to_owned(), Value::Object(inner))]);
        let result = TaskResult { context, ..TaskResult::default() };
        if holds {
            return TaskAnswer::Succeeded { result };
        }
        let message = message.unwrap_or_else(|| format!("the expression `{text}` does not hold"));
        let error = TaskError::new(native::CONDITION_FAILED, message);
        TaskAnswer::Failed { error, retry: shared_model::Retry::Never, result }
    }

    /// The document and the stages' bodies as an execution starts with them: v3 evaluates all of the
    /// document, v4 leaves the stages alone until each starts (reference §0.5). What fails stays.
    pub(crate) fn at_start(
        &self,
        document: Value,
        pipeline: &Pipeline,
        now: Timestamp,
    ) -> (Value, Vec<StageBody>) {
        let mut document = self.with_parameters(document, pipeline, now);
        let root = root_at_start(&document, pipeline);
        let context = Context::new(&root, None, None, now, &self.limits);
        let none = BTreeSet::new();
        if let Value::Object(fields) = &mut document {
            for (key, value) in fields.iter_mut().filter(|(key, _)| *key != "trigger") {
                if has_expressions(value) && key != "stages" {
                    *value = scheduler_expression::evaluate(value, &context, &none).value;
                }
            }
        }
        let mut places = Vec::new();
        let mut bodies = Vec::new();
        for stage in pipeline.stages() {
            let raw = Value::Object(stage.raw.clone());
            let evaluated = if pipeline.uses_v4() || !has_expressions(&raw) {
                Evaluated { value: raw, ..Evaluated::default() }
            } else {
                scheduler_expression::evaluate(&raw, &context, &none)
            };
            let (place, body) = split(evaluated);
            places.push(place);
            bodies.push(body);
        }
        document["stages"] = Value::Array(places);
        (document, bodies)
    }

    /// Defaults of parameters are document text; what was given with the trigger is not, and is never
    /// evaluated.
    fn with_parameters(&self, mut document: Value, pipeline: &Pipeline, now: Timestamp) -> Value {
        let trigger = document.get("trigger").cloned().unwrap_or_default();
        let root = Object::from_iter([("trigger".to_owned(), trigger)]);
        let context = Context::new(&root, None, None, now, &self.limits);
        for parameter in pipeline.parameters() {
            let Some(default) = parameter.default().filter(|default| has_expressions(default))
            else {
                continue;
            };
            let pointer = format!("/trigger/parameters/{}", parameter.name());
            if let Some(value) = document.pointer_mut(&pointer).filter(|value| *value == default) {
                let none = BTreeSet::new();
                *value = scheduler_expression::evaluate(default, &context, &none).value;
            }
        }
        document
    }
}

/// A stage as it was written: what the execution's document keeps of it, and its body.
fn split(evaluated: Evaluated) -> (Value, StageBody) {
    let stage = evaluated.value.as_object().cloned().unwrap_or_default();
    let view = shared_model::StageView { raw: &stage };
    let name = match stage.get("name") {
        // An expression may have made it.
        Some(made @ (Value::Number(_) | Value::Bool(_))) => made.to_string(),
        Some(_) | None => view.name().to_owned(),
    };
    let place = json!({ "type": view.kind(), "name": name });
    let body =
        StageBody { context: view.context(), evaluated: evaluated.made, ..StageBody::default() };
    (place, body)
}

/// Leaves out of variables what is null, as Orca's stores do, and where a value came from that nothing was
/// evaluated for.
fn keep_what_is(context: &mut Object) {
    let variables = context.get_mut("variables").and_then(Value::as_array_mut);
    for fields in variables.into_iter().flatten().filter_map(Value::as_object_mut) {
        let is_text = fields.get("sourceValue").is_some_and(Value::is_string);
        fields.retain(|key, value| !value.is_null() && (is_text || key != "sourceValue"));
    }
}

fn take(body: &mut StageBody, evaluated: Evaluated) {
    if let Value::Object(context) = evaluated.value {
        body.context = context;
    }
    body.evaluated.extend(evaluated.made);
    let summary = evaluated.summary.to_json();
    let is_empty = summary.as_object().is_none_or(serde_json::Map::is_empty);
    if is_empty {
        // Variables that were evaluated one after another are not evaluated again (v4): what failed
        // among them stays failed.
        if !body.evaluated.iter().any(|pointer| pointer == "/variables") {
            body.context.remove(SUMMARY);
        }
        return;
    }
    body.context.insert(SUMMARY.into(), summary);
}

fn uses_v4(document: &Value) -> bool {
    let evaluator = document.get("spelEvaluator").and_then(Value::as_str).unwrap_or_default();
    evaluator.eq_ignore_ascii_case("v4")
}

fn status_of(scene: &Scene<'_>, precondition: &Object) -> Option<Status> {
    let wanted = precondition.get("stageName").and_then(Value::as_str)?;
    let mut stages = 0..scene.engine.stage_count();
    let found = stages.find(|index| scene.content.name(scene.engine, *index) == wanted)?;
    Some(scene.engine.stage(found).status())
}

/// Evaluates what is still raw in a stage's context before one of its tasks is handed out.
///
/// # Errors
/// [`PortError`] if something could not be read.
pub(crate) async fn refresh(
    shell: &Shell,
    work: &mut Work,
    stage: scheduler_engine::event::StageIndex,
) -> Result<(), PortError> {
    work.loaded.content(&*shell.ports.journal).await?;
    let Loaded { engine, content: Some(content), .. } = &work.loaded else { return Ok(()) };
    let scene = Scene { engine, content, stage, at: shell.ports.clock.now() };
    let mut body = content.body(stage);
    if shell.expressions.evaluate_body(&scene, &mut body) {
        work.set_body(stage, body);
    }
    Ok(())
}

/// Adds the descriptions of failed expressions to a stage's exception (scenario H59).
/// False if there is none.
pub(crate) fn explain_failures(body: &mut StageBody) -> bool {
    let summary = body.context.get(SUMMARY).and_then(Value::as_object).cloned().unwrap_or_default();
    let entries = summary.values().filter_map(Value::as_array).flatten();
    let lines = entries.filter_map(|entry| entry.get("description")?.as_str());
    let messages: Vec<String> = lines.map(str::to_owned).collect();
    if messages.is_empty() {
        return false;
    }
    fold::failed_expressions(body, &messages);
    true
}
/// What a document is evaluated with at the start: of the trigger what nobody gave is not there yet, as
/// in Orca. What needs it fails or is null there, stays, and is evaluated once its stage begins.
fn root_at_start(document: &Value, pipeline: &Pipeline) -> Object {
    const DEFAULTS: [&str; 4] = ["notifications", "rebake", "dryRun", "strategy"];
    let given = pipeline.raw.get("trigger");
    let is_given = |key: &str| given.is_some_and(|given| given.get(key).is_some());
    let mut trigger = document.get("trigger").cloned().unwrap_or_default();
    if let Some(fields) = trigger.as_object_mut() {
        fields.retain(|key, _| !DEFAULTS.contains(&key.as_str()) || is_given(key));
    }
    let or_empty = |found: Option<&Value>| found.cloned().unwrap_or_else(|| json!({}));
    let parameters = or_empty(trigger.get("parameters"));
    let variables = or_empty(document.get("templateVariables"));
    let fields =
        [("trigger", trigger), ("parameters", parameters), ("templateVariables", variables)];
    Object::from_iter(fields.map(|(key, value)| (key.to_owned(), value)))
}
