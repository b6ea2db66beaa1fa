//! A stage of a pipeline document (reference §2.3).

use serde_json::Value;

use crate::{Object, StageRef};

/// A typed view of one stage; the rest of its fields are its context.
#[derive(Debug, Clone, Copy)]
pub struct StageView<'a> {
    /// The stage as it was written.
    pub raw: &'a Object,
}

impl<'a> StageView<'a> {
    /// The stage's `refId`, which Spinnaker's documents write as text or as a number.
    pub fn ref_id(&self) -> Option<StageRef> {
        self.raw.get("refId").and_then(reference)
    }

    /// The stages that this one waits for; `None` where an entry is neither text nor number.
    /// A missing or null list is empty.
    pub fn requisites(&self) -> Vec<Option<StageRef>> {
        let list = self.raw.get("requisiteStageRefIds").and_then(Value::as_array);
        list.map(|list| list.iter().map(reference).collect()).unwrap_or_default()
    }

    /// The `type`; empty if it is absent.
    pub fn kind(&self) -> &'a str {
        self.text("type")
    }

    /// The `alias`, which wins over the type when a stage type of that name exists.
    pub fn alias(&self) -> &'a str {
        self.text("alias")
    }

    /// The `name`; the type where it has none.
    pub fn name(&self) -> &'a str {
        match self.text("name") {
            "" => self.kind(),
            name => name,
        }
    }

    /// What the stage's tasks see: every field but those that describe its place in the pipeline.
    pub fn context(&self) -> Object {
        const PLACE: [&str; 4] = ["refId", "requisiteStageRefIds", "type", "name"];
        self.raw
            .iter()
            .filter(|(key, _)| !PLACE.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn text(&self, key: &str) -> &'a str {
        self.raw.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

fn reference(value: &Value) -> Option<StageRef> {
    match value {
        Value::String(text) => Some(StageRef::new(text.trim())),
        Value::Number(number) => Some(StageRef::new(number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
