//! Stages that need no worker: what they consist of, and what their tasks come to (reference §3.4).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared_model::{Object, Status, TaskAnswer, TaskError};

use crate::plan::{StagePlan, SyntheticPlan, TaskKind, TaskPlan};

/// Every stage type that needs no worker.
pub const NATIVE_TYPES: [&str; 7] = [
    "checkPreconditions",
    "evaluateVariables",
    "findArtifactFromExecution",
    "manualJudgment",
    "noop",
    "pipeline",
    "wait",
];
/// Task of a wait.
pub const WAIT: &str = "wait";
/// Task of a judgment.
pub const WAIT_FOR_JUDGMENT: &str = "waitForJudgment";
/// Task of a stage that evaluates variables.
pub const EVALUATE_VARIABLES: &str = "evaluateVariables";
/// Task of one precondition.
pub const CHECK_PRECONDITION: &str = "checkPrecondition";
/// Task of a stage that starts another pipeline.
pub const START_PIPELINE: &str = "startPipeline";
/// Task of a stage that looks for artifacts of another execution.
pub const FIND_ARTIFACTS: &str = "findArtifactFromExecution";
/// Task of a stage that waits for another execution.
pub const MONITOR_PIPELINE: &str = "monitorPipeline";
/// Kind of the failure of a condition that does not hold.
pub const CONDITION_FAILED: &str = "ConditionFailed";
/// Kind of the failure of a stage whose document says that it stops here.
pub const JUDGED_TO_STOP: &str = "JudgmentStopped";
/// How long another execution may take where the document does not say.
const CHILD_TIMEOUT: SignedDuration = SignedDuration::from_hours(12);
/// How long a judgment may take where the document does not say.
const JUDGMENT_TIMEOUT: SignedDuration = SignedDuration::from_hours(3 * 24);
/// Longest wait that can be asked for, in seconds: a hundred years.
const WAIT_SECONDS_MAX: f64 = 100.0 * 365.25 * 86_400.0;

/// What a native stage consists of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NativePlan {
    /// Tasks and stages before them.
    pub plan: StagePlan,
    /// Contexts of the stages before, in their order.
    pub before_contexts: Vec<Object>,
    /// How long the stage may take where the document does not say.
    pub timeout: Option<SignedDuration>,
}

/// Whether a stage type needs no worker.
pub fn is_native(stage_type: &str) -> bool {
    NATIVE_TYPES.contains(&stage_type)
}

/// What a native stage consists of.
///
/// # Errors
/// [`TaskError`] if the type is not native, or its fields are so wrong that nothing can be planned.
pub fn plan(stage_type: &str, context: &Object, at: Timestamp) -> Result<NativePlan, TaskError> {
    match stage_type {
        "wait" => Ok(one_task(WAIT, wait_kind(context, at), None)),
        "manualJudgment" => {
            Ok(one_task(WAIT_FOR_JUDGMENT, judgment_kind(context), Some(JUDGMENT_TIMEOUT)))
        }
        "evaluateVariables" => Ok(one_task(EVALUATE_VARIABLES, TaskKind::Native, None)),
        "checkPreconditions" => preconditions(context),
        "findArtifactFromExecution" => Ok(one_task(FIND_ARTIFACTS, TaskKind::Native, None)),
        "pipeline" => Ok(child_pipeline(context)),
        "noop" => Ok(NativePlan::default()),
        _ => Err(TaskError::new("NoSuchStageType", format!("`{stage_type}` needs a worker"))),
    }
}

fn one_task(name: &str, kind: TaskKind, timeout: Option<SignedDuration>) -> NativePlan {
    let tasks = vec![TaskPlan { name: name.into(), kind }];
    NativePlan {
        plan: StagePlan { tasks, ..StagePlan::default() },
        timeout,
        ..NativePlan::default()
    }
}

/// Starts another pipeline, unless `executionId` names an execution already, and waits for its end
/// unless told not to.
fn child_pipeline(context: &Object) -> NativePlan {
    let is_started = context.get("executionId").is_some_and(|id| !id.is_null());
    let waits = !context.get("waitForCompletion").is_some_and(is_false);
    let start = TaskPlan { name: START_PIPELINE.into(), kind: TaskKind::Native };
    let monitor = TaskPlan { name: MONITOR_PIPELINE.into(), kind: TaskKind::Child };
    let tasks = [(!is_started).then_some(start), waits.then_some(monitor)];
    NativePlan {
        plan: StagePlan { tasks: tasks.into_iter().flatten().collect(), ..StagePlan::default() },
        timeout: Some(CHILD_TIMEOUT),
        ..NativePlan::default()
    }
}

/// A wait whose time cannot be read fails as a task does, so that the failure options count.
fn wait_kind(context: &Object, at: Timestamp) -> TaskKind {
    let skipped = context.get("skipRemainingWait").is_some_and(is_true);
    let seconds = if skipped { Some(0.0) } else { wait_seconds(context) };
    let until = seconds
        .and_then(|seconds| at.checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?).ok());
    until.map_or(TaskKind::Native, |until| TaskKind::Wait { until })
}

/// `waitTime` in seconds; absent means none. `None` if it is no number.
fn wait_seconds(context: &Object) -> Option<f64> {
    let seconds = match context.get("waitTime") {
        None | Some(Value::Null) => 0.0,
        Some(Value::Number(number)) => number.as_f64()?,
        Some(Value::String(text)) => text.trim().parse().ok()?,
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => return None,
    };
    (seconds.is_finite() && seconds <= WAIT_SECONDS_MAX).then_some(seconds.max(0.0))
}

/// A document may hold the judgment already; then nobody is asked.
fn judgment_kind(context: &Object) -> TaskKind {
    match preset_judgment(context) {
        Some(_) => TaskKind::Native,
        None => TaskKind::Judgment,
    }
}

fn preset_judgment(context: &Object) -> Option<bool> {
    let status = context.get("judgmentStatus").and_then(Value::as_str)?;
    match status.to_ascii_lowercase().as_str() {
        "continue" => Some(true),
        "stop" => Some(false),
        _ => None,
    }
}

/// One stage per precondition, side by side; one stage with a `preconditionType` is such a stage.
fn preconditions(context: &Object) -> Result<NativePlan, TaskError> {
    if context.contains_key("preconditionType") {
        return Ok(one_task(CHECK_PRECONDITION, TaskKind::Native, None));
    }
    let list = context.get("preconditions").and_then(Value::as_array);
    let list = list.ok_or_else(|| {
        TaskError::new(
            "InvalidStage",
            "`preconditions` is missing or no list; give a list, it may be empty",
        )
    })?;
    let mut planned = NativePlan::default();
    for (index, precondition) in list.iter().enumerate() {
        let precondition = precondition.as_object().ok_or_else(|| {
            TaskError::new("InvalidStage", format!("`preconditions[{index}]` is no object"))
        })?;
        let (plan, child) = precondition_stage(precondition, context);
        planned.plan.before.push(plan);
        planned.before_contexts.push(child);
    }
    Ok(planned)
}

fn precondition_stage(precondition: &Object, parent: &Object) -> (SyntheticPlan, Object) {
    let mut child = precondition.clone();
    let kind = child.remove("type").unwrap_or_default();
    let name = format!("Check precondition ({})", kind.as_str().unwrap_or_default());
    child.insert("preconditionType".into(), kind);
    child.entry("context").or_insert_with(|| json!({}));
    child.insert("type".into(), "checkPreconditions".into());
    for inherited in
        ["completeOtherBranchesThenFail", "continuePipeline", "failOnFailedExpressions"]
    {
        if let Some(value) = parent.get(inherited) {
            child.entry(inherited).or_insert_with(|| value.clone());
        }
    }
    let stage_type = "checkPreconditions".to_owned();
    (SyntheticPlan { stage_type, name, after_previous: false }, child)
}

/// What a native task comes to that needs no expressions: a judgment that the document holds, a wait
/// that cannot be read. `None` for the others.
pub fn answer(task: &str, context: &Object) -> Option<TaskAnswer> {
    match task {
        WAIT => Some(TaskAnswer::terminal(TaskError::new(
            "IllegalArgumentException",
            format!(
                "waitTime is {}, which is no number of seconds; give a number",
                context.get("waitTime").unwrap_or(&Value::Null)
            ),
        ))),
        WAIT_FOR_JUDGMENT if preset_judgment(context) == Some(true) => Some(TaskAnswer::done()),
        WAIT_FOR_JUDGMENT => Some(TaskAnswer::terminal(TaskError::new(
            JUDGED_TO_STOP,
            "the document's judgmentStatus is `stop`",
        ))),
        _ => None,
    }
}

/// What a precondition on another stage's status comes to; `found` is that stage's status, if the
/// execution has such a stage.
pub fn check_stage_status(precondition: &Object, found: Option<Status>) -> TaskAnswer {
    let text = |key: &str| precondition.get(key).and_then(Value::as_str).unwrap_or_default();
    let (stage, wanted) = (text("stageName"), text("stageStatus"));
    match found {
        None => TaskAnswer::terminal(TaskError::new(
            "ConfigurationException",
            format!("Failed to find stage {stage} in execution. Please specify a valid stage name"),
        )),
        Some(status) if status.name() == wanted => TaskAnswer::done(),
        Some(status) => TaskAnswer::terminal(TaskError::new(
            "PreconditionFailureException",
            format!(
                "The status of stage {stage} was asserted to be {wanted}, but was actually {status}"
            ),
        )),
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

fn is_false(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => !truth,
        Value::String(text) => text.eq_ignore_ascii_case("false"),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(value: Value) -> Object {
        value.as_object().cloned().unwrap_or_default()
    }

    fn kind(stage_type: &str, value: Value) -> TaskKind {
        plan(stage_type, &context(value), Timestamp::UNIX_EPOCH).unwrap().plan.tasks[0].kind.clone()
    }

    #[test]
    fn a_wait_reads_numbers_and_text() {
        let until = |seconds| TaskKind::Wait { until: Timestamp::from_second(seconds).unwrap() };
        assert_eq!(kind("wait", json!({"waitTime": 5})), until(5));
        assert_eq!(kind("wait", json!({"waitTime": " 7 "})), until(7));
        assert_eq!(kind("wait", json!({})), until(0));
        assert_eq!(kind("wait", json!({"waitTime": -3})), until(0));
        assert_eq!(kind("wait", json!({"waitTime": 9, "skipRemainingWait": true})), until(0));
        for bad in [json!("abc"), json!("NaN"), json!(1e300), json!([1])] {
            assert_eq!(kind("wait", json!({"waitTime": bad})), TaskKind::Native);
        }
    }

    #[test]
    fn preconditions_become_stages_of_their_own() {
        let planned = plan(
            "checkPreconditions",
            &context(json!({"continuePipeline": true, "preconditions": [
                {"type": "expression", "context": {"expression": "1 < 2"}, "failPipeline": false},
                {"type": "stageStatus", "context": {}},
            ]})),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        let names: Vec<_> = planned.plan.before.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(names, ["Check precondition (expression)", "Check precondition (stageStatus)"]);
        assert_eq!(planned.before_contexts[0]["failPipeline"], json!(false));
        assert_eq!(planned.before_contexts[1]["continuePipeline"], json!(true));
        let child = plan("checkPreconditions", &planned.before_contexts[0], Timestamp::UNIX_EPOCH);
        assert_eq!(child.unwrap().plan.tasks[0].name, CHECK_PRECONDITION);
    }

    #[test]
    fn a_stage_status_is_compared_by_name() {
        let wanted = context(json!({"stageName": "w1", "stageStatus": "SUCCEEDED"}));
        assert_eq!(check_stage_status(&wanted, Some(Status::Succeeded)), TaskAnswer::done());
        let TaskAnswer::Failed { error, .. } = check_stage_status(&wanted, Some(Status::Skipped))
        else {
            panic!("it holds");
        };
        assert!(error.messages[0].ends_with("but was actually SKIPPED"));
    }
}
