//! Artifacts into manifests (reference §3.1): images, and objects that have versions.

use serde_json::Value;
use shared_model::Artifact;

use crate::manifest::{Manifest, lower_first};

/// The type of an image's artifact.
const IMAGE: &str = "docker/image";
const CONFIG_MAP: &str = "kubernetes/configMap";
const SECRET: &str = "kubernetes/secret";

/// To what an artifact may be bound.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Target<'a> {
    /// The account that is deployed to.
    pub(crate) account: &'a str,
    /// The namespace that is deployed to, if the stage says so.
    pub(crate) namespace: &'a str,
    /// Whether an image that has a tag or a digest stays as it is (the old way of Spinnaker).
    pub(crate) names_only: bool,
}

/// An image's name: without digest, else without tag; a registry's port is no tag.
pub(crate) fn image_name(image: &str) -> &str {
    if let Some((name, _)) = image.split_once('@') {
        return name;
    }
    match image.rsplit_once(':') {
        Some((before, after)) if !after.contains('/') => before,
        Some(_) | None => image,
    }
}

/// Binds artifacts into manifests; returns those that were bound, each once.
pub(crate) fn bind(
    manifests: &mut [Manifest],
    artifacts: &[Artifact],
    target: Target<'_>,
) -> Vec<Artifact> {
    let mut bound: Vec<Artifact> = Vec::new();
    for manifest in manifests {
        let own = manifest.namespace().to_owned();
        let namespace = if target.namespace.is_empty() { &own } else { target.namespace };
        for (kind, place) in places(manifest) {
            let Some(text) = place.as_str() else { continue };
            let found = artifacts.iter().find(|artifact| {
                artifact.kind() == kind
                    && !artifact.reference().is_empty()
                    && stands_for(artifact, text, namespace, target)
            });
            let Some(found) = found else { continue };
            *place = found.reference().into();
            if !bound.contains(found) {
                bound.push(found.clone());
            }
        }
    }
    bound
}

/// Whether an artifact is what a manifest names. An image is the same everywhere; an object is one only
/// in its namespace and account.
fn stands_for(artifact: &Artifact, text: &str, namespace: &str, target: Target<'_>) -> bool {
    if artifact.kind() == IMAGE {
        let name = if target.names_only { text } else { image_name(text) };
        return name == artifact.name();
    }
    let account = artifact.0.get("metadata").and_then(|metadata| metadata["account"].as_str());
    artifact.name() == text
        && artifact.location() == namespace
        && account.is_none_or(|account| account == target.account)
}

/// The artifacts that a manifest names. The images of a pod of its own are named with their tags.
#[cfg(feature = "corpus")]
pub(crate) fn find(manifest: &mut Manifest) -> Vec<Artifact> {
    let is_pod = manifest.kind() == "Pod";
    let named = places(manifest).into_iter().filter_map(|(kind, place)| {
        let text = place.as_str()?;
        let name = if kind == IMAGE && !is_pod { image_name(text) } else { text };
        let fields = [("type", kind.as_str()), ("name", name), ("reference", text)];
        let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value.into()));
        Some(Artifact(fields.collect()))
    });
    named.collect()
}

/// Every place that names an artifact, with the artifact's type.
fn places(manifest: &mut Manifest) -> Vec<(String, &mut Value)> {
    let mut found = Vec::new();
    let kind = manifest.kind().to_owned();
    let Some(spec) = manifest.value.get_mut("spec") else { return found };
    match kind.as_str() {
        "Pod" => of_pod(spec, &mut found),
        "HorizontalPodAutoscaler" => of_autoscaler(spec, &mut found),
        _ => templates(spec, &mut found),
    }
    found
}

type Places<'a> = Vec<(String, &'a mut Value)>;

fn templates<'a>(value: &'a mut Value, found: &mut Places<'a>) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        match key.as_str() {
            "template" => {
                if let Some(spec) = value.get_mut("spec") {
                    of_pod(spec, found);
                }
            }
            _ => templates(value, found),
        }
    }
}

fn of_autoscaler<'a>(spec: &'a mut Value, found: &mut Places<'a>) {
    let target = &mut spec["scaleTargetRef"];
    let kind = target["kind"].as_str().unwrap_or_default().to_owned();
    if ["Deployment", "ReplicaSet"].contains(&kind.as_str())
        && let Some(name) = target.get_mut("name")
    {
        found.push((format!("kubernetes/{}", lower_first(&kind)), name));
    }
}

fn of_pod<'a>(spec: &'a mut Value, found: &mut Places<'a>) {
    let Value::Object(map) = spec else { return };
    for (key, list) in map {
        let Value::Array(list) = list else { continue };
        match key.as_str() {
            "containers" | "initContainers" => {
                list.iter_mut().for_each(|one| of_container(one, found))
            }
            "volumes" => list.iter_mut().for_each(|one| of_volume(one, found)),
            _ => {}
        }
    }
}

fn of_container<'a>(container: &'a mut Value, found: &mut Places<'a>) {
    let Value::Object(map) = container else { return };
    for (key, value) in map {
        match (key.as_str(), value) {
            ("image", image) => found.push((IMAGE.to_owned(), image)),
            ("env", Value::Array(list)) => {
                let from = list.iter_mut().filter_map(|one| one.get_mut("valueFrom"));
                from.for_each(|from| references(from, ["configMapKeyRef", "secretKeyRef"], found));
            }
            ("envFrom", Value::Array(list)) => {
                list.iter_mut()
                    .for_each(|one| references(one, ["configMapRef", "secretRef"], found));
            }
            _ => {}
        }
    }
}

fn of_volume<'a>(volume: &'a mut Value, found: &mut Places<'a>) {
    let Value::Object(map) = volume else { return };
    for (key, value) in map {
        match key.as_str() {
            "configMap" => name(value, "name", CONFIG_MAP, found),
            "secret" => name(value, "secretName", SECRET, found),
            "projected" => {
                let sources = value.get_mut("sources").and_then(Value::as_array_mut);
                let sources = sources.into_iter().flatten();
                sources.for_each(|one| references(one, ["configMap", "secret"], found));
            }
            _ => {}
        }
    }
}

/// The names of a config map and of a secret below their fields.
fn references<'a>(value: &'a mut Value, fields: [&str; 2], found: &mut Places<'a>) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        let Some(at) = fields.iter().position(|field| field == key) else { continue };
        name(value, "name", [CONFIG_MAP, SECRET][at], found);
    }
}

fn name<'a>(value: &'a mut Value, field: &str, kind: &str, found: &mut Places<'a>) {
    found.extend(value.get_mut(field).map(|name| (kind.to_owned(), name)));
}

/// Required artifacts that were bound nowhere: the deploy must not go on without them.
pub(crate) fn unbound<'a>(required: &'a [Artifact], bound: &[Artifact]) -> Vec<&'a Artifact> {
    required.iter().filter(|artifact| !bound.contains(artifact)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(name: &str, reference: &str) -> Artifact {
        let value = json!({"type": "docker/image", "name": name, "reference": reference});
        Artifact(value.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn an_images_name_is_cut_right() {
        for (image, name) in [
            ("nginx", "nginx"),
            ("nginx:1.2", "nginx"),
            ("reg.repo:123@sha256:13", "reg.repo:123"),
            ("reg:5000/r/j:485", "reg:5000/r/j"),
            ("reg:5000/r/j", "reg:5000/r/j"),
            ("localhost:5000/t/b@sha256:cb", "localhost:5000/t/b"),
        ] {
            assert_eq!(image_name(image), name, "{image}");
        }
    }

    #[test]
    fn images_are_bound_at_any_depth() {
        let pod = json!({"spec": {"containers": [{"image": "web:1"}], "initContainers": [{"image": "web"}]}});
        let cron = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": pod}}}});
        let mut manifests = [Manifest { value: cron }];
        let images = [image("web", "web:2"), image("other", "other:1")];
        let bound = bind(&mut manifests, &images, Target::default());
        assert_eq!(bound.len(), 1);
        let text = manifests[0].value.to_string();
        assert_eq!(text.matches("web:2").count(), 2, "{text}");
        assert_eq!(unbound(&[image("other", "other:1")], &bound).len(), 1);
    }

    #[test]
    fn an_object_is_bound_in_its_own_namespace_and_account_only() {
        let map = json!({"type": CONFIG_MAP, "name": "m", "location": "a", "reference": "m-v001",
            "metadata": {"account": "one"}});
        let map = Artifact(map.as_object().cloned().unwrap_or_default());
        let bound_in = |account: &str, namespace: &str| {
            let value = json!({"kind": "Pod", "spec": {"volumes": [{"configMap": {"name": "m"}}]}});
            let target = Target { account, namespace, names_only: false };
            bind(&mut [Manifest { value }], std::slice::from_ref(&map), target).len()
        };
        assert_eq!([bound_in("one", "a"), bound_in("one", "b"), bound_in("two", "a")], [1, 0, 0]);
    }
}
