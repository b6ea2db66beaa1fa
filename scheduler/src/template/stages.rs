//! Stages of a configuration, put between those of its template.

use std::collections::BTreeSet;

use serde_json::Value;
use shared_model::Problem;

/// A template's stages with those of a configuration: one of the same `refId` takes the template's
/// place, others stand where `inject` says. Behind what they wait for; where that leaves a choice,
/// injected ones come first.
///
/// # Errors
/// Stages that wait for one another, and places that do not exist.
pub fn with_injected(template: &[Value], own: &[Value]) -> Result<Vec<Value>, Vec<Problem>> {
    let mut stages: Vec<Stage> = Vec::new();
    for value in template.iter().chain(own) {
        let stage = Stage::of(value);
        match stages.iter_mut().find(|old| old.reference == stage.reference) {
            Some(old) => *old = stage,
            None => stages.push(stage),
        }
    }
    let mut problems = Vec::new();
    for at in 0..stages.len() {
        problems.extend(inject(&mut stages, at));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    in_order(stages)
}

struct Stage {
    reference: String,
    before: Vec<String>,
    value: Value,
    is_injected: bool,
}

impl Stage {
    fn of(value: &Value) -> Self {
        let before = value["requisiteStageRefIds"].as_array().into_iter().flatten();
        Self {
            reference: text(&value["refId"]),
            before: before.map(text).collect(),
            value: value.clone(),
            is_injected: value["inject"].is_object(),
        }
    }

    /// As it stands in the pipeline.
    fn written(self) -> Value {
        let mut value = self.value;
        if let Some(fields) = value.as_object_mut() {
            fields.remove("inject");
            fields.insert("requisiteStageRefIds".into(), self.before.into());
        }
        value
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Puts one stage where its `inject` says.
fn inject(stages: &mut [Stage], at: usize) -> Vec<Problem> {
    let rule = stages[at].value["inject"].clone();
    let named = |key: &str| -> Vec<String> {
        match &rule[key] {
            Value::String(one) => vec![one.clone()],
            Value::Array(list) => list.iter().map(text).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
        }
    };
    let (before, after) = (named("before"), named("after"));
    let known = |name: &&String| stages.iter().any(|stage| &stage.reference == *name);
    let unknown: Vec<&String> = before.iter().chain(&after).filter(|name| !known(name)).collect();
    if !unknown.is_empty() {
        let own = &stages[at].reference;
        let why = |name: &&String| {
            let why =
                format!("stage `{own}` is to be injected beside `{name}`, which does not exist");
            Problem::error("inject-unknown", "/stages", why, "name a stage of the template")
        };
        return unknown.iter().map(why).collect();
    }
    match () {
        () if rule["first"] == true => first(stages, at),
        () if rule["last"] == true => last(stages, at),
        () if !before.is_empty() => in_front(stages, at, &before),
        () if !after.is_empty() => behind(stages, at, &after),
        () => {}
    }
    Vec::new()
}

/// Everything that waits for nothing waits for it.
fn first(stages: &mut [Stage], at: usize) {
    let own = stages[at].reference.clone();
    stages[at].before.clear();
    let others = stages.iter_mut().filter(|stage| stage.reference != own);
    for root in others.filter(|stage| stage.before.is_empty()) {
        root.before.push(own.clone());
    }
}

/// It waits for everything that nothing waits for.
fn last(stages: &mut [Stage], at: usize) {
    let needed: BTreeSet<String> =
        stages.iter().flat_map(|stage| stage.before.iter().cloned()).collect();
    let own = stages[at].reference.clone();
    let names = stages.iter().map(|stage| &stage.reference);
    let leaves = names.filter(|name| **name != own && !needed.contains(*name)).cloned();
    stages[at].before = leaves.collect();
}

/// It waits for what those waited for, and they for it.
fn in_front(stages: &mut [Stage], at: usize, of: &[String]) {
    let own = stages[at].reference.clone();
    let mut waits: Vec<String> = Vec::new();
    for stage in stages.iter_mut().filter(|stage| of.contains(&stage.reference)) {
        let before = std::mem::replace(&mut stage.before, vec![own.clone()]);
        waits.extend(before);
    }
    let mut seen = BTreeSet::new();
    waits.retain(|name| *name != own && seen.insert(name.clone()));
    stages[at].before = waits;
}

/// It waits for those, and what waited for them waits for it.
fn behind(stages: &mut [Stage], at: usize, of: &[String]) {
    let own = stages[at].reference.clone();
    for stage in stages.iter_mut().filter(|stage| stage.reference != own) {
        let count = stage.before.len();
        stage.before.retain(|name| !of.contains(name));
        if stage.before.len() < count {
            stage.before.push(own.clone());
        }
    }
    stages[at].before = of.to_vec();
}

/// Each behind what it waits for.
fn in_order(mut left: Vec<Stage>) -> Result<Vec<Value>, Vec<Problem>> {
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let waiting: BTreeSet<String> = left.iter().map(|stage| stage.reference.clone()).collect();
        let is_free = |stage: &Stage| stage.before.iter().all(|name| !waiting.contains(name));
        let injected = left.iter().position(|stage| stage.is_injected && is_free(stage));
        let Some(at) = injected.or_else(|| left.iter().position(is_free)) else {
            let names: Vec<String> = waiting.into_iter().collect();
            let why = format!("the stages {} wait for one another", names.join(", "));
            let hint = "let one of them wait for none of the others";
            return Err(vec![Problem::error("stage-cycle", "/stages", why, hint)]);
        };
        ordered.push(left.remove(at).written());
    }
    Ok(ordered)
}
