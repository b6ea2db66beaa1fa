//! Every pipeline of the corpus runs to its end; what it comes to is a reviewed list's to say.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::stage::play;

const EXPECTED: &str = include_str!("documents.tsv");

/// Pipeline documents of the corpus, by file name; `None` where there is no corpus.
fn documents() -> Option<Vec<(String, Value)>> {
    let folder = PathBuf::from(std::env::var_os("CAPSTAN_CORPUS")?).join("pipelines");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let json = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str::<Value>(&std::fs::read_to_string(&path).unwrap()).unwrap())
    };
    let all = json.map(read);
    Some(all.filter(|(_, document)| document["stages"].is_array()).collect())
}

/// A document as a script: a line for each stage, then what happens.
fn script(document: &Value, happens: &str) -> String {
    let happens: Vec<&str> =
        happens.split(';').map(str::trim).filter(|word| !word.is_empty()).collect();
    let mut lines: Vec<String> =
        document["stages"].as_array().unwrap().iter().map(|stage| line(stage, &happens)).collect();
    lines.extend(
        happens.iter().filter(|word| word.starts_with("answer ")).map(|word| (*word).into()),
    );
    let is_cancelled = happens.contains(&"cancel");
    lines.push(if is_cancelled { "run 1".into() } else { "run".to_owned() });
    for word in happens {
        if !word.starts_with("answer ") && !word.starts_with("skipped ") {
            lines.extend([word.to_owned(), "run".to_owned()]);
        }
    }
    lines.join("\n")
}

fn line(stage: &Value, happens: &[&str]) -> String {
    let reference = stage["refId"].as_str().unwrap();
    let kind = match stage["type"].as_str().unwrap() {
        _ if happens.contains(&format!("skipped {reference}").as_str()) => "skipped".to_owned(),
        "wait" => format!("wait {}", stage["waitTime"]),
        "manualJudgment" => "judgment".to_owned(),
        "pipeline" => "child".to_owned(),
        "checkPreconditions" | "findArtifactFromExecution" => "native".to_owned(),
        _ => String::new(),
    };
    let flag = |key: &str, value: bool, word: &'static str| {
        (stage[key] == Value::Bool(value)).then_some(word)
    };
    let flags: Vec<&str> = [
        flag("failPipeline", false, "failPipeline=false"),
        flag("continuePipeline", true, "continuePipeline"),
        flag("completeOtherBranchesThenFail", true, "completeOtherBranchesThenFail"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let before = stage["requisiteStageRefIds"].as_array().unwrap().iter();
    let before: Vec<&str> = before.filter_map(Value::as_str).collect();
    format!("stage {reference} {kind} {} <- {}", flags.join(" "), before.join(", "))
}

#[test]
fn the_pipelines_of_the_corpus_come_to_what_the_reference_demands() {
    let Some(documents) = documents() else {
        println!("CAPSTAN_CORPUS names no corpus: nothing to run");
        return;
    };
    let mut seen = BTreeSet::new();
    for row in EXPECTED.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = row.split('\t').collect();
        let [name, happens, expected, demanded_by] = fields[..] else { panic!("not a row: {row}") };
        assert!(demanded_by.starts_with('§'), "no section demands it: {row}");
        let (_, document) = documents.iter().find(|(file, _)| file == name).unwrap();
        let script = script(document, happens);
        assert_eq!(play(&script).statuses, expected, "{name}, {demanded_by}:\n{script}");
        seen.insert(name);
    }
    let missing = documents.iter().filter(|(name, _)| !seen.contains(name.as_str()));
    assert_eq!(missing.map(|(name, _)| name).collect::<Vec<_>>(), Vec::<&String>::new());
    println!("{} documents ran to their ends", seen.len());
}
