//! Image artifacts into manifests (reference §3.1).

use serde_json::Value;
use shared_model::Artifact;

use crate::manifest::Manifest;

/// An image's name: without digest, without tag; a registry's port is no tag.
fn image_name(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((before, after)) if !after.contains('/') => before,
        Some(_) | None => name,
    }
}

/// Binds images into manifests; returns the artifacts that were bound, each once.
pub(crate) fn bind(manifests: &mut [Manifest], artifacts: &[Artifact]) -> Vec<Artifact> {
    let images: Vec<&Artifact> =
        artifacts.iter().filter(|artifact| artifact.kind() == "docker/image").collect();
    let mut bound: Vec<Artifact> = Vec::new();
    for manifest in manifests {
        for image in image_fields(manifest) {
            let Some(text) = image.as_str() else { continue };
            let found = images.iter().find(|artifact| image_name(text) == artifact.name());
            let Some(found) = found.filter(|artifact| !artifact.reference().is_empty()) else {
                continue;
            };
            *image = found.reference().into();
            if !bound.contains(found) {
                bound.push((*found).clone());
            }
        }
    }
    bound
}

/// Every `image` of containers and init containers: of a pod, or of a pod template at any depth.
fn image_fields(manifest: &mut Manifest) -> Vec<&mut Value> {
    let mut found = Vec::new();
    let is_pod = manifest.kind() == "Pod";
    if let Some(spec) = manifest.value.get_mut("spec") {
        if is_pod {
            containers(spec, &["containers", "initContainers"], &mut found);
        } else {
            templates(spec, &mut found);
        }
    }
    found
}

fn templates<'a>(value: &'a mut Value, found: &mut Vec<&'a mut Value>) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        match key.as_str() {
            "template" => {
                if let Some(spec) = value.get_mut("spec") {
                    containers(spec, &["containers", "initContainers"], found);
                }
            }
            _ => templates(value, found),
        }
    }
}

fn containers<'a>(spec: &'a mut Value, keys: &[&str], found: &mut Vec<&'a mut Value>) {
    let Value::Object(map) = spec else { return };
    for (key, list) in map {
        if keys.contains(&key.as_str())
            && let Value::Array(list) = list
        {
            found.extend(list.iter_mut().filter_map(|container| container.get_mut("image")));
        }
    }
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
            ("reg.repo:123@sha256:13", "reg.repo"),
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
        let bound = bind(&mut manifests, &[image("web", "web:2"), image("other", "other:1")]);
        assert_eq!(bound.len(), 1);
        let text = manifests[0].value.to_string();
        assert_eq!(text.matches("web:2").count(), 2, "{text}");
        assert_eq!(unbound(&[image("other", "other:1")], &bound).len(), 1);
    }
}
