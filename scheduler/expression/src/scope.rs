//! What an expression sees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::Limits;
use crate::outside::{Outside, Refusing};

type Object = Map<String, Value>;

/// What an expression sees. Nothing else: no clock, no randomness, no host.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Bare names.
    pub root: &'a Object,
    /// The execution in Gate's JSON; `None` where none exists.
    pub execution: Option<&'a Object>,
    /// The `refId` (or id) of the stage that is evaluated.
    pub stage: Option<&'a str>,
    /// As whom the stage runs.
    pub user: &'a str,
    /// Now.
    pub now: Timestamp,
    /// Where random numbers come from.
    pub seed: u64,
    /// Keys of the root that hold a status: an enumeration, not text.
    pub status_keys: &'a [String],
    /// The outside world.
    pub outside: &'a dyn Outside,
    /// Limits.
    pub limits: &'a Limits,
}

static REFUSING: Refusing = Refusing;

impl<'a> Context<'a> {
    /// What is seen in an execution, by a stage or by none.
    pub fn new(
        root: &'a Object,
        execution: Option<&'a Object>,
        stage: Option<&'a str>,
        now: Timestamp,
        limits: &'a Limits,
    ) -> Self {
        let user = execution
            .and_then(|execution| execution.get("authentication")?.get("user")?.as_str())
            .unwrap_or("anonymous");
        let seed = now.as_nanosecond() as u64;
        let (status_keys, outside) = (&[] as &[String], &REFUSING as &dyn Outside);
        Self { root, execution, stage, user, now, seed, status_keys, outside, limits }
    }

    pub(crate) fn stages(&self) -> Vec<&'a Object> {
        self.execution.map(stages_of).unwrap_or_default()
    }

    /// The stage of a `refId` or an id.
    pub(crate) fn stage_of(&self, reference: &str) -> Option<&'a Object> {
        find(&self.stages(), reference)
    }

    /// The stages before a stage, itself first, then the nearest.
    pub(crate) fn line_of(&self, stage: &'a Object) -> Vec<&'a Object> {
        line(&self.stages(), stage)
    }
}

pub(crate) fn stages_of(execution: &Object) -> Vec<&Object> {
    let list = execution.get("stages").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object).collect()
}

fn find<'a>(stages: &[&'a Object], reference: &str) -> Option<&'a Object> {
    let by = |key: &str| stages.iter().copied().find(|stage| text(stage, key) == reference);
    by("refId").or_else(|| by("id"))
}

/// A stage and those before it: those that it requires, or the parent of a synthetic one, and so on.
fn line<'a>(stages: &[&'a Object], stage: &'a Object) -> Vec<&'a Object> {
    // By `refId`, else by id, the first of each; thousands of edges are not to search thousands of stages.
    let mut places: BTreeMap<&str, &'a Object> = BTreeMap::new();
    for key in ["refId", "id"] {
        for stage in stages {
            places.entry(text(stage, key)).or_insert(stage);
        }
    }
    let mut seen: BTreeSet<&str> = BTreeSet::from([text(stage, "refId")]);
    let (mut found, mut queue) = (vec![stage], VecDeque::from([stage]));
    while let Some(stage) = queue.pop_front() {
        let requires = stage.get("requisiteStageRefIds").and_then(Value::as_array);
        let requires = requires.into_iter().flatten().filter_map(Value::as_str);
        let parent = stage.get("parentStageId").and_then(Value::as_str);
        for up in requires.chain(parent) {
            let Some(up) = places.get(up).copied() else { continue };
            if seen.insert(text(up, "refId")) {
                found.push(up);
                queue.push_back(up);
            }
        }
    }
    found
}

/// The bare names that a stage sees: its own context, its own and its ancestors' outputs, nearest
/// first, then `execution`, `trigger`, `parameters` and the rest (reference §5).
pub fn stage_root(execution: &Object, stage: Option<&str>) -> Object {
    let stages = stages_of(execution);
    let mut root = Object::new();
    if let Some(stage) = stage.and_then(|reference| find(&stages, reference)) {
        add_missing(&mut root, stage.get("context"));
        for stage in line(&stages, stage) {
            add_missing(&mut root, stage.get("outputs"));
        }
    }
    root.remove("execution");
    if let Some(trigger) = execution.get("trigger") {
        root.entry("trigger").or_insert_with(|| trigger.clone());
    }
    for key in ["templateVariables"] {
        if let Some(value) = execution.get(key).filter(|value| !value.is_null()) {
            root.entry(key).or_insert_with(|| value.clone());
        }
    }
    root
}

fn add_missing(root: &mut Object, from: Option<&Value>) {
    for (key, value) in from.and_then(Value::as_object).into_iter().flatten() {
        if !root.contains_key(key) {
            root.insert(key.clone(), value.clone());
        }
    }
}

pub(crate) fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Evaluates a stage's whole context by the rules of its type and of the evaluator, but for the places
/// in `keep`: v4 evaluates the variables of `evaluateVariables` one after another, and leaves a
/// `deployManifest` that says `skipExpressionEvaluation` its manifests.
pub fn stage_context(
    value: &Value,
    stage_type: &str,
    is_v4: bool,
    context: &Context<'_>,
    keep: &BTreeSet<String>,
) -> crate::Evaluated {
    let with = |pointer: &str| {
        let mut keep = keep.clone();
        keep.insert(pointer.to_owned());
        keep
    };
    match (stage_type, is_v4) {
        ("evaluateVariables", true) if !keep.contains("/variables") => {
            with_variables(value, context, &with("/variables"))
        }
        ("deployManifest", true)
            if value.get("skipExpressionEvaluation") == Some(&Value::Bool(true)) =>
        {
            crate::evaluate(value, context, &with("/manifests"))
        }
        _ => crate::evaluate(value, context, keep),
    }
}

fn with_variables(
    value: &Value,
    context: &Context<'_>,
    keep: &BTreeSet<String>,
) -> crate::Evaluated {
    let mut evaluated = crate::evaluate(value, context, keep);
    let Some(list) = value.get("variables").and_then(Value::as_array) else { return evaluated };
    // What stands beside them is there before them.
    let mut root = context.root.clone();
    for (key, value) in evaluated.value.as_object().into_iter().flatten() {
        if key != "variables" && root.contains_key(key) {
            root.insert(key.clone(), value.clone());
        }
    }
    let (made, summary) = crate::variables(list, &Context { root: &root, ..*context });
    evaluated.summary.merge(summary);
    evaluated.made.push("/variables".into());
    evaluated.value["variables"] = Value::Array(made);
    evaluated
}
