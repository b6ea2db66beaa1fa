//! Watches an object until it is stable, and explains meanwhile why it is not.

use std::collections::BTreeSet;
use std::time::Duration;

use deploy::DeployedStatus;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use kube::runtime::watcher;
use serde_json::Value;
use shared_plugin::{Ending, TaskContext};

use crate::account::Cluster;
use crate::explain::{Trouble, of_event, of_pod};
use crate::place::Place;
use crate::stability;

/// How often a rollout that does not get there is explained.
const EXPLAIN_INTERVAL: Duration = Duration::from_secs(2);
/// How often the object is read whatever the watch says: a watch may go deaf.
const READ_INTERVAL: Duration = Duration::from_secs(10);
/// How long is waited after a watch broke.
const WATCH_PAUSE: Duration = Duration::from_millis(500);
/// Reasons that one answer names.
const REASONS_MAX: usize = 10;
/// Pods and events that one explanation looks at.
const LOOK_MAX: u32 = 100;
/// Last lines of a failing container's log that are shown.
const LOG_LINES: i64 = 5;

/// What waiting came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waited {
    /// It is as it was asked to be.
    Stable,
    /// It will not get there: why, most important first.
    Failed(Vec<String>),
    /// Nobody waits any more: what kept it, as far as that is known.
    Cancelled(Vec<String>),
    /// Another worker goes on waiting.
    HandedOver,
}

/// One object to wait for.
pub(crate) struct Waiter<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) place: &'a Place,
    /// `kind name`.
    pub(crate) what: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) cx: &'a TaskContext,
    /// Troubles that were logged already.
    pub(crate) told: BTreeSet<String>,
}

/// What a look at the object gave.
enum Look {
    Object(Value),
    Gone,
    /// Nobody was asked, or nobody answered.
    Unknown,
}

impl Waiter<'_> {
    /// Waits until the object is stable, has failed or is gone, or we are told to end.
    pub(crate) async fn wait(&mut self) -> Waited {
        let cx = self.cx;
        let watch = watcher::watch_object(self.place.api.clone(), &self.name);
        let mut watch = std::pin::pin!(watch);
        let (mut last, mut message, mut watching) = (None, String::new(), true);
        let mut read_at = cx.clock.elapsed();
        let mut look_at = read_at + EXPLAIN_INTERVAL;
        loop {
            let until_look = look_at.saturating_sub(cx.clock.elapsed());
            let seen = tokio::select! {
                biased;
                why = cx.told_to_end() => return self.told(why, last.as_ref()).await,
                () = cx.clock.sleep(until_look) => None,
                seen = watch.next(), if watching => Some(seen),
            };
            let now = cx.clock.elapsed();
            let explain = seen.is_none();
            let mut read = explain && (last.is_none() || now >= read_at + READ_INTERVAL);
            match seen {
                Some(Some(Ok(Some(object)))) => last = serde_json::to_value(object).ok().or(last),
                // A watch may begin behind the times: what it misses is read before it counts as gone.
                Some(Some(Ok(None))) => read = true,
                // The watch heals itself or we read; both are slower, neither is an end.
                Some(Some(Err(error))) => {
                    tracing::debug!(%error, "a watch broke");
                    cx.clock.sleep(WATCH_PAUSE).await;
                }
                Some(None) => watching = false,
                None => look_at = now + EXPLAIN_INTERVAL,
            }
            let looked = tokio::select! {
                biased;
                _ = cx.told_to_end() => continue,
                looked = self.look(read, explain) => looked,
            };
            match looked {
                Look::Gone => return Waited::Failed(self.gone(last.as_ref())),
                Look::Object(object) => (last, read_at) = (Some(object), now),
                Look::Unknown => {}
            }
            if let Some(object) = &last
                && let Some(ended) = self.judge(object, &mut message).await
            {
                return ended;
            }
        }
    }

    async fn told(&mut self, why: Ending, last: Option<&Value>) -> Waited {
        match why {
            Ending::Cancel => Waited::Cancelled(self.reasons(last).await),
            Ending::HandOver => Waited::HandedOver,
        }
    }

    async fn look(&mut self, read: bool, explain: bool) -> Look {
        let looked = if read { self.read().await } else { Look::Unknown };
        if explain {
            self.tell().await;
        }
        looked
    }

    /// How it ended, if it did; what it waits for is logged once.
    async fn judge(&mut self, object: &Value, message: &mut String) -> Option<Waited> {
        let status = self.status(object);
        if status.failed.state {
            let mut reasons = vec![format!("`{}`: {}", self.what, status.failed.message)];
            reasons.extend(self.reasons(Some(object)).await);
            return Some(Waited::Failed(reasons));
        }
        if status.stable.state {
            self.cx.log.line(&format!("{} is stable", self.what)).await;
            return Some(Waited::Stable);
        }
        if status.stable.message != *message {
            *message = status.stable.message;
            self.cx.log.line(&format!("{}: {message}", self.what)).await;
        }
        None
    }

    fn gone(&self, last: Option<&Value>) -> Vec<String> {
        let said = last.map(|object| self.status(object).stable.message).unwrap_or_default();
        let before = if said.is_empty() { String::new() } else { format!(" (last seen: {said})") };
        let first = format!(
            "`{}` was deleted while it was waited for{before}; find out who deletes it, and deploy again",
            self.what
        );
        std::iter::once(first).chain(self.told.iter().cloned()).take(REASONS_MAX).collect()
    }

    fn status(&self, object: &Value) -> DeployedStatus {
        // Objects of a watch do not always say their kind.
        let mut object = object.clone();
        object["kind"] = self.kind.clone().into();
        let status = stability::status(&object);
        let is_failed_pod =
            self.kind == "Pod" && object.pointer("/status/phase") == Some(&Value::from("Failed"));
        match () {
            () if is_failed_pod => status.failed("Pod has failed"),
            () if self.kind == "HorizontalPodAutoscaler" && is_new_autoscaler(&object) => {
                status.unstable("Waiting for the autoscaler to be looked at for the first time")
            }
            () => status,
        }
    }

    async fn read(&self) -> Look {
        match self.place.api.get_opt(&self.name).await {
            Ok(None) => Look::Gone,
            Ok(Some(object)) => serde_json::to_value(object).map_or(Look::Unknown, Look::Object),
            Err(error) => {
                tracing::debug!(%error, "an object cannot be read for now");
                Look::Unknown
            }
        }
    }

    /// Logs troubles that were not logged yet.
    async fn tell(&mut self) {
        for trouble in self.troubles().await {
            let text = trouble.text();
            if self.told.insert(text.clone()) {
                self.cx.log.line(&text).await;
                self.show_log(&trouble).await;
            }
        }
        self.cx.log.flush().await;
    }

    /// Why it did not get there, each reason once.
    async fn reasons(&mut self, last: Option<&Value>) -> Vec<String> {
        let mut reasons: Vec<String> = Vec::new();
        let look = tokio::time::timeout(Duration::from_secs(1), self.troubles()).await;
        for trouble in look.unwrap_or_default() {
            let text = trouble.text();
            if !reasons.contains(&text) {
                reasons.push(text);
            }
        }
        reasons.extend(
            self.told.iter().filter(|told| !reasons.contains(told)).cloned().collect::<Vec<_>>(),
        );
        let status = last.map(|object| self.status(object));
        // What has failed may be stable too, and waits for nothing then.
        if reasons.is_empty()
            && let Some(status) = status
            && !status.stable.message.is_empty()
        {
            reasons.push(format!("`{}`: {}", self.what, status.stable.message));
        }
        reasons.truncate(REASONS_MAX);
        reasons
    }

    async fn troubles(&self) -> Vec<Trouble> {
        let mut found = BTreeSet::new();
        let pods = self.pods().await;
        for pod in &pods {
            found.extend(of_pod(pod));
        }
        if found.is_empty() {
            found.extend(self.events(&pods).await);
        }
        found.into_iter().collect()
    }

    /// The object's pods: those that its selector finds, or itself.
    async fn pods(&self) -> Vec<Value> {
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.place.namespace);
        if self.kind == "Pod" {
            let pod = api.get_opt(&self.name).await.ok().flatten();
            return pod.and_then(|pod| serde_json::to_value(pod).ok()).into_iter().collect();
        }
        let Look::Object(object) = self.read().await else { return Vec::new() };
        let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
        let Some(labels) = labels.filter(|labels| !labels.is_empty()) else { return Vec::new() };
        let selector: Vec<String> = labels
            .iter()
            .filter_map(|(key, value)| value.as_str().map(|value| format!("{key}={value}")))
            .collect();
        let list = ListParams::default().labels(&selector.join(",")).limit(LOOK_MAX);
        let pods = api.list(&list).await.map(|list| list.items).unwrap_or_default();
        pods.iter().filter_map(|pod| serde_json::to_value(pod).ok()).collect()
    }

    /// Warnings about the object and what it made: their names begin with its own.
    async fn events(&self, pods: &[Value]) -> Vec<Trouble> {
        let api: Api<Event> = Api::namespaced(self.cluster.client.clone(), &self.place.namespace);
        let list = ListParams::default().fields("type=Warning").limit(LOOK_MAX);
        let events = api.list(&list).await.map(|list| list.items).unwrap_or_default();
        let names: Vec<&str> =
            pods.iter().filter_map(|pod| pod.pointer("/metadata/name")?.as_str()).collect();
        let events = events.iter().filter_map(|event| serde_json::to_value(event).ok());
        events
            .filter(|event| {
                let name = event.pointer("/involvedObject/name").and_then(Value::as_str);
                name.is_some_and(|name| {
                    name == self.name
                        || names.contains(&name)
                        || name.starts_with(&format!("{}-", self.name))
                })
            })
            .filter_map(|event| of_event(&event))
            .collect()
    }

    async fn show_log(&self, trouble: &Trouble) {
        let Some(pod) = trouble.object.strip_prefix("pod ") else { return };
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.place.namespace);
        let params = LogParams {
            container: trouble.container.clone(),
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        let read = tokio::time::timeout(Duration::from_secs(2), api.logs(pod, &params)).await;
        for line in read.ok().and_then(Result::ok).unwrap_or_default().lines() {
            self.cx.log.line(&format!("  {pod} | {line}")).await;
        }
    }
}

/// A server makes an autoscaler with zeros for a status; its controller adds what it counted and
/// conditions, which version 1 keeps in an annotation.
fn is_new_autoscaler(object: &Value) -> bool {
    let annotations = object.pointer("/metadata/annotations");
    let counted = object.pointer("/status/currentReplicas").is_some_and(Value::is_number);
    let judged = object.pointer("/status/conditions").is_some_and(Value::is_array)
        || annotations
            .is_some_and(|map| !map["autoscaling.alpha.kubernetes.io/conditions"].is_null());
    !counted && !judged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_autoscaler_that_was_never_looked_at_is_new() {
        let scaler = |status: Value| json!({"metadata": {}, "status": status});
        assert!(is_new_autoscaler(&scaler(json!({"desiredReplicas": 0, "currentMetrics": null}))));
        assert!(!is_new_autoscaler(&scaler(json!({"desiredReplicas": 0, "currentReplicas": 0}))));
        let off =
            json!([{"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"}]);
        assert!(!is_new_autoscaler(&scaler(json!({"desiredReplicas": 0, "conditions": off}))));
        let key = "autoscaling.alpha.kubernetes.io/conditions";
        let first =
            json!({"metadata": {"annotations": {key: "[]"}}, "status": {"desiredReplicas": 0}});
        assert!(!is_new_autoscaler(&first));
    }
}
