//! Artifacts (reference §1.5, §2.4), raw JSON behind typed views.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Object;

/// Something that a stage makes or consumes: an image, a chart, rendered manifests.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Artifact(pub Object);

/// The type of an artifact whose reference is its content in base64.
pub const EMBEDDED_BASE64: &str = "embedded/base64";

/// The fields that Spinnaker knows beside `metadata`.
const FIELDS: [&str; 9] = [
    "type",
    "customKind",
    "name",
    "version",
    "location",
    "reference",
    "artifactAccount",
    "provenance",
    "uuid",
];

impl Artifact {
    /// An artifact whose content travels with it; `content` is already in base64.
    pub fn embedded(name: &str, content: String) -> Self {
        let mut object = Object::new();
        object.insert("type".into(), EMBEDDED_BASE64.into());
        object.insert("name".into(), name.into());
        object.insert("reference".into(), content.into());
        Self(object)
    }

    /// The `type`, e.g. `docker/image`; empty if it has none.
    pub fn kind(&self) -> &str {
        self.text("type")
    }
    /// The `name`; empty if it has none.
    pub fn name(&self) -> &str {
        self.text("name")
    }
    /// The `version`; empty if it has none.
    pub fn version(&self) -> &str {
        self.text("version")
    }
    /// The `location`, e.g. a namespace; empty if it has none.
    pub fn location(&self) -> &str {
        self.text("location")
    }
    /// The `reference`, whose meaning depends on the type; empty if it has none.
    pub fn reference(&self) -> &str {
        self.text("reference")
    }
    /// The `artifactAccount`; empty if it has none.
    pub fn account(&self) -> &str {
        self.text("artifactAccount")
    }

    /// The same with an account, where one is named.
    #[must_use]
    pub fn with_account(mut self, account: &str) -> Self {
        if !account.is_empty() {
            self.0.insert("artifactAccount".into(), account.into());
        }
        self
    }

    /// The same as Spinnaker reads it: fields that it does not know are metadata.
    #[must_use]
    pub fn normal(&self) -> Self {
        let mut fields = Object::new();
        let mut metadata = self.0.get("metadata").and_then(Value::as_object).cloned();
        for (key, value) in self.0.iter().filter(|(key, _)| *key != "metadata") {
            if FIELDS.contains(&key.as_str()) {
                fields.insert(key.clone(), value.clone());
            } else {
                metadata.get_or_insert_default().insert(key.clone(), value.clone());
            }
        }
        fields.insert("metadata".into(), metadata.unwrap_or_default().into());
        Self(fields)
    }

    /// Whether two are the same thing, whichever account reads it.
    pub fn is_same_thing(&self, other: &Self) -> bool {
        let key = ["type", "name", "version", "location", "reference"];
        key.into_iter().all(|field| self.text(field) == other.text(field))
    }

    /// The text of a field; empty if it is absent or not text.
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// What a pipeline or a stage expects to find, and what to use if it does not.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExpectedArtifact(pub Object);

impl ExpectedArtifact {
    /// The id by which stages refer to it; empty if it has none.
    pub fn id(&self) -> &str {
        self.0.get("id").and_then(Value::as_str).unwrap_or_default()
    }
    /// What an artifact must look like to be this one.
    pub fn match_artifact(&self) -> Artifact {
        self.artifact("matchArtifact").unwrap_or_default()
    }
    /// What is used when nothing matches, if `useDefaultArtifact` says so.
    pub fn default_artifact(&self) -> Option<Artifact> {
        self.flag("useDefaultArtifact").then(|| self.artifact("defaultArtifact")).flatten()
    }
    /// Whether the artifact of the newest earlier execution of the same pipeline may be used.
    pub fn use_prior(&self) -> bool {
        self.flag("usePriorArtifact") || self.flag("usePriorExecution")
    }
    /// What it was bound to, once it was; with the account of what it must look like if it has none.
    pub fn bound(&self) -> Option<Artifact> {
        let bound = self.artifact("boundArtifact")?;
        if !bound.account().is_empty() {
            return Some(bound);
        }
        Some(bound.with_account(self.match_artifact().account()))
    }
    /// The same, bound to an artifact.
    #[must_use]
    pub fn bind(mut self, artifact: &Artifact) -> Self {
        self.0.insert("boundArtifact".into(), Value::Object(artifact.0.clone()));
        self
    }

    fn flag(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or_default()
    }
    fn artifact(&self, key: &str) -> Option<Artifact> {
        self.0.get(key).and_then(Value::as_object).cloned().map(Artifact)
    }
}
