//! Kinds that keep replicas.

use deploy::DeployedStatus;
use serde_json::Value;

use super::{OLD_GENERATION, conditions, is_current, number, reported};

/// The first message whose rule does not hold.
fn first_broken(rules: &[(bool, &'static str)]) -> Option<&'static str> {
    rules.iter().find(|(holds, _)| !holds).map(|(_, message)| *message)
}

pub(super) fn deployment(object: &Value) -> DeployedStatus {
    let Some(status) = reported(object) else { return DeployedStatus::none_reported() };
    let desired = number(object, "/spec/replicas");
    let count = |key: &str| number(status, &format!("/{key}"));
    let updated = count("updatedReplicas");
    let broken = first_broken(&[
        (is_current(object), OLD_GENERATION),
        (updated >= desired, "Waiting for all replicas to be updated"),
        (count("replicas") <= updated, "Waiting for old replicas to finish termination"),
        (count("availableReplicas") >= updated, "Waiting for all replicas to be available"),
        (count("readyReplicas") >= desired, "Waiting for all replicas to be ready"),
    ]);
    let result = match broken {
        Some(message) => DeployedStatus::stable().unstable(message),
        None => DeployedStatus::stable(),
    };
    deployment_conditions(object, result)
}

fn deployment_conditions(object: &Value, mut result: DeployedStatus) -> DeployedStatus {
    let text =
        |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    if object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        result = result.paused("Deployment is paused");
    }
    for condition in conditions(object) {
        match (text(condition, "type").as_str(), text(condition, "reason").as_str()) {
            (_, "DeploymentPaused") => result = result.paused("Deployment is paused"),
            (_, "ProgressDeadlineExceeded") => {
                result = result.failed("Deployment exceeded its progress deadline");
            }
            ("Available", _) if text(condition, "status").eq_ignore_ascii_case("false") => {
                result = result.unavailable(text(condition, "message"));
            }
            _ => {}
        }
    }
    result
}

pub(super) fn replica_set(object: &Value) -> DeployedStatus {
    let Some(status) = reported(object) else { return DeployedStatus::none_reported() };
    let desired = number(object, "/spec/replicas");
    let count = |key: &str| number(status, &format!("/{key}"));
    let broken = first_broken(&[
        (count("fullyLabeledReplicas") >= desired, "Waiting for all replicas to be fully-labeled"),
        (count("readyReplicas") >= desired, "Waiting for all replicas to be ready"),
        (count("availableReplicas") >= desired, "Waiting for all replicas to be available"),
        (is_current(object), OLD_GENERATION),
    ]);
    match broken {
        Some(message) => DeployedStatus::stable().unstable(message).unavailable(message),
        None => DeployedStatus::stable(),
    }
}

pub(super) fn stateful_set(object: &Value) -> DeployedStatus {
    if object.pointer("/spec/updateStrategy/type").is_some_and(|kind| kind == "OnDelete") {
        return DeployedStatus::stable();
    }
    let Some(status) = reported(object) else { return DeployedStatus::none_reported() };
    let desired = number(object, "/spec/replicas");
    let count = |key: &str| number(status, &format!("/{key}"));
    let broken = first_broken(&[
        (is_current(object), OLD_GENERATION),
        (count("replicas") >= desired, "Waiting for at least the desired replica count to be met"),
        (count("readyReplicas") >= desired, "Waiting for all updated replicas to be ready"),
    ]);
    if let Some(message) = broken {
        return DeployedStatus::stable().unstable(message);
    }
    match number(object, "/spec/updateStrategy/rollingUpdate/partition") {
        0 => stateful_set_rolled_out(status, desired),
        partition if count("updatedReplicas") < desired - partition => {
            DeployedStatus::stable().unstable("Waiting for partitioned roll out to finish")
        }
        _ => {
            let mut done = DeployedStatus::stable();
            done.stable = deploy::Condition::because("Partitioned roll out complete");
            done
        }
    }
}

fn stateful_set_rolled_out(status: &Value, desired: i64) -> DeployedStatus {
    let same = status.get("currentRevision") == status.get("updateRevision");
    let broken = first_broken(&[
        (
            number(status, "/currentReplicas") >= desired,
            "Waiting for all updated replicas to be scheduled",
        ),
        (same, "Waiting for the updated revision to match the current revision"),
    ]);
    match broken {
        Some(message) => DeployedStatus::stable().unstable(message),
        None => DeployedStatus::stable(),
    }
}

pub(super) fn daemon_set(object: &Value) -> DeployedStatus {
    let strategy = object.pointer("/spec/updateStrategy/type").and_then(Value::as_str);
    if strategy.is_some_and(|strategy| !strategy.eq_ignore_ascii_case("RollingUpdate")) {
        return DeployedStatus::stable();
    }
    let Some(status) = reported(object) else { return DeployedStatus::none_reported() };
    let count = |key: &str| number(status, &format!("/{key}"));
    let desired = count("desiredNumberScheduled");
    let broken = first_broken(&[
        (is_current(object), OLD_GENERATION),
        (count("currentNumberScheduled") >= desired, "Waiting for all replicas to be scheduled"),
        (
            count("updatedNumberScheduled") >= desired,
            "Waiting for all updated replicas to be scheduled",
        ),
        (count("numberAvailable") >= desired, "Waiting for all replicas to be available"),
        (count("numberReady") >= desired, "Waiting for all replicas to be ready"),
    ]);
    match broken {
        Some(message) => DeployedStatus::stable().unstable(message),
        None => DeployedStatus::stable(),
    }
}
