//! What an API server was asked, as it counts it itself.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use shared_testkit::audit;
use shared_testkit::stack::Api;

use super::Cluster;

/// What the server counts.
const COUNTER: &str = "apiserver_request_total{";
/// What is read of it: nobody but a deploy reads these one by one.
const RESOURCES: [&str; 3] = ["configmaps", "deployments", "namespaces"];
const READS: [&str; 3] = ["GET", "LIST", "WATCH"];
/// What our own requests say that they come from.
const OURS: &str = "capstan-testkit";

/// How a kind is called in addresses.
pub(super) fn plural(kind: &str) -> String {
    format!("{}s", kind.to_lowercase())
}

/// Requests so far.
pub(super) struct Calls {
    /// Of the product in a namespace, by verb and resource.
    writes: BTreeMap<(String, String), usize>,
    /// Of anybody.
    reads: BTreeMap<(String, String), usize>,
}

impl Calls {
    pub(super) fn now(cluster: &Cluster, api: &Api, namespace: &str) -> Result<Self> {
        let mut writes = BTreeMap::new();
        for write in audit::writes(&cluster.audit_log)? {
            if write.namespace == namespace && write.user_agent != OURS {
                *writes.entry((write.verb, write.resource)).or_default() += 1;
            }
        }
        let answer = api.request("GET", "/metrics", None)?;
        ensure!(answer.status == 200, "/metrics was refused ({}): {}", answer.status, answer.body);
        let mut reads = BTreeMap::new();
        for line in answer.body.lines().filter(|line| line.starts_with(COUNTER)) {
            let (verb, resource) = (label(line, "verb")?, label(line, "resource")?);
            if READS.contains(&verb) && RESOURCES.contains(&resource) {
                let count = line.rsplit(' ').next().context("no number")?.parse::<f64>()?;
                *reads.entry((verb.to_owned(), resource.to_owned())).or_default() += count as usize;
            }
        }
        Ok(Self { writes, reads })
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        let passed = |now: &BTreeMap<(String, String), usize>, before: &BTreeMap<_, usize>| {
            let passed = now.iter().map(|(key, count)| {
                let earlier = before.get(key).copied().unwrap_or_default();
                (key.clone(), count.saturating_sub(earlier))
            });
            passed.filter(|(_, count)| *count > 0).collect()
        };
        Self {
            writes: passed(&self.writes, &before.writes),
            reads: passed(&self.reads, &before.reads),
        }
    }

    /// How often objects of a kind were read one by one.
    pub(super) fn reads(&self, kind: &str) -> usize {
        self.reads.get(&("GET".to_owned(), plural(kind))).copied().unwrap_or_default()
    }

    /// Of each deploy and of each manifest, by verb and resource.
    pub(super) fn told(&self, deploys: usize, manifests: usize) -> Value {
        let each = |calls: &BTreeMap<(String, String), usize>| {
            let each = calls.iter().map(|((verb, resource), count)| {
                let of_each = (*count as f64 / deploys as f64 * 100.0).round() / 100.0;
                (format!("{verb} {resource}"), json!(of_each))
            });
            Value::Object(each.collect::<Map<_, _>>())
        };
        let writes: usize = self.writes.values().sum();
        let per_manifest = (writes as f64 / manifests as f64 * 100.0).round() / 100.0;
        json!({
            "writes per deploy": each(&self.writes),
            "writes per manifest": per_manifest,
            "reads per deploy": each(&self.reads),
        })
    }
}

fn label<'a>(line: &'a str, name: &str) -> Result<&'a str> {
    let rest = line.split_once(&format!("{name}=\"")).context("a label is missing")?.1;
    Ok(rest.split('"').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_since_counts() {
        let calls = |count| {
            let key = ("GET".to_owned(), "configmaps".to_owned());
            Calls { writes: BTreeMap::new(), reads: BTreeMap::from([(key, count)]) }
        };
        assert_eq!(calls(7).since(&calls(4)).reads("ConfigMap"), 3);
        assert_eq!(calls(7).since(&calls(7)).reads("ConfigMap"), 0);
    }

    #[test]
    fn a_label_is_read() {
        let line = r#"apiserver_request_total{code="200",resource="pods",verb="GET"} 3"#;
        assert_eq!(label(line, "resource").unwrap(), "pods");
        assert!(label(line, "group").is_err());
    }
}
