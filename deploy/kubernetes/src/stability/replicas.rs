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
    if !is_current(object) {
        // Its conditions are about the object as it was.
        return spec_paused(object, DeployedStatus::stable().unstable(OLD_GENERATION));
    }
    let desired = number(object, "/spec/replicas");
    let count = |key: &str| number(status, &format!("/{key}"));
    let updated = count("updatedReplicas");
    let broken = first_broken(&[
        (updated >= desired, "Waiting for all replicas to be updated"),
        (count("replicas") <= updated, "Waiting for old replicas to finish termination"),
        (count("availableReplicas") >= desired, "Waiting for all replicas to be available"),
        (count("readyReplicas") >= desired, "Waiting for all replicas to be ready"),
    ]);
    let result = deployment_conditions(object, DeployedStatus::stable());
    match broken {
        Some(message) => result.unstable(message),
        None => result,
    }
}

fn spec_paused(object: &Value, result: DeployedStatus) -> DeployedStatus {
    match object.pointer("/spec/paused") {
        Some(Value::Bool(true)) => result.paused("Deployment is paused"),
        _ => result,
    }
}

fn deployment_conditions(object: &Value, result: DeployedStatus) -> DeployedStatus {
    let mut result = spec_paused(object, result);
    for condition in conditions(object) {
        let text = |key: &str| condition[key].as_str().unwrap_or_default();
        let is = |key: &str, word: &str| text(key).eq_ignore_ascii_case(word);
        if is("reason", "DeploymentPaused") {
            result = result.paused(text("message"));
        }
        if is("type", "Progressing") && is("reason", "ProgressDeadlineExceeded") {
            result = result.failed("Deployment exceeded its progress deadline");
        }
        if is("type", "Available") && is("status", "False") {
            result = result.unstable(text("message")).unavailable(text("message"));
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
    ]);
    match broken {
        Some(message) => DeployedStatus::stable().unstable(message).unavailable(message),
        None if is_current(object) => DeployedStatus::stable(),
        None => {
            DeployedStatus::stable().unstable("Waiting for replicaset spec update to be observed")
        }
    }
}

pub(super) fn stateful_set(object: &Value) -> DeployedStatus {
    let strategy = object.pointer("/spec/updateStrategy/type").and_then(Value::as_str);
    if strategy.is_some_and(|strategy| strategy.eq_ignore_ascii_case("OnDelete")) {
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
    partitioned(object, status).unwrap_or_else(|| stateful_set_rolled_out(status, desired))
}

/// How far a rolling update has come whose block the object has, be its partition 0; the revisions are
/// not looked at then, as in Spinnaker. `None` before the first replica is updated.
fn partitioned(object: &Value, status: &Value) -> Option<DeployedStatus> {
    let rolling = object.pointer("/spec/updateStrategy/rollingUpdate")?.as_object()?;
    let updated = status.get("updatedReplicas").and_then(Value::as_i64)?;
    let partition = rolling.get("partition").and_then(Value::as_i64);
    let wanted = partition.map_or(0, |partition| number(status, "/replicas") - partition);
    if updated < wanted {
        return Some(
            DeployedStatus::stable().unstable("Waiting for partitioned roll out to finish"),
        );
    }
    let mut done = DeployedStatus::stable();
    done.stable = deploy::Condition::because("Partitioned roll out complete");
    Some(done)
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
    let Some(status) = reported(object) else { return DeployedStatus::none_reported() };
    if !is_current(object) {
        return DeployedStatus::stable().unstable(OLD_GENERATION);
    }
    let strategy = object.pointer("/spec/updateStrategy/type").and_then(Value::as_str);
    if strategy.is_some_and(|strategy| !strategy.eq_ignore_ascii_case("RollingUpdate")) {
        return DeployedStatus::stable();
    }
    let count = |key: &str| number(status, &format!("/{key}"));
    let desired = count("desiredNumberScheduled");
    let broken = first_broken(&[
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
