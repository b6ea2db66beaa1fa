//! Kinds that run to an end, and those that watch others.

use deploy::{Condition, DeployedStatus};
use serde_json::Value;

use super::{conditions, number, reported};

pub(super) fn job(object: &Value) -> DeployedStatus {
    // A new Job's status is empty; only one that is absent says nothing.
    let Some(status @ Value::Object(_)) = object.get("status") else {
        return DeployedStatus::none_reported();
    };
    let completions = object.pointer("/spec/completions").and_then(Value::as_i64).unwrap_or(1);
    if number(status, "/succeeded") >= completions {
        return DeployedStatus::stable();
    }
    let is =
        |value: &Value, word: &str| value.as_str().is_some_and(|t| t.eq_ignore_ascii_case(word));
    let failed = conditions(object)
        .find(|condition| is(&condition["type"], "Failed") && is(&condition["status"], "True"));
    match failed {
        // It will not change any more: Spinnaker shows it as stable, and failed.
        Some(condition) => {
            let message = condition["message"].as_str().unwrap_or("Job has failed");
            DeployedStatus::stable().failed(message)
        }
        None => DeployedStatus::stable().unstable("Waiting for jobs to finish"),
    }
}

pub(super) fn pod(object: &Value) -> DeployedStatus {
    let Some(status @ Value::Object(_)) = object.get("status") else {
        return DeployedStatus::none_reported();
    };
    let bad = |message: &str| DeployedStatus::stable().unstable(message).unavailable(message);
    match status.get("phase").and_then(Value::as_str) {
        Some("Running" | "Succeeded") => DeployedStatus::stable(),
        Some("Pending") => bad("Pod is pending"),
        Some("Failed") => bad("Pod has failed"),
        None | Some(_) => bad("Pod phase is unknown"),
    }
}

pub(super) fn cron_job(object: &Value) -> DeployedStatus {
    // A CronJob that never ran reports an empty status once the server has seen it.
    match object.get("status") {
        Some(Value::Object(_)) => DeployedStatus::stable(),
        _ => DeployedStatus::none_reported(),
    }
}

pub(super) fn autoscaler(object: &Value) -> DeployedStatus {
    let Some(status) = reported(object) else {
        let none = DeployedStatus::stable().unstable("No status reported yet");
        return DeployedStatus { available: Condition::default(), ..none };
    };
    let (desired, current) =
        (number(status, "/desiredReplicas"), number(status, "/currentReplicas"));
    let scaling = |way: &str| {
        let message = format!(
            "Waiting for HPA to complete a scale {way}, current: {current} desired: {desired}"
        );
        DeployedStatus::stable().unstable(message)
    };
    match desired.cmp(&current) {
        std::cmp::Ordering::Greater => scaling("up"),
        std::cmp::Ordering::Less => scaling("down"),
        std::cmp::Ordering::Equal => DeployedStatus::stable(),
    }
}
