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
    observed.is_some() && observed == generation
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    let list = object.pointer("/status/conditions").and_then(Value::as_array);
    list.into_iter().flatten()
}

const OLD_GENERATION: &str = "Waiting for status generation to match updated object generation";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the status says in short: `stable`, or the message, and what else is special.
    fn said(object: Value) -> String {
        let found = status(&object);
        let mut words = vec![if found.stable.state { "stable" } else { "unstable" }.to_owned()];
        let parts = [
            ("", !found.stable.message.is_empty(), &found.stable),
            ("unavailable: ", !found.available.state, &found.available),
            ("paused: ", found.paused.state, &found.paused),
            ("failed: ", found.failed.state, &found.failed),
        ];
        let special = parts.iter().filter(|(_, is_special, _)| *is_special);
        words.extend(special.map(|(name, _, part)| format!("{name}{}", part.message)));
        words.join("; ")
    }

    #[test]
    fn a_job_that_failed_is_stable_and_failed() {
        let failed = json!([{ "type": "Failed", "status": "True", "message": "BackoffLimit" }]);
        let job = json!({ "kind": "Job", "status": { "failed": 1, "conditions": failed } });
        assert_eq!(said(job), "stable; failed: BackoffLimit");
        let new = json!({ "kind": "Job", "status": {} });
        assert_eq!(said(new), "unstable; Waiting for jobs to finish");
    }

    #[test]
    fn a_pod_by_its_phase() {
        let pod = |phase: &str| said(json!({ "kind": "Pod", "status": { "phase": phase } }));
        assert_eq!(pod("Pending"), "unstable; Pod is pending; unavailable: Pod is pending");
        let unknown = "unstable; Pod phase is unknown; unavailable: Pod phase is unknown";
        assert_eq!(pod("Unknown"), unknown);
        assert_eq!(said(json!({ "kind": "Pod", "status": {} })), unknown);
    }

    #[test]
    fn a_replica_set_whose_update_was_not_seen_serves_all_the_same() {
        let object = json!({
            "kind": "ReplicaSet", "metadata": { "generation": 3 }, "spec": { "replicas": 0 },
            "status": { "observedGeneration": 2 },
        });
        assert_eq!(said(object), "unstable; Waiting for replicaset spec update to be observed");
    }

    fn stateful_set(rolling: Value, status: Value) -> String {
        said(json!({
            "kind": "StatefulSet", "metadata": { "generation": 2 },
            "spec": { "replicas": 2, "updateStrategy": {
                "type": "RollingUpdate", "rollingUpdate": rolling } },
            "status": status,
        }))
    }

    #[test]
    fn a_stateful_set_rolls_out_in_parts() {
        let status = |updated: Value, current: i64| {
            json!({ "observedGeneration": 2, "replicas": 2, "readyReplicas": 2,
                "updatedReplicas": updated, "currentReplicas": current,
                "currentRevision": "a", "updateRevision": "b" })
        };
        let waiting = "unstable; Waiting for partitioned roll out to finish";
        assert_eq!(stateful_set(json!({ "partition": 0 }), status(json!(1), 1)), waiting);
        let done = "stable; Partitioned roll out complete";
        assert_eq!(stateful_set(json!({ "partition": 1 }), status(json!(1), 1)), done);
        let scheduled = "unstable; Waiting for all updated replicas to be scheduled";
        assert_eq!(stateful_set(Value::Null, status(Value::Null, 1)), scheduled);
        let revision = "unstable; Waiting for the updated revision to match the current revision";
        assert_eq!(stateful_set(Value::Null, status(Value::Null, 2)), revision);
    }

    #[test]
    fn a_daemon_set_updated_on_delete_waits_for_its_status() {
        let object = |observed: i64| {
            json!({ "kind": "DaemonSet", "metadata": { "generation": 2 },
                "spec": { "updateStrategy": { "type": "OnDelete" } },
                "status": { "observedGeneration": observed, "desiredNumberScheduled": 9 } })
        };
        assert_eq!(said(object(1)), format!("unstable; {OLD_GENERATION}"));
        assert_eq!(said(object(2)), "stable");
    }

    fn deployment(observed: i64, condition: Value) -> String {
        said(json!({
            "kind": "Deployment", "metadata": { "generation": 2 }, "spec": { "replicas": 1 },
            "status": { "observedGeneration": observed, "replicas": 1, "updatedReplicas": 1,
                "availableReplicas": 1, "readyReplicas": 1, "conditions": [condition] },
        }))
    }

    #[test]
    fn a_deployment_by_its_conditions() {
        let slow = json!({ "type": "Progressing", "reason": "ProgressDeadlineExceeded" });
        let failed = "stable; failed: Deployment exceeded its progress deadline";
        assert_eq!(deployment(2, slow.clone()), failed);
        assert_eq!(deployment(1, slow), format!("unstable; {OLD_GENERATION}"));
        let down = json!({ "type": "Available", "status": "False", "message": "few" });
        assert_eq!(deployment(2, down), "unstable; few; unavailable: few");
    }
}
