//! A file → a document, and its problems for people.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use scheduler::Registry;
use serde_json::Value;
use shared_model::{Limits, Object, Problem, Severity, parse};

use crate::args::{Output, ValidateArgs};
use crate::say::say;
use crate::{EXIT_USAGE, stages};

/// What is said when stdout takes no more.
pub(crate) const NOT_WRITTEN: &str = "the result cannot be written to stdout";

/// A document as it was read.
pub(crate) struct Document {
    /// What it says.
    pub(crate) value: Value,
    /// Its text, if it is JSON, so that problems can name lines.
    pub(crate) source: Option<String>,
    /// What it is called in messages.
    pub(crate) name: String,
}

/// Reads a document, JSON or YAML.
///
/// # Errors
/// If the file cannot be read; `Ok(Err(problem))` if what is in it is no document.
pub(crate) fn read(file: &Path, limits: &Limits) -> Result<Result<Document, (String, Problem)>> {
    let name = if file == Path::new("-") { "stdin".into() } else { file.display().to_string() };
    let text = text_of(file, limits).map_err(|error| {
        anyhow::anyhow!("`{name}` cannot be read: {error:#}; {}", what_to_do(file))
    })?;
    let is_yaml = file.extension().is_some_and(|ext| ext == "yaml" || ext == "yml")
        || !text.trim_start().starts_with(['{', '[']);
    let value = match parse::json(&text, limits) {
        Ok(value) => Ok((value, Some(text))),
        Err(problem) if problem.code != "document-unreadable" || !is_yaml => Err(problem),
        Err(_) => yaml(&text).map(|value| (value, None)),
    };
    Ok(match value {
        Ok((value, source)) => Ok(Document { value, source, name }),
        Err(problem) => Err((name, problem)),
    })
}

/// Reads a document that has to be an object; `None` if it is none, which was said.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn read_object(file: &Path, limits: &Limits) -> Result<Option<Document>> {
    let (name, problem) = match read(file, limits)? {
        Ok(document) if document.value.is_object() => return Ok(Some(document)),
        Ok(Document { name, .. }) => {
            let why = "the document is a list or a single value, not an object";
            (name, Problem::error("document-not-an-object", "", why, "see the examples"))
        }
        Err(unreadable) => unreadable,
    };
    show(&name, &[problem]);
    Ok(None)
}

fn what_to_do(file: &Path) -> &'static str {
    if file.is_dir() {
        "it is a folder: name the pipeline document in it"
    } else {
        "name a pipeline document, JSON or YAML in UTF-8, that this user may read"
    }
}

/// Reads one byte more than the limit, so that a file without end does not fill the memory.
fn text_of(file: &Path, limits: &Limits) -> Result<String> {
    let most = limits.document_bytes_max as u64 + 64 * 1024 * 1024;
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    String::from_utf8(bytes).context("it is not UTF-8 text")
}

fn yaml(text: &str) -> Result<Value, Problem> {
    serde_saphyr::from_str(text).map_err(|error| {
        // The first line says it; the others draw the place.
        let text = error.to_string();
        let why = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let why = format!("not readable as YAML: {why}");
        let line = error.location().and_then(|place| usize::try_from(place.line()).ok());
        Problem::error("document-unreadable", "", why, "mend it at that place").at_line(line)
    })
}

/// Parameters that were given and that the pipeline does not declare: mistyped, more often than not.
pub(crate) fn undeclared(document: &Value, given: &Object) -> Vec<Problem> {
    let declared = document["parameterConfig"].as_array().into_iter().flatten();
    let declared: Vec<&str> = declared.filter_map(|one| one["name"].as_str()).collect();
    let strange = given.keys().filter(|name| !declared.contains(&name.as_str()));
    let problem = |name: &String| {
        let hint = match declared.as_slice() {
            [] => "it declares none; expressions see it nevertheless".to_owned(),
            names => format!("it declares {}; check the spelling", names.join(", ")),
        };
        let what = format!("the pipeline does not declare the parameter `{name}`");
        Problem::warning("parameter-undeclared", "/parameterConfig", what, hint)
    };
    strange.map(problem).collect()
}

/// Shows problems, worst first; whether there is an error among them.
pub(crate) fn show(name: &str, problems: &[Problem]) -> bool {
    for problem in problems {
        let kind = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
        let place = if problem.pointer.is_empty() {
            String::new()
        } else {
            format!(" at {}", problem.pointer)
        };
        say(&format!("{kind}[{}]: {}", problem.code, problem.message));
        say(&format!("  --> {name}{line}{place}"));
        if !problem.hint.is_empty() {
            say(&format!("  help: {}", problem.hint));
        }
    }
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// `capstan validate`.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn validate(arguments: &ValidateArgs) -> Result<u8> {
    let limits = Limits::default();
    let (name, problems) = match read(&arguments.file, &limits)? {
        Err((name, problem)) => (name, vec![problem]),
        Ok(document) => {
            let registry = Registry::new(stages::descriptors(true)?);
            let source = document.source.as_deref();
            let problems = scheduler::start::check(&document.value, source, &registry, &limits);
            (document.name, problems)
        }
    };
    if arguments.output == Output::Json {
        print_json(&serde_json::to_value(&problems)?).context(NOT_WRITTEN)?;
    }
    let failed = show(&name, &problems);
    if problems.is_empty() {
        say(&format!("{name}: nothing is wrong with it"));
    }
    Ok(if failed { EXIT_USAGE } else { 0 })
}

/// Writes a result to stdout.
///
/// # Errors
/// If stdout is closed.
pub(crate) fn print_json(value: &Value) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    out.flush()
}
