//! Pods and events → which pod, what reason, what to do. Pure.

use serde_json::Value;

/// One thing that keeps a rollout from getting there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trouble {
    /// What has it, e.g. `pod web-1`.
    pub(crate) object: String,
    /// Kubernetes' word for it, e.g. `ImagePullBackOff`.
    pub(crate) reason: String,
    /// What it says.
    pub(crate) message: String,
    /// The container whose log tells more.
    pub(crate) container: Option<String>,
}

impl Trouble {
    /// One line for people.
    pub(crate) fn text(&self) -> String {
        let message =
            if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        format!("{}: {}{message}; {}", self.object, self.reason, advice(&self.reason))
    }
}

fn advice(reason: &str) -> &'static str {
    match reason {
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
            "check the image's name and tag, and that the cluster may pull it"
        }
        "CrashLoopBackOff" | "Error" => "look at the container's log for why it ends",
        "OOMKilled" => "raise the container's memory limit, or let it use less",
        "CreateContainerConfigError" | "CreateContainerError" => {
            "check that the ConfigMaps and Secrets that it names exist"
        }
        "Unschedulable" => {
            "free room in the cluster, or ask for less, or mend node selectors and taints"
        }
        "FailedCreate" => "check quotas, limits and the service account",
        "Unhealthy" => "check the probe's path and port, and that the container gets ready in time",
        "FailedMount" | "FailedAttachVolume" => "check the volumes that it names",
        _ => "look at the pod's events for more",
    }
}

/// What is wrong with a pod.
pub(crate) fn of_pod(pod: &Value) -> Vec<Trouble> {
    let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let object = format!("pod {name}");
    let mut found = Vec::new();
    for list in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        for status in pod.pointer(list).and_then(Value::as_array).into_iter().flatten() {
            found.extend(of_container(&object, status));
        }
    }
    found.extend(unschedulable(&object, pod));
    found
}

/// Reasons of a waiting container that are part of any start.
const ORDINARY: [&str; 3] = ["ContainerCreating", "PodInitializing", ""];

fn of_container(object: &str, status: &Value) -> Option<Trouble> {
    let text = |pointer: &str| {
        status.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let container = Some(text("/name"));
    let waiting = text("/state/waiting/reason");
    if !ORDINARY.contains(&waiting.as_str()) {
        let last = text("/lastState/terminated/reason");
        let out_of_memory = last == "OOMKilled";
        let reason = if out_of_memory { last } else { waiting };
        let message = text("/state/waiting/message");
        return Some(Trouble { object: object.into(), reason, message, container });
    }
    let code = status.pointer("/state/terminated/exitCode").and_then(Value::as_i64)?;
    (code != 0).then(|| Trouble {
        object: object.into(),
        reason: text("/state/terminated/reason"),
        message: format!(
            "the container ended with code {code} {}",
            text("/state/terminated/message")
        ),
        container,
    })
}

fn unschedulable(object: &str, pod: &Value) -> Option<Trouble> {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array)?;
    let found = conditions
        .iter()
        .find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False")?;
    Some(Trouble {
        object: object.into(),
        reason: found["reason"].as_str().unwrap_or("Unschedulable").to_owned(),
        message: found["message"].as_str().unwrap_or_default().to_owned(),
        container: None,
    })
}

/// What a warning about an object says.
pub(crate) fn of_event(event: &Value) -> Option<Trouble> {
    if event["type"] != "Warning" {
        return None;
    }
    let about = &event["involvedObject"];
    let kind = about["kind"].as_str().unwrap_or_default().to_ascii_lowercase();
    let name = about["name"].as_str().unwrap_or_default();
    Some(Trouble {
        object: format!("{kind} {name}"),
        reason: event["reason"].as_str().unwrap_or_default().to_owned(),
        message: event["message"].as_str().unwrap_or_default().to_owned(),
        container: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_broken_image_is_named_with_its_pod() {
        let pod = json!({"metadata": {"name": "web-1"}, "status": {"containerStatuses": [
            {"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}},
            {"name": "side", "state": {"waiting": {"reason": "ContainerCreating"}}},
        ]}});
        let found = of_pod(&pod);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].text(),
            "pod web-1: ImagePullBackOff: not found; check the image's name and tag, and that the \
             cluster may pull it"
        );
    }

    #[test]
    fn a_crash_for_want_of_memory_says_so() {
        let pod = json!({"metadata": {"name": "web-1"}, "status": {"containerStatuses": [
            {"name": "web", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
             "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}},
        ]}});
        assert_eq!(of_pod(&pod)[0].reason, "OOMKilled");
    }

    #[test]
    fn a_pod_without_a_node_says_why() {
        let pod = json!({"metadata": {"name": "web-1"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"},
        ]}});
        assert!(of_pod(&pod)[0].text().contains("0/1 nodes; free room"));
    }
}
