//! A task's answer, or a person's, into the body of its stage.

use jiff::Timestamp;
use scheduler_engine::command::Cause;
use scheduler_engine::event::Outcome;
use scheduler_engine::native;
use serde_json::{Value, json};
use shared_model::{Object, Retry, TaskAnswer, TaskError, TaskIndex, TaskResult};
use shared_ports::journal::StageBody;

use super::{facts, planning};

/// Failures that are an answer and no accident: Orca leaves no `exception` in the stage's context for
/// them; here the task tells why.
const WITHOUT_EXCEPTION: [&str; 3] =
    [native::CONDITION_FAILED, native::JUDGED_TO_STOP, "WebhookFailed"];
/// Orca's text for every failure that it was not ready for; what happened is in `errors`.
const UNEXPECTED: &str = "Unexpected Task Failure";

/// What of an answer decides what follows.
pub(crate) fn outcome(answer: &TaskAnswer) -> Outcome {
    match answer {
        TaskAnswer::Succeeded { .. } => Outcome::Succeeded,
        TaskAnswer::Again { after, .. } => Outcome::Again { after: *after },
        TaskAnswer::Redirect { .. } => Outcome::Redirect,
        TaskAnswer::Skipped { .. } => Outcome::Skipped,
        TaskAnswer::Stopped { .. } => Outcome::Stopped,
        TaskAnswer::FailedContinue { .. } => Outcome::FailedContinue,
        TaskAnswer::Failed { retry, .. } => Outcome::Failed { retry: *retry },
        TaskAnswer::Canceled { .. } => Outcome::Canceled,
        TaskAnswer::HandedOver { .. } => Outcome::HandedOver,
    }
}

/// What is not done yet is looked at again when the task says so, but not before the stage does
/// (`backoffPeriodMs`).
pub(crate) fn not_before(outcome: Outcome, context: &Object) -> Outcome {
    let floor = context.get("backoffPeriodMs").and_then(planning::milliseconds);
    match (outcome, floor) {
        (Outcome::Again { after }, Some(floor)) => Outcome::Again { after: after.max(floor) },
        (outcome, _) => outcome,
    }
}

/// Folds a task's answer into its stage's body.
pub(crate) fn answer(
    body: &mut StageBody,
    task: TaskIndex,
    task_name: &str,
    answer: &TaskAnswer,
    at: Timestamp,
) {
    if let Some(result) = answer.result() {
        merge(body, result);
    }
    body.checkpoints.remove(&task);
    match answer {
        TaskAnswer::Again { checkpoint, .. } | TaskAnswer::HandedOver { checkpoint } => {
            body.checkpoints.insert(task, checkpoint.clone());
        }
        TaskAnswer::Failed { error, .. } if WITHOUT_EXCEPTION.contains(&error.kind.as_str()) => {
            body.failures.insert(task, exception_of(task_name, error, &[], false, at));
        }
        TaskAnswer::Failed { error, retry, .. } => {
            exception(body, task_name, error, *retry == Retry::Later, at);
        }
        TaskAnswer::FailedContinue { error, .. } => exception(body, task_name, error, false, at),
        TaskAnswer::Succeeded { .. }
        | TaskAnswer::Redirect { .. }
        | TaskAnswer::Skipped { .. }
        | TaskAnswer::Stopped { .. }
        | TaskAnswer::Canceled { .. } => {}
    }
}

fn merge(body: &mut StageBody, result: &TaskResult) {
    patch(body, &result.context);
    for (key, value) in &result.outputs {
        // `stageTimeoutMs` is never an output: it would become a timeout of stages downstream (H28).
        if key != "stageTimeoutMs" {
            body.outputs.insert(key.clone(), value.clone());
        }
    }
    add_artifacts(body, result);
}

fn add_artifacts(body: &mut StageBody, result: &TaskResult) {
    if result.artifacts.is_empty() {
        return;
    }
    let mut all = match body.outputs.remove("artifacts") {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    for artifact in &result.artifacts {
        let value = Value::Object(artifact.0.clone());
        if !all.contains(&value) {
            all.push(value);
        }
    }
    body.outputs.insert("artifacts".into(), Value::Array(all));
}

/// Merges fields into a stage's context. They are values, not document text: never evaluated (D13).
pub(crate) fn patch(body: &mut StageBody, fields: &Object) {
    for (key, value) in fields {
        body.context.insert(key.clone(), value.clone());
        let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        if !body.evaluated.contains(&pointer) {
            body.evaluated.push(pointer);
        }
    }
}

/// Writes a failure into a stage's context, in Orca's shape (reference §4.3).
pub(crate) fn exception(
    body: &mut StageBody,
    operation: &str,
    error: &TaskError,
    should_retry: bool,
    at: Timestamp,
) {
    let earlier = earlier_errors(body);
    let exception = exception_of(operation, error, &earlier, should_retry, at);
    patch(body, &Object::from_iter([("exception".to_owned(), exception)]));
}

fn earlier_errors(body: &StageBody) -> Vec<Value> {
    let earlier = body.context.get("exception").and_then(|e| e.pointer("/details/errors"));
    earlier.and_then(Value::as_array).cloned().unwrap_or_default()
}

fn exception_of(
    operation: &str,
    error: &TaskError,
    earlier: &[Value],
    should_retry: bool,
    at: Timestamp,
) -> Value {
    let errors = with_earlier(&error.messages, earlier);
    json!({
        "timestamp": at.as_millisecond(),
        "exceptionType": error.kind,
        "operation": operation,
        "details": { "error": UNEXPECTED, "errors": errors },
        "shouldRetry": should_retry,
    })
}

fn with_earlier(messages: &[String], earlier: &[Value]) -> Vec<Value> {
    let mut errors: Vec<Value> = messages.iter().map(|line| json!(line)).collect();
    let more: Vec<Value> = earlier.iter().filter(|line| !errors.contains(line)).cloned().collect();
    errors.extend(more);
    errors
}

/// Adds to a stage's exception which of its expressions failed; there may be no other reason.
pub(crate) fn failed_expressions(body: &mut StageBody, messages: &[String]) {
    let mut exception = body
        .context
        .get("exception")
        .cloned()
        .unwrap_or_else(|| json!({ "details": { "error": "Failed Expression Evaluation" } }));
    exception["details"]["errors"] = with_earlier(messages, &earlier_errors(body)).into();
    patch(body, &Object::from_iter([("exception".to_owned(), exception)]));
}

/// Writes into a stage's context why the engine gave it up.
pub(crate) fn gave_up(
    body: &mut StageBody,
    operation: &str,
    cause: Cause,
    lost: Option<&str>,
    at: Timestamp,
) {
    let error = TaskError::new(facts::exception_type(cause), facts::why(cause, lost));
    exception(body, operation, &error, false, at);
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn h27_a_stage_may_ask_to_be_looked_at_less_often() {
        let again = |seconds| Outcome::Again { after: SignedDuration::from_secs(seconds) };
        let context = |value: Value| Object::from_iter([("backoffPeriodMs".to_owned(), value)]);
        assert_eq!(not_before(again(5), &context(json!(30_000))), again(30));
        assert_eq!(not_before(again(60), &context(json!("30000"))), again(60), "the longer one");
        assert_eq!(not_before(again(5), &Object::new()), again(5));
        assert_eq!(not_before(Outcome::Succeeded, &context(json!(30_000))), Outcome::Succeeded);
    }

    #[test]
    fn outputs_never_hold_a_stage_timeout() {
        let mut body = StageBody::default();
        let mut result = TaskResult::default();
        result.outputs.insert("stageTimeoutMs".into(), json!(5));
        result.outputs.insert("a".into(), json!(1));
        answer(&mut body, 0, "t", &TaskAnswer::Succeeded { result }, Timestamp::UNIX_EPOCH);
        assert_eq!(Value::Object(body.outputs), json!({"a": 1}));
    }

    #[test]
    fn a_second_failure_keeps_what_the_first_said() {
        let mut body = StageBody::default();
        exception(&mut body, "t", &TaskError::new("A", "first"), true, Timestamp::UNIX_EPOCH);
        exception(&mut body, "t", &TaskError::new("B", "second"), false, Timestamp::UNIX_EPOCH);
        assert_eq!(body.context["exception"]["details"]["errors"], json!(["second", "first"]));
        assert_eq!(body.evaluated, ["/exception"]);
    }

    #[test]
    fn a_checkpoint_lives_until_the_task_ends() {
        let mut body = StageBody::default();
        let again = TaskAnswer::Again {
            after: jiff::SignedDuration::from_secs(1),
            checkpoint: json!(7),
            result: TaskResult::default(),
        };
        answer(&mut body, 2, "t", &again, Timestamp::UNIX_EPOCH);
        assert_eq!(body.checkpoints[&2], json!(7));
        answer(&mut body, 2, "t", &TaskAnswer::done(), Timestamp::UNIX_EPOCH);
        assert!(body.checkpoints.is_empty());
    }
}
