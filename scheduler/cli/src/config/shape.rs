//! What can be set, and what kind of value each key takes: the defaults, as they are shown.

use serde_json::Value;

use super::settings::Settings;

/// What stands in place of a secret: so secrets are recognised.
const MASK: &str = "***";
/// What the key of a file with a secret in it ends with.
pub(super) const FILE: &str = "_file";

/// Every key with the value that it has if nobody says otherwise, or one of its kind.
pub(super) struct Shape(Value);

/// What a key stands for.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    /// A value like this one.
    Value(&'a Value),
    /// A secret.
    Secret,
    /// The file of a secret.
    SecretFile,
    /// A section, with its keys.
    Section(Vec<&'a str>),
    /// Nothing.
    Nothing {
        /// Which part of the key is not there.
        depth: usize,
        /// Those that are there instead.
        known: Vec<&'a str>,
    },
}

impl Shape {
    pub(super) fn new() -> Self {
        Self(serde_json::to_value(Settings::with_everything()).unwrap_or_default())
    }

    /// Looks a key up.
    pub(super) fn find(&self, path: &[String]) -> Found<'_> {
        let mut place = &self.0;
        for (depth, key) in path.iter().enumerate() {
            let Value::Object(members) = place else {
                return Found::Nothing { depth, known: Vec::new() };
            };
            if depth > 0 && members.is_empty() {
                // Names are the user's own there.
                return Found::Value(&Value::Null);
            }
            let is_last = depth + 1 == path.len();
            let secret = key.strip_suffix(FILE).and_then(|secret| members.get(secret));
            match members.get(key) {
                Some(below) => place = below,
                None if is_last && secret.is_some_and(is_secret) => return Found::SecretFile,
                None => {
                    let known = members.keys().map(String::as_str).collect();
                    return Found::Nothing { depth, known };
                }
            }
        }
        match place {
            Value::Object(members) if members.is_empty() => Found::Value(place),
            Value::Object(members) => Found::Section(members.keys().map(String::as_str).collect()),
            Value::String(text) if text == MASK => Found::Secret,
            value @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)) => Found::Value(value),
        }
    }
}

fn is_secret(value: &Value) -> bool {
    value == MASK
}
