//! Texts and artifacts → manifests.

use serde_json::{Map, Value};

/// Documents of one deploy.
const MANIFESTS_MAX: usize = 1_000;

/// One manifest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) value: Value,
}

/// Why manifests cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("the manifests are not readable as YAML: {0}")]
    Unreadable(String),
    #[error("manifest {index} (counted from 1) {why}")]
    Odd { index: usize, why: String },
    #[error("there are {count} manifests, the limit is {MANIFESTS_MAX} (manifests_max)")]
    TooMany { count: usize },
    #[error(
        "there is no manifest to deploy: `manifests`, or the artifact that `manifestArtifactId` names, is empty"
    )]
    None,
}

/// Manifests of a stage's `manifests`: objects, or texts of YAML.
pub(crate) fn of_context(list: &Value) -> Result<Vec<Manifest>, ManifestError> {
    let mut values = Vec::new();
    for item in list.as_array().map_or(std::slice::from_ref(list), Vec::as_slice) {
        match item {
            Value::String(text) => values.extend(documents(text)?),
            Value::Object(_)
            | Value::Array(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_) => values.push(item.clone()),
        }
    }
    check(values)
}

/// Manifests of a text of YAML or JSON, one document or several.
pub(crate) fn of_text(text: &str) -> Result<Vec<Manifest>, ManifestError> {
    check(documents(text)?)
}

fn documents(text: &str) -> Result<Vec<Value>, ManifestError> {
    let unreadable = |error: serde_saphyr::Error| ManifestError::Unreadable(error.to_string());
    // A document of nothing but comments is none.
    let parts = text.split("\n---").filter(|part| {
        part.lines().any(|line| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#') && line != "---"
        })
    });
    let mut found = Vec::new();
    for part in parts {
        let values: Vec<Value> = serde_saphyr::from_multiple(part).map_err(unreadable)?;
        found.extend(values.into_iter().filter(|value| !value.is_null()));
    }
    Ok(found)
}

fn check(values: Vec<Value>) -> Result<Vec<Manifest>, ManifestError> {
    let mut found = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        unwrap(index + 1, value, &mut found)?;
    }
    match found.len() {
        0 => Err(ManifestError::None),
        count if count > MANIFESTS_MAX => Err(ManifestError::TooMany { count }),
        _ => Ok(found),
    }
}

/// A list of manifests, or a manifest of kind List, stands for its items.
fn unwrap(index: usize, value: Value, found: &mut Vec<Manifest>) -> Result<(), ManifestError> {
    let odd = |why: &str| ManifestError::Odd { index, why: why.to_owned() };
    let items = match &value {
        Value::Array(items) => Some(items.clone()),
        Value::Object(map) if map.get("kind").is_some_and(|kind| kind == "List") => {
            Some(map.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
        }
        Value::Object(_) => None,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(odd("is no object"));
        }
    };
    if let Some(field) = odd_map(&value) {
        return Err(odd(&format!("has `{field}`, which is no map of texts")));
    }
    if let Some(items) = items {
        return items.into_iter().try_for_each(|item| unwrap(index, item, found));
    }
    let manifest = Manifest { value };
    match () {
        () if manifest.kind().is_empty() => Err(odd("has no `kind`")),
        () if manifest.api_version().is_empty() => Err(odd("has no `apiVersion`")),
        () if manifest.name().is_empty() && manifest.generate_name().is_empty() => {
            Err(odd("has neither `metadata.name` nor `metadata.generateName`"))
        }
        () => {
            found.push(manifest);
            Ok(())
        }
    }
}

/// Maps that are written to, and are something else in this manifest.
fn odd_map(manifest: &Value) -> Option<String> {
    let metadata = ["metadata", "spec.template.metadata"];
    let maps =
        metadata.iter().flat_map(|at| ["labels", "annotations"].map(|key| format!("{at}.{key}")));
    let parents = metadata.iter().map(|at| (*at).to_owned());
    parents.chain(maps).find(|path| {
        let found = manifest.pointer(&format!("/{}", path.replace('.', "/")));
        found.is_some_and(|value| !value.is_object() && !value.is_null())
    })
}

impl Manifest {
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }
    pub(crate) fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }
    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }
    pub(crate) fn generate_name(&self) -> &str {
        self.text("/metadata/generateName")
    }
    pub(crate) fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }
    /// `kind name`, as Spinnaker names it.
    pub(crate) fn full_name(&self) -> String {
        let name = if self.name().is_empty() { self.generate_name() } else { self.name() };
        format!("{} {name}", lower_first(self.kind()))
    }
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.value.get("metadata")?.get("annotations")?.get(key)?.as_str()
    }
    fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// A map below the manifest, made where it is missing.
    pub(crate) fn map_mut(&mut self, path: &[&str]) -> &mut Map<String, Value> {
        let mut at = &mut self.value;
        for key in path {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            at = &mut at[*key];
        }
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        match at {
            Value::Object(map) => map,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => unreachable!("it was made an object above"),
        }
    }
}

/// A live object or a manifest without what must not be seen, and without what only servers read.
pub(crate) fn mask(value: &Value) -> Value {
    let mut shown = value.clone();
    if let Some(metadata) = shown.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    if shown.get("kind").is_some_and(|kind| kind == "Secret") {
        for field in ["data", "stringData"] {
            if let Some(map) = shown.get_mut(field).and_then(Value::as_object_mut) {
                map.values_mut().for_each(|value| *value = "***".into());
            }
        }
    }
    shown
}

pub(crate) fn lower_first(kind: &str) -> String {
    let mut letters = kind.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn several_documents_lists_and_comments() {
        let text = "# only a comment\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n\
                    ---\n# Source: x\napiVersion: v1\nkind: Service\nmetadata: {name: b}\n---\n";
        let names: Vec<String> = of_text(text).unwrap().iter().map(Manifest::full_name).collect();
        assert_eq!(names, ["pod a", "service b"]);
    }

    #[test]
    fn what_is_wrong_says_where() {
        let error = |text: &str| of_text(text).unwrap_err().to_string();
        assert!(
            error("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\nkind: Pod\n")
                .contains("manifest 2")
        );
        assert!(error("a: [").contains("YAML"));
        let labels = error("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: x}\n");
        assert!(labels.contains("manifest 1") && labels.contains("metadata.labels"), "{labels}");
        assert_eq!(
            error("---\n"),
            "there is no manifest to deploy: `manifests`, or the artifact that \
                                      `manifestArtifactId` names, is empty"
        );
    }

    #[test]
    fn texts_and_objects_may_stand_side_by_side() {
        let list = json!([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}},
                          "apiVersion: v1\nkind: Pod\nmetadata: {name: b}"]);
        assert_eq!(of_context(&list).unwrap().len(), 2);
    }

    #[test]
    fn a_secret_is_masked() {
        let secret = json!({"kind": "Secret", "metadata": {"name": "s", "managedFields": [1]},
                            "data": {"k": "djE="}, "stringData": {"p": "x"}});
        let shown = mask(&secret).to_string();
        assert!(!shown.contains("djE=") && !shown.contains("\"x\"") && !shown.contains("managed"));
    }
}
