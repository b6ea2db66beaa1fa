//! A pipeline document (reference §2): the JSON as it was written, behind typed views (D2).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ExpectedArtifact, Object, StageView};

/// A pipeline document. Fields that nobody here knows are kept as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pipeline {
    /// The document as it was written.
    pub raw: Object,
}

impl Pipeline {
    /// Reads a document that is a pipeline; `None` if it is not an object.
    pub fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Object(raw) => Some(Self { raw }),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => None,
        }
    }

    /// The `application` that it belongs to; empty if it is absent.
    pub fn application(&self) -> &str {
        self.text("application")
    }
    /// The `name`; empty if it is absent.
    pub fn name(&self) -> &str {
        self.text("name")
    }
    /// The saved pipeline's `id`, where it has one.
    pub fn config_id(&self) -> Option<&str> {
        self.raw.get("id").and_then(Value::as_str).filter(|id| !id.is_empty())
    }
    /// `v4` if the document asks for it; everything else behaves as `v3` (reference §0.5).
    pub fn uses_v4(&self) -> bool {
        self.text("spelEvaluator").eq_ignore_ascii_case("v4")
    }
    /// Whether the pipeline is switched off.
    pub fn is_disabled(&self) -> bool {
        self.raw.get("disabled").and_then(Value::as_bool).unwrap_or_default()
    }

    /// The stages in document order; entries that are not objects are left out.
    pub fn stages(&self) -> Vec<StageView<'_>> {
        self.list("stages")
            .iter()
            .filter_map(Value::as_object)
            .map(|raw| StageView { raw })
            .collect()
    }

    /// Old linear documents have no `refId` at all, or null for one: their stages run in the order of
    /// the list.
    pub fn is_linear(&self) -> bool {
        self.stages().iter().all(|stage| stage.raw.get("refId").is_none_or(Value::is_null))
    }

    /// The declared parameters (reference §2.2).
    pub fn parameters(&self) -> Vec<Parameter<'_>> {
        self.list("parameterConfig")
            .iter()
            .filter_map(Value::as_object)
            .map(|raw| Parameter { raw })
            .collect()
    }

    /// The artifacts that the pipeline expects (reference §2.4).
    pub fn expected_artifacts(&self) -> Vec<ExpectedArtifact> {
        self.list("expectedArtifacts")
            .iter()
            .filter_map(Value::as_object)
            .map(|raw| ExpectedArtifact(raw.clone()))
            .collect()
    }

    /// A list at the top level; empty if it is absent or no list.
    pub fn list(&self, key: &str) -> &[Value] {
        self.raw.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// A text at the top level; empty if it is absent or no text.
    pub fn text(&self, key: &str) -> &str {
        self.raw.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// One declared parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'a> {
    /// The declaration as it was written.
    pub raw: &'a Object,
}

impl<'a> Parameter<'a> {
    /// Its name; empty if it has none.
    pub fn name(&self) -> &'a str {
        self.raw.get("name").and_then(Value::as_str).unwrap_or_default()
    }
    /// The value used when none is given; an empty text counts.
    pub fn default(&self) -> Option<&'a Value> {
        self.raw.get("default").filter(|value| !value.is_null())
    }
    /// Whether a start without a value and without a default is refused.
    pub fn is_required(&self) -> bool {
        self.raw.get("required").and_then(Value::as_bool).unwrap_or_default()
    }
}
