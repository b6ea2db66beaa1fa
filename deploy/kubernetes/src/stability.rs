//! An object → stable, available, paused, failed (reference §3.2).

mod jobs;
mod replicas;

use deploy::DeployedStatus;
use serde_json::Value;

/// How an object does, by its kind's rules; kinds without rules are stable at once.
pub fn status(object: &Value) -> DeployedStatus {
    match object.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "Deployment" => replicas::deployment(object),
        "ReplicaSet" => replicas::replica_set(object),
        "StatefulSet" => replicas::stateful_set(object),
        "DaemonSet" => replicas::daemon_set(object),
        "Job" => jobs::job(object),
        "Pod" => jobs::pod(object),
        "CronJob" => jobs::cron_job(object),
        "HorizontalPodAutoscaler" => jobs::autoscaler(object),
        _ => DeployedStatus::stable(),
    }
}

/// Whether objects of a kind have to be waited for.
pub(crate) fn has_rules(kind: &str) -> bool {
    const KINDS: [&str; 8] = [
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "Pod",
        "CronJob",
        "HorizontalPodAutoscaler",
    ];
    KINDS.contains(&kind)
}

/// The status, if the object has reported one.
fn reported(object: &Value) -> Option<&Value> {
    object.get("status").filter(|status| status.as_object().is_some_and(|map| !map.is_empty()))
}

fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// Whether the status is about the object as it is now.
fn is_current(object: &Value) -> bool {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    generation.is_none() || observed == generation
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    let list = object.pointer("/status/conditions").and_then(Value::as_array);
    list.into_iter().flatten()
}

const OLD_GENERATION: &str = "Waiting for status generation to match updated object generation";
