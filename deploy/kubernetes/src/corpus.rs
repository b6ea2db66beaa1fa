//! Runs a folder of stability cases: `verdicts.tsv` and the manifests that it names.

pub mod artifacts;

use std::path::Path;

use serde_json::Value;

use crate::status;

/// What one case came to.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// The case's name.
    pub id: String,
    /// What it should come to.
    pub expected: String,
    /// What it came to.
    pub got: String,
    /// Whether they agree.
    pub passed: bool,
}

/// Runs every row.
///
/// # Errors
/// If `verdicts.tsv` cannot be read.
pub fn run(folder: &Path) -> std::io::Result<Vec<CaseResult>> {
    let table = std::fs::read_to_string(folder.join("verdicts.tsv"))?;
    let rows = table.lines().skip(1).filter(|row| !row.trim().is_empty());
    Ok(rows.map(|row| one(folder, row)).collect())
}

fn one(folder: &Path, row: &str) -> CaseResult {
    let cells: Vec<&str> = row.split('\t').collect();
    let cell = |index: usize| cells.get(index).copied().unwrap_or_default().trim();
    let verdict = |words: [&str; 8]| words.join(" | ");
    let expected: [&str; 8] = std::array::from_fn(|index| cell(index + 4));
    let (got, passed) = match object(folder, cell(2), cell(3)) {
        Err(why) => (why, false),
        Ok(object) => {
            let found = status(&object);
            let parts = [&found.stable, &found.available, &found.paused, &found.failed];
            let words: Vec<&str> = parts
                .iter()
                .flat_map(|part| [if part.state { "yes" } else { "no" }, part.message.as_str()])
                .collect();
            let got: [&str; 8] = std::array::from_fn(|index| words[index]);
            (verdict(got), agrees(&expected, &got))
        }
    };
    CaseResult { id: cell(0).to_owned(), expected: verdict(expected), got, passed }
}

/// States must be equal, messages where the case names one.
fn agrees(expected: &[&str; 8], got: &[&str; 8]) -> bool {
    expected.iter().zip(got).enumerate().all(|(index, (expected, got))| {
        let is_message = index % 2 == 1;
        expected == got || (is_message && expected.is_empty())
    })
}

/// The base with the overlay's top-level keys in place of its own.
fn object(folder: &Path, base: &str, overlay: &str) -> Result<Value, String> {
    let mut object = read(folder, base)?;
    if overlay.is_empty() {
        return Ok(object);
    }
    let over = read(folder, overlay)?;
    for (key, value) in over.as_object().into_iter().flatten() {
        object[key.as_str()] = value.clone();
    }
    Ok(object)
}

fn read(folder: &Path, file: &str) -> Result<Value, String> {
    let text =
        std::fs::read_to_string(folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
    serde_saphyr::from_str(&text).map_err(|error| format!("{file}: {error}"))
}
