//! Evaluates every text in a JSON value, keys too.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::eval;
use crate::summary::Summary;
use crate::template::{Part, has_expression, parts, without_delimiters};
use crate::value::Val;
use crate::{Context, Error};

/// What an evaluation came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluated {
    /// The value; texts that failed are as they were.
    pub value: Value,
    /// What failed.
    pub summary: Summary,
    /// JSON pointers of the values that an evaluation made: never evaluated again (D13).
    pub made: Vec<String>,
}

/// Evaluates every text in a value, but for the places in `keep` and below them.
pub fn evaluate(value: &Value, context: &Context<'_>, keep: &BTreeSet<String>) -> Evaluated {
    let mut walk = Walk { context, keep, summary: Summary::default(), made: Vec::new(), output: 0 };
    let value = walk.value(value, String::new(), "");
    Evaluated { value, summary: walk.summary, made: walk.made }
}

struct Walk<'a, 'c> {
    context: &'c Context<'a>,
    keep: &'c BTreeSet<String>,
    summary: Summary,
    made: Vec<String>,
    output: u64,
}

/// What a text came to.
enum Outcome {
    Value(Value),
    /// Some parts were null and stay as they are.
    Partial(String),
    Null,
}

impl Walk<'_, '_> {
    fn value(&mut self, value: &Value, pointer: String, place: &str) -> Value {
        if self.keep.contains(&pointer) {
            return value.clone();
        }
        match value {
            Value::String(text) if has_expression(text) => self.text(text, pointer, place),
            Value::Array(list) => {
                let items = list.iter().enumerate();
                items
                    .map(|(index, item)| self.value(item, format!("{pointer}/{index}"), place))
                    .collect()
            }
            Value::Object(map) => self.object(map, &pointer),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    fn object(&mut self, map: &Map<String, Value>, pointer: &str) -> Value {
        let mut made = Map::new();
        for (key, value) in map {
            let new_key = if has_expression(key) {
                match self.text(key, String::new(), key) {
                    Value::String(text) => text,
                    other => other.to_string(),
                }
            } else {
                key.clone()
            };
            let escaped = new_key.replace('~', "~0").replace('/', "~1");
            let value = self.value(value, format!("{pointer}/{escaped}"), &new_key);
            made.insert(new_key, value);
        }
        Value::Object(made)
    }

    fn text(&mut self, text: &str, pointer: String, place: &str) -> Value {
        self.summary.evaluated += 1;
        let now = self.context.now;
        let outcome = self.outcome(text);
        let failed = !matches!(&outcome, Ok(Outcome::Value(_)));
        self.summary.failed += u32::from(failed);
        match outcome {
            Ok(Outcome::Value(value)) => {
                // A key has no place of its own.
                if !pointer.is_empty() {
                    self.made.push(pointer);
                }
                value
            }
            Ok(Outcome::Partial(filled)) => {
                self.summary.null(without_delimiters(text), place, now);
                Value::String(filled)
            }
            Ok(Outcome::Null) => {
                self.summary.null(without_delimiters(text), place, now);
                Value::String(text.to_owned())
            }
            Err(error) => {
                self.summary.error(without_delimiters(text), place, &error, now);
                Value::String(text.to_owned())
            }
        }
    }

    fn outcome(&mut self, text: &str) -> Result<Outcome, Error> {
        let parts = parts(text)?;
        if let [Part::Expression(expression)] = parts.as_slice() {
            let value = eval::evaluate(expression, self.context)?;
            return self.whole(&value);
        }
        self.mixed(&parts)
    }

    fn whole(&mut self, value: &Val<'_>) -> Result<Outcome, Error> {
        if value.is_null() {
            return Ok(Outcome::Null);
        }
        let json = value.to_json();
        let json = json.ok_or_else(|| {
            Error::Forbidden(format!("a value of type {} cannot leave an expression", value.kind()))
        })?;
        self.weigh(size(&json))?;
        Ok(Outcome::Value(json))
    }

    fn mixed(&mut self, parts: &[Part]) -> Result<Outcome, Error> {
        let (mut filled, mut nulls, mut values) = (String::new(), 0, 0);
        for part in parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Expression(expression) => {
                    let value = eval::evaluate(expression, self.context)?;
                    if value.is_null() {
                        nulls += 1;
                        filled.push_str(&format!("${{{expression}}}"));
                    } else {
                        values += 1;
                        filled.push_str(&within_text(&value)?);
                    }
                }
            }
            self.weigh(filled.len() as u64)?;
        }
        Ok(match (nulls, values) {
            (0, _) => Outcome::Value(Value::String(filled)),
            (_, 0) => Outcome::Null,
            (_, _) => Outcome::Partial(filled),
        })
    }

    fn weigh(&mut self, bytes: u64) -> Result<(), Error> {
        let limit = self.context.limits.output_bytes_max;
        if bytes > limit {
            return Err(Error::Limit { name: "output_bytes_max", limit });
        }
        self.output = self.output.saturating_add(bytes);
        let all = self.context.limits.memory_bytes_max;
        if self.output > all {
            return Err(Error::Limit { name: "memory_bytes_max", limit: all });
        }
        Ok(())
    }
}

/// A value inside a text: lists are joined by commas, maps have no form.
pub(crate) fn within_text(value: &Val<'_>) -> Result<String, Error> {
    match value {
        Val::List(list) | Val::Array(list) => {
            let items: Result<Vec<String>, Error> = list.iter().map(within_text).collect();
            Ok(items?.join(","))
        }
        Val::Class(_)
        | Val::Map(_)
        | Val::Stage(_)
        | Val::Execution(_)
        | Val::Trigger(_)
        | Val::Root => Err(Error::bad_type(value.kind(), "String")),
        Val::Kept(kept) => within_text(kept),
        other => Ok(other.to_text()),
    }
}

fn size(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => 2 + text.len() as u64,
        Value::Array(list) => 2 + list.iter().map(size).sum::<u64>(),
        Value::Object(map) => {
            2 + map.iter().map(|(key, value)| 3 + key.len() as u64 + size(value)).sum::<u64>()
        }
    }
}
