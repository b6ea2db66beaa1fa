//! A file → a document.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use shared_model::{Limits, Problem, parse};

use crate::problems;
use crate::terminal::Terminal;
use crate::yaml;

/// A text that a user wrote.
#[derive(Debug)]
pub(crate) struct Source {
    /// What it is called in messages.
    pub(crate) name: String,
    /// The text.
    pub(crate) text: String,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Yaml,
}

/// A document as it was read.
#[derive(Debug)]
pub(crate) struct Document {
    /// What it says.
    pub(crate) value: Value,
    /// Where it comes from.
    pub(crate) source: Source,
}

impl Source {
    /// The text, if it is JSON.
    pub(crate) fn json(&self) -> Option<&str> {
        (self.format == Format::Json).then_some(self.text.as_str())
    }

    /// Gives problems of a YAML text their lines; those of JSON have them already.
    pub(crate) fn place(&self, problems: &mut [Problem]) {
        if self.format == Format::Yaml && problems.iter().any(|problem| problem.line.is_none()) {
            let lines = yaml::Lines::of(&self.text);
            for problem in problems.iter_mut().filter(|problem| problem.line.is_none()) {
                problem.line = lines.line_of(&problem.pointer);
            }
        }
    }
}

/// Reads a document, JSON or YAML; `None` if what is in the file is none, which has been said then.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn read(file: &Path, limits: &Limits, terminal: &Terminal) -> Result<Option<Document>> {
    let is_stdin = file == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { file.display().to_string() };
    let bytes = bytes_of(file, is_stdin, limits).with_context(|| format!("cannot read `{name}`"))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            anyhow::anyhow!("it is not UTF-8 text (byte {at})")
        })
        .with_context(|| format!("cannot read `{name}`"))?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let format = format_of(file, &text);
    let source = Source { name, text, format };
    let value = match format {
        Format::Json => parse::json(&source.text, limits),
        Format::Yaml => yaml::value(&source.text, limits),
    };
    match value {
        Ok(value) => Ok(Some(Document { value, source })),
        Err(problem) => {
            problems::show(&source, &[problem], terminal);
            Ok(None)
        }
    }
}

fn format_of(file: &Path, text: &str) -> Format {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Format::Json,
        Some("yaml" | "yml") => Format::Yaml,
        Some(_) | None if text.trim_start().starts_with(['{', '[']) => Format::Json,
        Some(_) | None => Format::Yaml,
    }
}

/// Reads little more than the limit, so that a file without end does not fill the memory.
fn bytes_of(file: &Path, is_stdin: bool, limits: &Limits) -> std::io::Result<Vec<u8>> {
    let most = limits.document_bytes_max.saturating_mul(8) as u64;
    let mut bytes = Vec::new();
    if is_stdin {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
