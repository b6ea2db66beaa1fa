//! Names, properties, indexes.

use std::rc::Rc;

use serde_json::Value;

use super::{Result, Run};
use crate::ast::Node;
use crate::value::{Val, WEEKDAYS, named};
use crate::{Error, functions, methods};

impl<'a> Run<'a> {
    /// A bare name: what the expression sees, or a property of what it looks at.
    pub(crate) fn bare_name(&mut self, name: &str) -> Result<Val<'a>> {
        match self.current() {
            Val::Root => self.root_name(name),
            this => self.property_of(&this, name),
        }
    }

    fn root_name(&mut self, name: &str) -> Result<Val<'a>> {
        let context = self.context;
        if name == "parameters" {
            return self.parameters();
        }
        if let Some(value) = context.root.get(name) {
            if name == "execution"
                && let Some(execution) = value.as_object()
            {
                return Ok(Val::Execution(execution));
            }
            let is_status = context.status_keys.iter().any(|key| key == name);
            return self.json(value, is_status);
        }
        match name {
            "execution" => Ok(context.execution.map_or(Val::Null, Val::Execution)),
            "scmInfo" => self.scm_info(),
            "deployedServerGroups" if context.execution.is_some() => {
                functions::call(self, name, Vec::new())
            }
            _ => Ok(Val::Null),
        }
    }

    /// The trigger's, if it has any; else what goes by that name; else none, which is no null.
    fn parameters(&mut self) -> Result<Val<'a>> {
        let trigger = self.context.root.get("trigger");
        let trigger = trigger.or_else(|| self.context.execution?.get("trigger"));
        let of_trigger = trigger.and_then(|trigger| trigger.get("parameters")?.as_object());
        let of_trigger = of_trigger.filter(|parameters| !parameters.is_empty());
        match (of_trigger, self.context.root.get("parameters")) {
            (Some(parameters), _) => {
                let weight = parameters.values().map(json_weight).sum();
                self.reserve(weight)?;
                self.make(Val::from_object(parameters))
            }
            (None, Some(parameters)) => self.json(parameters, false),
            (None, None) => Ok(Val::Map(Rc::default())),
        }
    }

    /// The first source-control entry of the build that is neither master nor develop, else the first.
    fn scm_info(&mut self) -> Result<Val<'a>> {
        let pointers = ["/buildInfo/scm", "/parentExecution/trigger/buildInfo/scm"];
        let trigger = self.context.root.get("trigger");
        let trigger = trigger.or_else(|| self.context.execution?.get("trigger"));
        let own = self.context.root.get("buildInfo").and_then(|info| info.get("scm"));
        let list = pointers.iter().find_map(|pointer| trigger?.pointer(pointer)).or(own);
        let list: Vec<&Value> = list.and_then(Value::as_array).into_iter().flatten().collect();
        let main = |entry: &&&Value| {
            let branch = entry.get("branch").and_then(Value::as_str);
            !matches!(branch, Some("master" | "develop"))
        };
        match list.iter().find(main).or_else(|| list.first()) {
            Some(entry) => self.json(entry, false),
            None => Ok(Val::Null),
        }
    }

    /// JSON as a value; with every `status` in it an enumeration if `is_status`.
    pub(super) fn json(&mut self, value: &Value, is_status: bool) -> Result<Val<'a>> {
        if is_status && let Value::String(status) = value {
            return Ok(Val::Status(Rc::from(status.as_str())));
        }
        self.reserve(json_weight(value))?;
        let mut made = Val::from_json(value);
        if !self.context.status_keys.is_empty() {
            mark_statuses(&mut made, self.context.status_keys);
        }
        Ok(made)
    }

    pub(super) fn property(&mut self, of: &Node, name: &str, safe: bool) -> Result<Val<'a>> {
        let of = self.node(of)?;
        if of.is_null() {
            return if safe { Ok(Val::Null) } else { Err(Error::on_null(name)) };
        }
        self.property_of(&of, name)
    }

    pub(crate) fn property_of(&mut self, of: &Val<'a>, name: &str) -> Result<Val<'a>> {
        let absent = || Error::no_property(name, of.kind());
        match of {
            Val::Root => self.root_name(name),
            Val::Null => Err(Error::on_null(name)),
            Val::Map(map) => match self.stored(map) {
                Some(Val::Map(stored)) => Ok(stored.get(name).cloned().unwrap_or(Val::Null)),
                _ => Ok(map.get(name).cloned().unwrap_or(Val::Null)),
            },
            Val::Execution(execution) => self.execution_property(execution, name),
            Val::Stage(stage) => self.stage_property(stage, name),
            Val::Trigger(trigger) => self.trigger_property(trigger, name),
            Val::Array(list) if name == "length" => Ok(Val::Int(count(list.len()))),
            Val::List(list) if name == "empty" => Ok(Val::Bool(list.is_empty())),
            Val::Text(text) => match name {
                "empty" => Ok(Val::Bool(text.is_empty())),
                "blank" => Ok(Val::Bool(text.trim().is_empty())),
                "bytes" => self.make(methods::bytes(text)),
                _ => Err(absent()),
            },
            Val::LocalDate(_)
            | Val::LocalDateTime(_)
            | Val::Date(_)
            | Val::Instant(_)
            | Val::Uuid(_)
            | Val::DayOfWeek(_)
            | Val::Unit(_)
            | Val::Double(_)
            | Val::DateFormat(_)
            | Val::Status(_) => self.getter(of, name).map_err(|_| absent()),
            Val::Kept(kept) => self.property_of(kept, name),
            Val::Bool(_)
            | Val::Byte(_)
            | Val::Int(_)
            | Val::Long(_)
            | Val::List(_)
            | Val::Array(_)
            | Val::Class(_)
            | Val::Random(_)
            | Val::Entry(_) => Err(absent()),
        }
    }

    /// What a map stands for whose content lies in the artifact store: it is fetched when a property
    /// of it is read. `None` for every other map.
    fn stored(&mut self, map: &crate::value::Entries<'a>) -> Option<Val<'a>> {
        use base64::Engine as _;
        let is_stored = matches!(map.get("type"), Some(Val::Text(kind))
            if kind.as_ref() == "remote/map/base64");
        let reference = map.get("reference").filter(|_| is_stored)?.to_text();
        let base64 = self.context.outside.stored(&reference).ok()?;
        let json = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
        self.reserve(4 * json.len() as u64).ok()?;
        serde_json::from_slice::<Value>(&json).ok().map(|value| Val::from_json(&value))
    }

    /// `of.name` as `of.getName()` or `of.isName()`.
    fn getter(&mut self, of: &Val<'a>, name: &str) -> Result<Val<'a>> {
        let mut letters = name.chars();
        let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        let rest: String = letters.collect();
        methods::call(self, of, &format!("get{first}{rest}"), Vec::new())
            .or_else(|_| methods::call(self, of, &format!("is{first}{rest}"), Vec::new()))
    }

    pub(super) fn index(&mut self, of: &Node, index: &Node, safe: bool) -> Result<Val<'a>> {
        let of = self.node(of)?;
        if of.is_null() {
            let error = Error::Evaluate("EL1012E: Cannot index into a null value".into());
            return if safe { Ok(Val::Null) } else { Err(error) };
        }
        let index = match (&of, index) {
            // A bare name in brackets behind a map is a key, not something to look up.
            (Val::Map(_) | Val::Root, Node::Name(name)) => Val::text(name),
            _ => self.node(index)?,
        };
        self.index_of(&of, &index)
    }

    fn index_of(&mut self, of: &Val<'a>, index: &Val<'a>) -> Result<Val<'a>> {
        match of {
            Val::List(list) | Val::Array(list) => {
                let place = position(index, list.len())?;
                Ok(list[place].clone())
            }
            Val::Text(text) => {
                let letters: Vec<char> = text.chars().collect();
                let place = position(index, letters.len())?;
                self.make(Val::text(letters[place].to_string()))
            }
            Val::Map(map) => match index {
                Val::Text(key) | Val::Status(key) => {
                    Ok(map.get(key.as_ref()).cloned().unwrap_or(Val::Null))
                }
                _ => Ok(Val::Null),
            },
            Val::Kept(kept) => self.index_of(&Rc::clone(kept), index),
            Val::Root | Val::Execution(_) | Val::Stage(_) | Val::Trigger(_) => match index {
                Val::Text(name) => self.property_of(of, name),
                other => Err(Error::no_property(&other.to_text(), of.kind())),
            },
            other => Err(Error::Evaluate(format!(
                "EL1027E: Indexing into type '{}' is not supported",
                other.kind()
            ))),
        }
    }
}

/// An index as a place in a list of a length.
fn position(index: &Val<'_>, length: usize) -> Result<usize> {
    let number = match index {
        Val::Text(text) => text.trim().parse().ok(),
        Val::Double(number) => Some(*number as i64),
        other => other.whole(),
    };
    let number = number.ok_or_else(|| Error::bad_type(index.kind(), "Integer"))?;
    let place = usize::try_from(number).ok().filter(|place| *place < length);
    place.ok_or_else(|| {
        Error::Evaluate(format!(
            "EL1025E: The collection has '{length}' elements, index '{number}' is invalid"
        ))
    })
}

/// A length as Java counts.
pub(crate) fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn json_weight(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 16,
        Value::String(text) => 32 + text.len() as u64,
        Value::Array(list) => 32 + list.iter().map(json_weight).sum::<u64>(),
        Value::Object(map) => {
            64 + map
                .iter()
                .map(|(key, value)| 32 + key.len() as u64 + json_weight(value))
                .sum::<u64>()
        }
    }
}

fn mark_statuses(value: &mut Val<'_>, keys: &[String]) {
    let Val::Map(map) = value else { return };
    for (key, value) in Rc::make_mut(map) {
        match value {
            Val::Text(text) if keys.contains(key) => *value = Val::Status(Rc::clone(text)),
            other => mark_statuses(other, keys),
        }
    }
}

/// The name of a day of the week.
pub(crate) fn weekday_text(day: jiff::civil::Weekday) -> &'static str {
    named(&WEEKDAYS, &day)
}
