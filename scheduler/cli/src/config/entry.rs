//! One setting, checked against what can be set.

use std::fmt::Write;

use anyhow::{Result, bail};
use figment2::value::{Dict, Map};
use figment2::{Metadata, Profile, Provider};
use serde_json::Value;

use super::given::{Given, Text};
use super::shape::{Found, Shape};

/// How much a key has to be like another to be taken for a slip.
const LIKENESS_MIN: f64 = 0.75;

/// A setting whose key is known.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    pub(super) source: String,
}

impl Entry {
    pub(super) fn section(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }
}

/// Reads what was given.
///
/// # Errors
/// A key that is not known, or a value that cannot be one of its kind.
pub(super) fn read(shape: &Shape, given: Vec<Given>) -> Result<Vec<Entry>> {
    given.into_iter().map(|given| one(shape, given)).collect()
}

fn one(shape: &Shape, Given { path, value, source }: Given) -> Result<Entry> {
    let key = path.join(".");
    let value = match (shape.find(&path), value) {
        (Found::Nothing { depth, known }, _) => bail!(unknown(&path, depth, &source, &known)),
        (Found::Section(_), Text::Typed(Value::Null)) => Value::Null,
        (Found::Section(keys), _) => {
            bail!("{source}: `{key}` is a section; it has {}", listed(&keys))
        }
        (Found::Secret | Found::SecretFile, Text::Raw(text)) => Value::String(text),
        (Found::Value(kind), Text::Raw(text)) => like(kind, text),
        (Found::Secret | Found::SecretFile | Found::Value(_), Text::Typed(value)) => value,
    };
    Ok(Entry { path, value, source })
}

/// Text as a value of the kind that another is of; what it cannot be is said once it is used.
fn like(kind: &Value, text: String) -> Value {
    match kind {
        Value::Null | Value::String(_) => Value::String(text),
        Value::Array(_) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(Value::from).collect()
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
    }
}

fn unknown(path: &[String], depth: usize, source: &str, known: &[&str]) -> String {
    let key = path.join(".");
    let mut text = format!("{source}: there is no setting `{key}`");
    let likeness = |one: &str| path.get(depth).map_or(0.0, |part| strsim::jaro_winkler(part, one));
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let _never_fails = match nearest {
        Some(nearest) if likeness(nearest) >= LIKENESS_MIN => {
            write!(text, "; is `{nearest}` meant?")
        }
        Some(_) => write!(text, "; there are {}", listed(known)),
        None => Ok(()),
    };
    text
}

fn listed(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

impl Provider for Entry {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> figment2::Result<Map<Profile, Dict>> {
        let leaf = figment2::value::Value::serialize(&self.value)?;
        let nested = self.path.iter().rev().fold(leaf, |below, key| {
            figment2::value::Value::from(Dict::from([(key.clone(), below)]))
        });
        let dict = nested.into_dict().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}
