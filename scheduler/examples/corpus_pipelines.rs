//! Runs the pipeline documents of the conformance corpus: `cargo xtask corpus pipelines FOLDER`.
//!
//! Every `*.json` of the folder that is a pipeline or a start body is a case, and so is every one
//! that can't be read as JSON. A case passes if it loads within the limits, keeps every field
//! through save → get in a real store, and every edge between its stages resolves: to a stage, or
//! to a warning that names the edge. Its stage types need not be known.

use std::collections::BTreeSet;
use std::io::stdout;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use scheduler_engine::graph::{Graph, graph};
use serde_json::Value;
use shared_adapters::{Config, open};
use shared_model::{Limits, Pipeline, Problem, Severity, parse};
use shared_ports::Ports;
use shared_ports::documents::{Change, Changed};
use shared_testkit::corpus::Tally;

const KIND: &str = "pipeline";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<ExitCode> {
    let folder = std::env::args_os().nth(1).context("name the folder of pipeline documents")?;
    let store = tempfile::tempdir()?;
    let (ports, guard) = open(&Config::embedded(store.path().join("data"))).await?;
    let tally = judge_all(Path::new(&folder), &ports).await?;
    drop(ports);
    guard.close().await?;
    Ok(tally.print(&mut stdout().lock())?)
}

async fn judge_all(folder: &Path, ports: &Ports) -> Result<Tally> {
    let mut tally = Tally::default();
    for path in documents(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text =
            std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let Some(verdict) = judge(&name, &text, ports).await else { continue };
        match verdict {
            Ok(()) => tally.pass(),
            Err(Mismatch { expected, got }) => tally.fail(&name, expected, &got),
        }
    }
    Ok(tally)
}

fn documents(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let doing = || format!("failed to list {}", folder.display());
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).with_context(doing)? {
        let path = entry.with_context(doing)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.insert(path);
        }
    }
    if found.is_empty() {
        bail!("{} has no *.json", folder.display());
    }
    Ok(found)
}

/// What should have been, and what was.
#[derive(Debug, PartialEq)]
struct Mismatch {
    expected: &'static str,
    got: String,
}

fn mismatch(expected: &'static str, got: impl Into<String>) -> Mismatch {
    Mismatch { expected, got: got.into() }
}

/// `None` for a document that is neither a pipeline nor a start body.
async fn judge(name: &str, text: &[u8], ports: &Ports) -> Option<Result<(), Mismatch>> {
    let document = match load(text) {
        Ok(document) => document,
        Err(unreadable) => return Some(Err(unreadable)),
    };
    let verdicts = pipelines_of(&document)?.into_iter().map(check_edges);
    let edges = verdicts.collect::<Result<Vec<()>, Mismatch>>();
    if let Err(changed) = check_round_trip(name, &document, ports).await {
        return Some(Err(changed));
    }
    Some(edges.map(drop))
}

fn load(text: &[u8]) -> Result<Value, Mismatch> {
    const READABLE: &str = "a readable JSON document";
    let text = std::str::from_utf8(text).map_err(|error| mismatch(READABLE, error.to_string()))?;
    parse::json(text, &Limits::default()).map_err(|problem| mismatch(READABLE, problem.to_string()))
}

/// The pipelines that a document is or holds, whose edges are looked at; `None` if it is something
/// else. A list of pipelines holds those, a template (version 2) holds one below `pipeline`.
fn pipelines_of(document: &Value) -> Option<Vec<Value>> {
    if let Value::Array(list) = document {
        let found: Option<Vec<Vec<Value>>> = list.iter().map(pipelines_of).collect();
        return found.filter(|found| !found.is_empty()).map(|found| found.concat());
    }
    let nested = document.get("pipeline").filter(|inner| inner.get("stages").is_some());
    match nested {
        Some(inner) if document.get("stages").is_none() => Some(vec![inner.clone()]),
        _ => is_pipeline(document).then(|| vec![document.clone()]),
    }
}

/// A pipeline has stages, or is one by its other fields though it has none yet: a use of a template,
/// the jobs of a task, a document that says when it starts.
fn is_pipeline(document: &Value) -> bool {
    let has = |key: &str| document.get(key).is_some();
    let is_use = document.get("template").is_some_and(Value::is_object)
        || document.get("type").is_some_and(|kind| kind == "templatedPipeline");
    let is_task = document.get("job").is_some_and(Value::is_array);
    has("stages") || is_use || is_task || has("application") && (has("triggers") || has("trigger"))
}

async fn check_round_trip(name: &str, document: &Value, ports: &Ports) -> Result<(), Mismatch> {
    const SAVED: &str = "saved and read back";
    let change = Change {
        kind: KIND.to_owned(),
        id: name.to_owned(),
        expected: 0,
        body: Some(document.clone()),
        by: "corpus".to_owned(),
        at: ports.clock.now(),
    };
    let changed = ports.documents.change(change).await;
    if !matches!(changed, Ok(Changed::Stored(1))) {
        return Err(mismatch(SAVED, format!("{changed:?}")));
    }
    let found = ports.documents.get(KIND, name).await;
    let found = found.map_err(|error| mismatch(SAVED, error.to_string()))?;
    let body = found.map(|found| found.body).unwrap_or_default();
    // A list of pipelines is none itself.
    let view = if body.is_array() {
        Some(body.clone())
    } else {
        Pipeline::from_value(body.clone()).and_then(|view| serde_json::to_value(view).ok())
    };
    same(document, &body).and_then(|()| same(document, &view.unwrap_or_default()))
}

/// Every field, and in its order: a person's document comes back as it was written.
fn same(document: &Value, found: &Value) -> Result<(), Mismatch> {
    let [sent, kept] = [document, found].map(ToString::to_string);
    if sent == kept {
        return Ok(());
    }
    Err(mismatch("every field kept", found.to_string()))
}

fn check_edges(document: Value) -> Result<(), Mismatch> {
    let pipeline =
        Pipeline::from_value(document).ok_or_else(|| mismatch("an object", "another value"))?;
    let (graph, problems) = graph(&pipeline, &Limits::default());
    let errors: Vec<String> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    let Some(graph) = graph.filter(|_| errors.is_empty()) else {
        return Err(mismatch("edges that resolve", errors.join("; ")));
    };
    if graph.stages.len() != pipeline.list("stages").len() {
        return Err(mismatch("no stage lost", format!("{} stages", graph.stages.len())));
    }
    check_each_edge(&pipeline, &graph, &problems)
}

/// Looks at each edge of the document: it must be in the graph, or in a warning.
fn check_each_edge(
    pipeline: &Pipeline,
    graph: &Graph,
    problems: &[Problem],
) -> Result<(), Mismatch> {
    for (index, (stage, node)) in pipeline.stages().iter().zip(&graph.stages).enumerate() {
        for (position, asked) in stage.requisites().iter().enumerate() {
            let resolved = node.requires.iter().any(|up| {
                let up = usize::try_from(*up).ok().and_then(|up| graph.stages.get(up));
                up.map(|up| &up.reference) == asked.as_ref()
            });
            let pointer = format!("/stages/{index}/requisiteStageRefIds/{position}");
            if !resolved && !problems.iter().any(|problem| problem.pointer == pointer) {
                return Err(mismatch("every edge resolved or named", pointer));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn verdict(text: &str) -> Option<Result<(), Mismatch>> {
        let store = tempfile::tempdir().unwrap();
        let (ports, guard) = open(&Config::embedded(store.path().join("data"))).await.unwrap();
        let verdict = judge("a.json", text.as_bytes(), &ports).await;
        drop(ports);
        guard.close().await.unwrap();
        verdict
    }

    #[tokio::test]
    async fn a_pipeline_with_odd_fields_passes() {
        let document = json!({
            "odd": {"z": 1, "a": [null, 1.50, "\u{7f}"]},
            "stages": [
                {"refId": 1, "type": "noSuchType", "extra": true},
                {"refId": "2", "type": "wait", "requisiteStageRefIds": ["1", "nowhere"]},
            ],
        });
        assert_eq!(verdict(&document.to_string()).await, Some(Ok(())));
    }

    #[tokio::test]
    async fn what_can_not_run_fails() {
        let cycle =
            json!({"stages": [{"refId": "1", "type": "wait", "requisiteStageRefIds": ["1"]}]});
        let found = verdict(&cycle.to_string()).await.unwrap().unwrap_err();
        assert_eq!(found.expected, "edges that resolve");
        let found = verdict("{\"stages\": [").await.unwrap().unwrap_err();
        assert_eq!(found.expected, "a readable JSON document");
    }

    #[tokio::test]
    async fn pipelines_come_in_other_shapes_too() {
        let stages = json!([{"refId": "1", "type": "wait"}]);
        let shapes = [
            json!({"schema": "v2", "name": "n", "template": {"reference": "spinnaker://t"}}),
            json!({"type": "templatedPipeline", "schema": "1", "config": {"schema": "1"}}),
            json!({"schema": "v2", "id": "t", "variables": [], "pipeline": {"stages": stages}}),
            json!({"application": "a", "description": "d", "job": [{"type": "savePipeline"}]}),
            json!([{"name": "a", "stages": stages}, {"name": "b", "stages": []}]),
            json!({"application": "a", "trigger": {"type": "manual", "n": 12345678901234567890_u64}}),
        ];
        for document in shapes {
            assert_eq!(verdict(&document.to_string()).await, Some(Ok(())), "{document}");
        }
        let mark = format!("\u{feff}{}", json!({"stages": []}));
        assert_eq!(verdict(&mark).await, Some(Ok(())));
    }

    #[tokio::test]
    async fn a_template_is_looked_into() {
        let stages = json!([{"refId": "1", "type": "wait", "requisiteStageRefIds": ["1"]}]);
        let template = json!({"schema": "v2", "pipeline": {"stages": stages}});
        assert!(verdict(&template.to_string()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn another_document_is_no_case() {
        assert_eq!(verdict("[]").await, None);
        assert_eq!(verdict("{\"templates\": {}, \"pipeline\": \"id\"}").await, None);
        assert_eq!(verdict("{\"name\": \"demo\", \"email\": \"a@b\"}").await, None);
    }

    #[test]
    fn a_lost_or_moved_field_is_seen() {
        let document = json!({"a": 1, "b": 2});
        assert!(same(&document, &json!({"a": 1})).is_err());
        assert!(same(&document, &json!({"b": 2, "a": 1})).is_err());
        assert!(same(&document, &json!({"a": 1, "b": 2})).is_ok());
    }

    #[test]
    fn an_edge_that_is_neither_resolved_nor_named_is_seen() {
        let document = json!({"stages": [
            {"refId": "1", "type": "wait"},
            {"refId": "2", "type": "wait", "requisiteStageRefIds": ["1"]},
        ]});
        let pipeline = Pipeline::from_value(document).unwrap();
        let (found, _) = graph(&pipeline, &Limits::default());
        let mut found = found.unwrap();
        assert_eq!(check_each_edge(&pipeline, &found, &[]), Ok(()));
        found.stages[1].requires.clear();
        assert!(check_each_edge(&pipeline, &found, &[]).is_err());
    }
}
