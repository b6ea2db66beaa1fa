//! How far a deploy came, object by object.

use serde_json::{Map, Value, json};
use shared_model::{Artifact, Object, TaskError, TaskResult};

use crate::apply::Applied;
use crate::manifest::{Manifest, lower_first, mask};

/// Objects that an error names as not applied.
const NAMES_MAX: usize = 50;

/// What was applied so far.
pub(crate) struct Progress<'a> {
    account: &'a str,
    /// Every object of the deploy, in its order.
    names: Vec<String>,
    applied: Vec<Value>,
    created: Vec<Artifact>,
    by_namespace: Map<String, Value>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(account: &'a str, manifests: &[Manifest]) -> Self {
        Self {
            account,
            names: manifests.iter().map(Manifest::full_name).collect(),
            applied: Vec::new(),
            created: Vec::new(),
            by_namespace: Map::new(),
        }
    }

    /// Keeps that an object is applied.
    pub(crate) fn add(&mut self, manifest: &Manifest, namespace: &str, applied: &Applied) {
        let name = applied.live.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.unwrap_or_default();
        self.created.push(created(self.account, manifest, name, namespace));
        let full = json!(format!("{} {name}", lower_first(manifest.kind())));
        let names = self.by_namespace.entry(namespace.to_owned()).or_insert_with(|| json!([]));
        if let Value::Array(names) = names {
            names.push(full);
        }
        self.applied.push(mask(&applied.live));
    }

    /// Adds to an error what was applied before it and what was not (nothing is left half-done in silence).
    pub(crate) fn tell(&self, error: TaskError) -> TaskError {
        if self.names.len() < 2 {
            return error;
        }
        let (done, rest) = self.names.split_at(self.applied.len().min(self.names.len()));
        let done = if done.is_empty() { "nothing".to_owned() } else { listed(done) };
        error.and(format!("applied before it: {done}; not applied: {}", listed(rest)))
    }

    /// What the stage's context and outputs get.
    pub(crate) fn result(self, bound: &[Artifact], warnings: &[String]) -> TaskResult {
        let objects = |list: &[Artifact]| -> Vec<Value> {
            list.iter().map(|artifact| Value::Object(artifact.0.clone())).collect()
        };
        let shared = json!({
            "manifests": self.applied,
            "outputs.manifests": self.applied,
            "outputs.manifestNamesByNamespace": self.by_namespace,
            "outputs.boundArtifacts": objects(bound),
            "outputs.createdArtifacts": objects(&self.created),
            "deploy.account.name": self.account,
            "warnings": warnings,
        });
        let mut context = object(shared.clone());
        // The document's own manifests stay as they were written.
        context.remove("manifests");
        TaskResult { context, outputs: object(shared), artifacts: self.created }
    }
}

fn listed(names: &[String]) -> String {
    let shown = &names[..names.len().min(NAMES_MAX)];
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap_or_default()
}

/// The artifact that a deployed object is.
pub(crate) fn created(account: &str, manifest: &Manifest, name: &str, namespace: &str) -> Artifact {
    Artifact(object(json!({
        "type": format!("kubernetes/{}", lower_first(manifest.kind())),
        "name": name,
        "version": "",
        "location": namespace,
        "reference": name,
        "metadata": { "account": account },
    })))
}
