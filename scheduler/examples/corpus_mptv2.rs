//! Runs the facts on templates of version 2: `cargo xtask corpus mptv2 FILE`.

use std::collections::BTreeSet;
use std::io::stdout;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use scheduler::template;
use serde_json::{Value, json};
use shared_model::{Object, Problem};
use shared_testkit::corpus::Tally;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode> {
    let file: PathBuf = std::env::args_os().nth(1).context("name the file of facts")?.into();
    Ok(judge(&file)?.print(&mut stdout().lock())?)
}

fn judge(file: &Path) -> Result<Tally> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("`{}` cannot be read", file.display()))?;
    let mut tally = Tally::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let case: Value = serde_json::from_str(line)?;
        let got = one(case["kind"].as_str().unwrap_or_default(), &case["input"]);
        match agrees(&got, &case["expect"]) {
            true => tally.pass(),
            false => {
                let id = case["id"].as_str().unwrap_or_default();
                tally.fail(id, &case["expect"].to_string(), &got.to_string());
            }
        }
    }
    Ok(tally)
}

fn one(kind: &str, input: &Value) -> Value {
    let list = |key: &str| input[key].as_array().cloned().unwrap_or_default();
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let config = object(&input["config"]);
    match kind {
        "variables" => match template::effective(&list("template"), &config, &Object::new()) {
            Ok(values) => json!({ "effective": values }),
            Err(problems) => refused(&problems),
        },
        "variable-error" => {
            let given = object(&input["config"]["variables"]);
            match template::effective(&list("template"), &given, &config) {
                Ok(values) => json!({ "effective": values }),
                Err(problems) => refused(&problems),
            }
        }
        "stages" | "inject" => match template::with_injected(&list("template"), &list("config")) {
            Ok(stages) => laid_out(&stages),
            Err(problems) => refused(&problems),
        },
        other => json!(format!("facts of kind `{other}` are not known")),
    }
}

fn refused(problems: &[Problem]) -> Value {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    json!({ "error": true, "message": all.join("; ") })
}

fn laid_out(stages: &[Value]) -> Value {
    let name = |stage: &Value| stage["refId"].as_str().unwrap_or_default().to_owned();
    let before = stages.iter().map(|stage| (name(stage), stage["requisiteStageRefIds"].clone()));
    let before: Object = before.collect();
    json!({ "requisites": before, "order": stages.iter().map(name).collect::<Vec<_>>() })
}

/// Whether all that is expected is so; what stages wait for is a set.
fn agrees(got: &Value, expected: &Value) -> bool {
    let set = |value: &Value| -> BTreeSet<String> {
        value.as_array().into_iter().flatten().map(Value::to_string).collect()
    };
    expected.as_object().is_some_and(|fields| {
        fields.iter().all(|(key, value)| match key.as_str() {
            "requisites" => value.as_object().into_iter().flatten().all(|(stage, before)| {
                got["requisites"].get(stage).is_some_and(|found| set(found) == set(before))
            }),
            "messageContains" => {
                let message = got["message"].as_str().unwrap_or_default();
                let mut parts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
                parts.all(|part| message.contains(part))
            }
            _ => got.get(key) == Some(value),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_facts_agree() {
        let file = shared_testkit::env::corpus_dir().join("pipelines/mptv2.jsonl");
        let tally = judge(&file).unwrap();
        assert!(tally.passed() > 0);
        assert!(tally.failures().is_empty(), "{:#?}", tally.failures());
    }
}
