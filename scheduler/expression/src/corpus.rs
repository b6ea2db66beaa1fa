//! Runs a file of expression cases, one JSON object a line.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::outside::Outside;
use crate::summary::{Level, Summary};
use crate::{
    Context, Limits, check_expression, evaluate, is_enabled, stage_root, variable_outputs,
    variables,
};

type Object = Map<String, Value>;

/// What one case came to.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// The case's id; its line number if it has none.
    pub id: String,
    /// What it should come to.
    pub expected: String,
    /// What it came to.
    pub got: String,
    /// Whether they agree.
    pub passed: bool,
}

/// The cases that differ on purpose stand there by their ids, each with its reason.
const README: &str = include_str!("../README.md");

/// Whether a case differs on purpose.
pub fn is_listed(id: &str) -> bool {
    README.contains(&format!("`{id}`"))
}

/// Runs every line. A line that cannot be read is a case that failed.
pub fn run(cases: &str) -> Vec<CaseResult> {
    let lines = cases.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| one(number + 1, line)).collect()
}

fn one(number: usize, line: &str) -> CaseResult {
    let failed = |got: String| CaseResult {
        id: format!("line {number}"),
        expected: "a case".into(),
        got,
        passed: false,
    };
    match serde_json::from_str::<Value>(line) {
        Ok(case) if case.is_object() => Case { case: &case }.run(number),
        Ok(_) => failed("no object".into()),
        Err(error) => failed(error.to_string()),
    }
}

struct Case<'a> {
    case: &'a Value,
}

/// What a case came to, before it is compared.
struct Got {
    value: Value,
    summary: Summary,
}

impl Case<'_> {
    fn text(&self, key: &str) -> &str {
        self.case.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn run(&self, number: usize) -> CaseResult {
        let id = if self.text("id").is_empty() {
            format!("line {number}")
        } else {
            self.text("id").into()
        };
        let got = self.got();
        let passed = self.agrees(&got);
        let failures: Vec<String> = got
            .summary
            .failures
            .iter()
            .map(|(key, entries)| {
                format!(
                    "{key}: {}",
                    entries.iter().map(|e| e.description.as_str()).collect::<Vec<_>>().join("; ")
                )
            })
            .collect();
        let shown = if failures.is_empty() { String::new() } else { format!(" {failures:?}") };
        CaseResult { id, expected: self.expected(), got: format!("{}{shown}", got.value), passed }
    }

    fn expected(&self) -> String {
        for key in ["expect", "expectMatch"] {
            if let Some(value) = self.case.get(key) {
                return value.to_string();
            }
        }
        format!("the text as it is ({})", self.text("level"))
    }

    fn execution(&self) -> Option<Object> {
        let context = self.case.get("context")?.as_object()?;
        let mut execution = context.get("execution").and_then(Value::as_object).cloned()?;
        if !execution.contains_key("trigger")
            && let Some(trigger) = context.get("trigger")
        {
            execution.insert("trigger".into(), trigger.clone());
        }
        Some(execution)
    }

    fn root(&self, execution: Option<&Object>) -> Object {
        let mut root =
            self.case.get("context").and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(Value::Array(repeat)) = root.remove("statusRepeat") {
            let letter = repeat.first().and_then(Value::as_str).unwrap_or_default();
            let times = repeat.get(1).and_then(Value::as_u64).unwrap_or_default();
            root.insert("status".into(), letter.repeat(times as usize).into());
        }
        if let Some(execution) = execution {
            root.remove("execution");
            let stage = self.case.get("stage").and_then(Value::as_str);
            for (key, value) in stage_root(execution, stage) {
                root.entry(key).or_insert(value);
            }
        }
        root
    }

    fn got(&self) -> Got {
        let execution = self.execution();
        let root = self.root(execution.as_ref());
        let limits = self.limits();
        let status_keys: Vec<String> = self
            .case
            .get("statusKeys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|key| key.as_str().map(str::to_owned))
            .collect();
        let stubs = Stubs { stubs: self.case.get("stubs").cloned().unwrap_or_default() };
        let now = Timestamp::from_second(1_764_000_000).unwrap_or_default();
        let stage = self.case.get("stage").and_then(Value::as_str);
        let mut context = Context::new(&root, execution.as_ref(), stage, now, &limits);
        context.status_keys = &status_keys;
        context.outside = &stubs;
        // Nobody's, where no stage runs.
        context.user = self.case.get("user").and_then(Value::as_str).unwrap_or("anonymous");
        self.evaluate(&context, execution.as_ref())
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        if let Some(max) = self.case.get("maxExpressionLength").and_then(Value::as_i64) {
            limits.expression_chars_max = usize::try_from(max).unwrap_or(10_000);
        }
        limits
    }

    fn expression(&self) -> Value {
        let expression = self.case.get("expression").cloned().unwrap_or_default();
        match (&expression, self.text("form")) {
            (Value::String(text), "length") => {
                let Some(start) = text.find("<T x ") else { return expression };
                let Some(end) = text[start..].find('>') else { return expression };
                let times = text[start + 5..start + end].parse().unwrap_or(0);
                json!(format!(
                    "{}{}{}",
                    &text[..start],
                    "T".repeat(times),
                    &text[start + end + 1..]
                ))
            }
            _ => expression,
        }
    }

    fn evaluate(&self, context: &Context<'_>, execution: Option<&Object>) -> Got {
        let expression = self.expression();
        let plain = |value: Value| Got { value, summary: Summary::default() };
        match self.text("form") {
            "stageEnabled" => {
                plain(if is_enabled(Some(&expression), context) { "run" } else { "skip" }.into())
            }
            "precondition" => {
                let text = expression.as_str().unwrap_or_default();
                let (holds, result) = check_expression(text, context);
                let status = if holds { "SUCCEEDED" } else { "TERMINAL" };
                plain(json!({ "status": status, "expressionResult": result }))
            }
            "effectiveVersion" => {
                let version = expression.as_str().unwrap_or_default();
                // v2 is accepted as a word and behaves as v3.
                plain(if ["v2", "v4"].contains(&version) { version } else { "v3" }.into())
            }
            "evaluateVariablesOutputs" => {
                let list = expression.get("variables").and_then(Value::as_array);
                plain(Value::Object(variable_outputs(list.map(Vec::as_slice).unwrap_or_default())))
            }
            "evaluateVariablesEndpoint" => endpoint(&expression, context, execution),
            "stageContext" => self.stage_context(&expression, context, execution),
            _ => {
                let found = evaluate(&expression, context, &BTreeSet::new());
                Got { value: found.value, summary: found.summary }
            }
        }
    }

    fn stage_context(
        &self,
        expression: &Value,
        context: &Context<'_>,
        execution: Option<&Object>,
    ) -> Got {
        let stage_type = context.stage.and_then(|stage| context.stage_of(stage));
        let stage_type =
            stage_type.and_then(|stage| stage.get("type")?.as_str()).unwrap_or_default();
        let declared = execution.and_then(|execution| execution.get("spelEvaluator")?.as_str());
        let is_v4 = self.text("evaluator") == "v4" || declared == Some("v4");
        let found = crate::stage_context(expression, stage_type, is_v4, context, &BTreeSet::new());
        Got { value: found.value, summary: found.summary }
    }

    fn agrees(&self, got: &Got) -> bool {
        if self.case.get("raw") == Some(&json!(true)) {
            return got.value == self.expression() && self.level_agrees(&got.summary);
        }
        let partial = self.case.get("partial") == Some(&json!(true));
        if partial && !self.has_level(&got.summary, Level::Info) {
            return false;
        }
        if let Some(pattern) = self.case.get("expectMatch").and_then(Value::as_str) {
            let text = got.value.as_str().map_or_else(|| got.value.to_string(), str::to_owned);
            return fancy_regex::Regex::new(pattern)
                .is_ok_and(|re| re.is_match(&text).unwrap_or(false));
        }
        let expected = self.case.get("expect").cloned().unwrap_or_default();
        self.counts_agree(&got.summary) && same(&expected, &got.value, self.text("compare"))
    }

    fn has_level(&self, summary: &Summary, level: Level) -> bool {
        summary.failures.values().flatten().any(|entry| entry.level == level)
    }

    fn level_agrees(&self, summary: &Summary) -> bool {
        let level = if self.text("level") == "INFO" { Level::Info } else { Level::Error };
        self.has_level(summary, level)
    }

    fn counts_agree(&self, summary: &Summary) -> bool {
        let count = |key: &str| self.case.get(key).and_then(Value::as_u64);
        let failed = summary.failures.len() as u64;
        let keys = self.case.get("failedKeys").and_then(Value::as_array);
        let keys_agree = keys.is_none_or(|keys| {
            let wanted: BTreeSet<&str> = keys.iter().filter_map(Value::as_str).collect();
            wanted == summary.failures.keys().map(String::as_str).collect()
        });
        count("failures").is_none_or(|wanted| wanted == failed)
            && count("evaluated").is_none_or(|wanted| wanted == u64::from(summary.evaluated))
            && keys_agree
    }
}

fn endpoint(expression: &Value, context: &Context<'_>, execution: Option<&Object>) -> Got {
    let mut root = Object::new();
    let wanted = expression.get("requisiteStageRefIds").and_then(Value::as_array);
    for reference in wanted.into_iter().flatten().filter_map(Value::as_str) {
        let Some(execution) = execution else { break };
        for (key, value) in stage_root(execution, Some(reference)) {
            root.entry(key).or_insert(value);
        }
    }
    let list = expression.get("variables").and_then(Value::as_array);
    let list = list.map(Vec::as_slice).unwrap_or_default();
    let (made, summary) = variables(list, &Context { root: &root, ..*context });
    Got { value: json!({ "variables": made }), summary }
}

fn same(expected: &Value, got: &Value, compare: &str) -> bool {
    match compare {
        "json" => {
            let parse = |value: &Value| {
                value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok())
            };
            parse(expected).is_some() && parse(expected) == parse(got)
        }
        "unordered" => {
            let sorted = |value: &Value| {
                let mut counted: BTreeMap<String, usize> = BTreeMap::new();
                for item in value.as_array().into_iter().flatten() {
                    *counted.entry(item.to_string()).or_default() += 1;
                }
                counted
            };
            expected.is_array() && got.is_array() && sorted(expected) == sorted(got)
        }
        _ => expected == got && kinds_agree(expected, got),
    }
}

/// Whole and fractional numbers are different types.
fn kinds_agree(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Number(a), Value::Number(b)) => a.is_f64() == b.is_f64(),
        (Value::Array(a), Value::Array(b)) => a.iter().zip(b).all(|(a, b)| kinds_agree(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.iter().all(|(key, value)| b.get(key).is_some_and(|other| kinds_agree(value, other)))
        }
        _ => true,
    }
}

/// The outside world of a case.
struct Stubs {
    stubs: Value,
}

impl Outside for Stubs {
    fn fetch(&self, url: &str) -> Result<String, String> {
        let body = self.stubs.get("urls").and_then(|urls| urls.get(url)).and_then(Value::as_str);
        body.map(str::to_owned).ok_or_else(|| format!("`{url}` is not allowed"))
    }
    fn stored(&self, reference: &str) -> Result<String, String> {
        use base64::Engine as _;
        let body = self.stubs.get("artifactStore").and_then(|store| store.get(reference));
        let body = body.and_then(Value::as_str).ok_or("no such reference")?;
        Ok(base64::engine::general_purpose::STANDARD.encode(body))
    }
    fn pipeline_id(&self, application: &str, name: &str) -> Result<Option<String>, String> {
        let pipelines = self.stubs.pointer("/front50/pipelines").and_then(Value::as_array);
        let found = pipelines.into_iter().flatten().find(|pipeline| {
            pipeline["name"] == name
                && (application.is_empty() || pipeline["application"] == application)
        });
        Ok(found.and_then(|pipeline| pipeline["id"].as_str()).map(str::to_owned))
    }
    fn application(&self, name: &str) -> Result<Option<Value>, String> {
        let applications = self.stubs.pointer("/front50/applications");
        let by_name = applications.and_then(|all| all.get(name)).cloned();
        let listed = || {
            let list = applications?.as_array()?;
            list.iter().find(|application| application["name"] == name).cloned()
        };
        Ok(by_name.or_else(listed))
    }
    fn canary_config_id(&self, name: &str, application: &str) -> Result<Option<String>, String> {
        let list =
            self.stubs.pointer("/kayenta/canaryConfigs").or_else(|| self.stubs.get("kayenta"));
        let found = list.and_then(Value::as_array).into_iter().flatten().find(|config| {
            let applications = config["applications"].as_array();
            config["name"] == name
                && applications.is_none_or(|all| all.iter().any(|one| one == application))
        });
        Ok(found.and_then(|config| config["id"].as_str()).map(str::to_owned))
    }
}
