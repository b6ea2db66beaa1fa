//! What a stage consists of, from its type and its evaluated context.

use jiff::{SignedDuration, Timestamp};
use scheduler_engine::plan::{Settings, StagePlan, TaskKind, TaskPlan};
use scheduler_engine::{native, window};
use serde_json::Value;
use shared_model::{Effects, ExpectedArtifact, Object, TaskError};
use shared_plugin::StageDescriptor;
use shared_ports::journal::StageBody;

use super::evaluation::{Scene, Shell};
use super::reach::Reach;
use super::windows;

/// Orca's name of the task that binds what a stage made.
pub(crate) const BIND_ARTIFACTS: &str = "bindProducedArtifacts";
/// Kind of the error of a stage whose type nobody announced.
pub(crate) const NO_SUCH_TYPE: &str = "NoSuchStageDefinitionBuilderException";

/// What a stage consists of, and the bodies of the stages that it plans before itself.
pub(crate) struct Planned {
    pub(crate) settings: Settings,
    pub(crate) plan: StagePlan,
    pub(crate) bodies: Vec<StageBody>,
}

/// Plans a stage.
///
/// # Errors
/// A [`TaskError`] for a type that nobody announced, and for fields that are not carried out (D18).
pub(crate) fn plan(
    shell: &Shell,
    scene: &Scene<'_>,
    stage_type: &str,
    context: &Object,
) -> Result<Planned, TaskError> {
    let alias = context.get("alias").and_then(Value::as_str).unwrap_or_default();
    let known = |name: &&str| {
        let is_window = *name == window::STAGE_TYPE;
        shell.registry.find(name).is_some() || native::is_native(name) || is_window
    };
    let name = [alias, stage_type].into_iter().find(known);
    let name = name.ok_or_else(|| unknown(shell, stage_type))?;
    let planned = match shell.registry.find(name) {
        Some(descriptor) => of_workers(&shell.reach, &descriptor, context),
        None if name == window::STAGE_TYPE => windows::wait(shell, scene, context)?,
        None => of_scheduler(name, context, scene.at)?,
    };
    windows::before(planned, context)
}

fn unknown(shell: &Shell, stage_type: &str) -> TaskError {
    let mut names: Vec<String> = native::NATIVE_TYPES.iter().map(ToString::to_string).collect();
    names.extend(shell.registry.names());
    TaskError::new(NO_SUCH_TYPE, format!("no worker ever announced the stage type `{stage_type}`"))
        .and(format!("known stage types: {}", names.join(", ")))
}

fn of_workers(reach: &Reach, descriptor: &StageDescriptor, context: &Object) -> Planned {
    let account = descriptor.account(context);
    let worker = |task: &shared_plugin::TaskDescriptor| TaskPlan {
        name: task.name.clone(),
        kind: TaskKind::Worker {
            capability: reach.of_stage(&task.capability, account),
            effects: effects(task.effects, context),
        },
    };
    let tasks = descriptor.tasks.iter().filter(|task| task.when.holds(context));
    let mut tasks: Vec<TaskPlan> = tasks.map(worker).collect();
    if !expected_artifacts(context).is_empty() {
        tasks.push(TaskPlan { name: BIND_ARTIFACTS.into(), kind: TaskKind::Native });
    }
    Planned {
        settings: settings(context, Some(descriptor.timeout)),
        plan: StagePlan { tasks, ..StagePlan::default() },
        bodies: Vec::new(),
    }
}

/// What a task does to the outside world, with a request's decided: methods that may be repeated
/// (RFC 9110 §9.2.2), and targets that the stage says know an `Idempotency-Key`; and with who is to
/// be told of its end.
fn effects(effects: Effects, context: &Object) -> Effects {
    const REPEATABLE: [&str; 6] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"];
    match effects {
        Effects::None | Effects::Keyed | Effects::Unkeyed => effects,
        Effects::Watch => match context.get("cancelEndpoint").and_then(Value::as_str) {
            None | Some("") => Effects::None,
            Some(_) => effects,
        },
        Effects::Request => {
            let method = context.get("method").and_then(Value::as_str).unwrap_or("POST");
            let method = method.trim().to_ascii_uppercase();
            let says_so = context.get("idempotent").and_then(truth) == Some(true);
            if says_so || REPEATABLE.contains(&method.as_str()) {
                Effects::Keyed
            } else {
                Effects::Unkeyed
            }
        }
    }
}

fn of_scheduler(name: &str, context: &Object, at: Timestamp) -> Result<Planned, TaskError> {
    let planned = native::plan(name, context, at)?;
    let body = |context: &Object| StageBody { context: context.clone(), ..StageBody::default() };
    Ok(Planned {
        settings: settings(context, planned.timeout),
        bodies: planned.before_contexts.iter().map(body).collect(),
        plan: planned.plan,
    })
}

/// The expected artifacts that a stage's context lists.
pub(crate) fn expected_artifacts(context: &Object) -> Vec<ExpectedArtifact> {
    let list = context.get("expectedArtifacts").and_then(Value::as_array);
    let objects = list.into_iter().flatten().filter_map(Value::as_object);
    objects.cloned().map(ExpectedArtifact).collect()
}

/// The document's words about failure and time (reference §2.3); words in text count as well.
pub(crate) fn settings(context: &Object, own_timeout: Option<SignedDuration>) -> Settings {
    let flag = |key: &str| context.get(key).and_then(truth);
    Settings {
        fail_pipeline: flag("failPipeline").unwrap_or(true),
        continue_pipeline: flag("continuePipeline").unwrap_or(false),
        complete_other_branches_then_fail: flag("completeOtherBranchesThenFail").unwrap_or(false),
        fail_on_failed_expressions: flag("failOnFailedExpressions").unwrap_or(false),
        siblings_continue: flag("allowSiblingStagesToContinueOnFailure").unwrap_or(false),
        timeout: context.get("stageTimeoutMs").and_then(milliseconds).or(own_timeout),
        mark_successful_on_timeout: flag("markSuccessfulOnTimeout").unwrap_or(false),
    }
}

pub(crate) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(crate) fn milliseconds(value: &Value) -> Option<SignedDuration> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|f| f as i64)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|ms| *ms > 0).map(SignedDuration::from_millis)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn context(value: Value) -> Object {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn flags_in_text_count_as_flags() {
        let settings =
            settings(&context(json!({"continuePipeline": "True", "failPipeline": "false"})), None);
        assert!(settings.continue_pipeline);
        assert!(!settings.fail_pipeline);
    }

    #[test]
    fn a_timeout_in_text_counts_and_nonsense_does_not() {
        let own = Some(SignedDuration::from_secs(9));
        let timeout =
            |value: Value| settings(&context(json!({"stageTimeoutMs": value})), own).timeout;
        assert_eq!(timeout(json!("1500")), Some(SignedDuration::from_millis(1500)));
        assert_eq!(
            timeout(json!(12_345_678_901_i64)),
            Some(SignedDuration::from_millis(12_345_678_901))
        );
        assert_eq!(timeout(json!("soon")), own);
        assert_eq!(timeout(json!(-1)), own);
    }
}
