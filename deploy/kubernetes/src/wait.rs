//! Watches an object until it is stable, and explains meanwhile why it is not.

use std::collections::BTreeSet;
use std::time::Duration;

use deploy::DeployedStatus;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, DynamicObject, ListParams, LogParams};
use kube::runtime::watcher;
use serde_json::Value;
use shared_plugin::TaskContext;

use crate::account::Cluster;
use crate::apply::Place;
use crate::explain::{Trouble, of_event, of_pod};
use crate::stability;

/// How often a rollout that does not get there is explained.
const EXPLAIN_INTERVAL: Duration = Duration::from_secs(2);
/// How often the object is read whatever the watch says: a watch may go deaf.
const READ_INTERVAL: Duration = Duration::from_secs(10);
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
    /// We were told to end: what kept it, as far as that is known.
    Cancelled(Vec<String>),
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

impl Waiter<'_> {
    /// Waits until the object is stable, has failed, or we are told to end.
    pub(crate) async fn wait(&mut self) -> Waited {
        let watch = watcher::watch_object(self.place.api.clone(), &self.name);
        let mut watch = std::pin::pin!(watch);
        let mut last = None;
        let mut message = String::new();
        let (mut watching, mut since_read) = (true, Duration::ZERO);
        loop {
            tokio::select! {
                biased;
                () = self.cx.cancelled() => return Waited::Cancelled(self.reasons(&last).await),
                seen = watch.next(), if watching => match seen {
                    Some(Ok(object)) => last = object.and_then(|one| serde_json::to_value(one).ok()).or(last),
                    // The watch heals itself or we read below; both are slower, neither is an end.
                    Some(Err(error)) => {
                        tracing::debug!(%error, "a watch broke");
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                    None => watching = false,
                },
                () = self.cx.clock.sleep(EXPLAIN_INTERVAL) => {
                    since_read += EXPLAIN_INTERVAL;
                    if since_read >= READ_INTERVAL || last.is_none() {
                        since_read = Duration::ZERO;
                        last = self.read().await.or(last);
                    }
                    self.tell().await;
                }
            }
            let Some(object) = &last else { continue };
            let status = self.status(object);
            if status.failed.state {
                let mut reasons = vec![format!("`{}`: {}", self.what, status.failed.message)];
                reasons.extend(self.reasons(&last).await);
                return Waited::Failed(reasons);
            }
            if status.stable.state {
                self.cx.log.line(&format!("{} is stable", self.what)).await;
                return Waited::Stable;
            }
            if status.stable.message != message {
                message = status.stable.message;
                self.cx.log.line(&format!("{}: {message}", self.what)).await;
            }
        }
    }

    fn status(&self, object: &Value) -> DeployedStatus {
        // Objects of a watch do not always say their kind.
        let mut object = object.clone();
        object["kind"] = self.kind.clone().into();
        let status = stability::status(&object);
        let failed_pod =
            self.kind == "Pod" && object.pointer("/status/phase") == Some(&Value::from("Failed"));
        if failed_pod { status.failed("Pod has failed") } else { status }
    }

    async fn read(&self) -> Option<Value> {
        let found: Option<DynamicObject> = self.place.api.get_opt(&self.name).await.ok()?;
        serde_json::to_value(found?).ok()
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
    async fn reasons(&mut self, last: &Option<Value>) -> Vec<String> {
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
        let status = last.as_ref().map(|object| self.status(object));
        if reasons.is_empty()
            && let Some(status) = status
        {
            reasons.push(format!("`{}`: {}", self.what, status.stable.message));
        }
        reasons.truncate(10);
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
        let Some(object) = self.read().await else { return Vec::new() };
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
