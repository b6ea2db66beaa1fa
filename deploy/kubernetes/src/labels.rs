//! Labels and annotations that are written onto manifests (reference §3.1).

use deploy::Moniker;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use shared_model::EffectKey;

use crate::manifest::{Manifest, lower_first};

/// Names the task that applied an object, whichever attempt did.
pub(crate) const EFFECT_KEY: &str = "capstan.io/effect-key";
/// The same as a label, shortened, so that objects with generated names can be found.
pub(crate) const EFFECT_LABEL: &str = "capstan.io/effect";
/// SHA-256 of what was applied.
pub(crate) const CONTENT_HASH: &str = "capstan.io/content-hash";

/// Writes Spinnaker's labels and annotations.
pub(crate) fn write(manifest: &mut Manifest, app: &str, skip_template_labels: bool) {
    let moniker = moniker(manifest, app);
    let app = if moniker.app.is_empty() { app } else { &moniker.app };
    let annotations = annotations(manifest, &moniker, app);
    let has_template = manifest.value.pointer("/spec/template").is_some_and(Value::is_object);
    put_missing(manifest.map_mut(&["metadata", "annotations"]), &annotations);
    put_labels(manifest.map_mut(&["metadata", "labels"]), app);
    if !has_template {
        return;
    }
    put_missing(manifest.map_mut(&["spec", "template", "metadata", "annotations"]), &annotations);
    if !skip_template_labels {
        put_labels(manifest.map_mut(&["spec", "template", "metadata", "labels"]), app);
    }
}

fn moniker(manifest: &Manifest, app: &str) -> Moniker {
    let read = |key: &str| manifest.annotation(&format!("moniker.spinnaker.io/{key}"));
    let of_name = Moniker::of_name(manifest.name());
    let named = if app.is_empty() { of_name.app.clone() } else { app.to_owned() };
    Moniker {
        app: read("application").map_or(named, str::to_owned),
        cluster: read("cluster").map_or_else(|| manifest.full_name(), str::to_owned),
        stack: read("stack").map(str::to_owned).or(of_name.stack),
        detail: read("detail").map(str::to_owned).or(of_name.detail),
        sequence: read("sequence").and_then(|text| text.parse().ok()).or(of_name.sequence),
    }
}

fn annotations(manifest: &Manifest, moniker: &Moniker, app: &str) -> Vec<(String, String)> {
    let artifact = |key: &str| format!("artifact.spinnaker.io/{key}");
    vec![
        ("moniker.spinnaker.io/application".into(), app.to_owned()),
        ("moniker.spinnaker.io/cluster".into(), moniker.cluster.clone()),
        (artifact("type"), format!("kubernetes/{}", lower_first(manifest.kind()))),
        (artifact("name"), manifest.name().to_owned()),
        (artifact("location"), manifest.namespace().to_owned()),
        (artifact("version"), String::new()),
    ]
}

fn put_missing(map: &mut Map<String, Value>, entries: &[(String, String)]) {
    for (key, value) in entries {
        map.entry(key.clone()).or_insert_with(|| value.clone().into());
    }
}

fn put_labels(map: &mut Map<String, Value>, app: &str) {
    if !app.is_empty() {
        map.entry("app.kubernetes.io/name").or_insert_with(|| app.into());
    }
    map.insert("app.kubernetes.io/managed-by".into(), "spinnaker".into());
}

/// Writes whose effect this object is, and what it says; returns the content's hash.
pub(crate) fn sign(manifest: &mut Manifest, key: &EffectKey) -> String {
    let hash = hex::encode(Sha256::digest(manifest.value.to_string().as_bytes()));
    let annotations = manifest.map_mut(&["metadata", "annotations"]);
    annotations.insert(EFFECT_KEY.into(), key.as_str().into());
    annotations.insert(CONTENT_HASH.into(), hash.clone().into());
    if manifest.name().is_empty() {
        let labels = manifest.map_mut(&["metadata", "labels"]);
        labels.insert(EFFECT_LABEL.into(), effect_label(key).into());
    }
    hash
}

/// A label's value for an effect key: 63 characters are not enough for the key itself.
pub(crate) fn effect_label(key: &EffectKey) -> String {
    hex::encode(&Sha256::digest(key.as_str().as_bytes())[..16])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Manifest {
        Manifest {
            value: json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "shop-prod", "labels": {"app.kubernetes.io/name": "own"}},
                "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}}}}),
        }
    }

    #[test]
    fn objects_and_their_pods_are_labelled_and_selectors_are_not() {
        let mut manifest = deployment();
        write(&mut manifest, "shop", false);
        let value = &manifest.value;
        assert_eq!(value["metadata"]["labels"]["app.kubernetes.io/name"], "own");
        assert_eq!(value["metadata"]["labels"]["app.kubernetes.io/managed-by"], "spinnaker");
        assert_eq!(
            value["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"],
            "shop"
        );
        let annotations = &value["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations["moniker.spinnaker.io/cluster"], "deployment shop-prod");
        assert_eq!(annotations["artifact.spinnaker.io/type"], "kubernetes/deployment");
        assert_eq!(value["spec"]["selector"], json!({"matchLabels": {"a": "b"}}));
        let mut plain = deployment();
        write(&mut plain, "shop", true);
        assert_eq!(plain.value["spec"]["template"]["metadata"]["labels"], json!({"a": "b"}));
    }

    #[test]
    fn the_hash_is_of_the_content_alone() {
        let (mut a, mut b) = (deployment(), deployment());
        assert_eq!(sign(&mut a, &EffectKey::new("k1")), sign(&mut b, &EffectKey::new("k2")));
    }
}
