//! Whether what is stored fits together.

use std::collections::BTreeMap;

use serde_json::Value;
use shared_ports::BlobRef;
use shared_ports::journal::StageBody;

use super::entry::{Batch, Entry, Summary};
use crate::blobs::name_of;
use crate::sql::copy::{Columns, bytes_of};

/// Says why an execution's own row and those of its stages are none of this version's.
pub type Decode<'a> = &'a (dyn Fn(&str, &[u8], &[Vec<u8>]) -> Result<(), String> + Send + Sync);

/// Looks at one entry; says what is wrong with it.
pub(super) fn entry(entry: &Entry, decode: Decode<'_>) -> Result<(), String> {
    match entry {
        Entry::Executions(batch) => executions(batch, decode),
        Entry::Documents(batch) => batch.values().flatten().try_for_each(document),
        Entry::Blob(name, bytes) if name_of(bytes) == *name => Ok(()),
        Entry::Blob(BlobRef { sha256, .. }, _) => {
            Err(format!("blob {sha256} does not have that content"))
        }
        Entry::Header(_) | Entry::Log(..) | Entry::End(_) => Ok(()),
    }
}

/// What a backup says at its end must be what was in it.
pub(super) fn summary(found: Summary, expected: Summary) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("it says that it holds {expected:?}, and there are {found:?}"))
}

fn executions(batch: &Batch, decode: Decode<'_>) -> Result<(), String> {
    let owned = |table: &str, owner: &str| {
        let mut by_owner: BTreeMap<String, Vec<&Columns>> = BTreeMap::new();
        for row in batch.get(table).into_iter().flatten() {
            by_owner.entry(text(row, owner)).or_default().push(row);
        }
        by_owner
    };
    let mut stages = owned("stage", "execution");
    let mut documents = owned("execution_document", "execution");
    for (id, rows) in owned("stage_body", "execution") {
        for row in rows {
            let body: Result<StageBody, _> = serde_json::from_str(&text(row, "body"));
            body.map_err(|error| format!("a stage's body of execution `{id}`: {error}"))?;
        }
    }
    for row in batch.get("execution").into_iter().flatten() {
        let id = text(row, "id");
        let wrong = |why: String| format!("execution `{id}`: {why}");
        let states = stages.remove(&id).unwrap_or_default();
        let states: Option<Vec<Vec<u8>>> =
            states.into_iter().map(|row| bytes_of(row, "state")).collect();
        let states = states.ok_or_else(|| wrong("a stage has no state".to_owned()))?;
        let count = row.get("stage_count").and_then(Value::as_u64);
        if count != Some(states.len() as u64) {
            return Err(wrong(format!("it has {} stages and not {count:?}", states.len())));
        }
        let document = documents.remove(&id).unwrap_or_default();
        let [document] = &document[..] else {
            return Err(wrong("it has no document".to_owned()));
        };
        let parsed: Result<Value, _> = serde_json::from_str(&text(document, "document"));
        parsed.map_err(|error| wrong(format!("its document: {error}")))?;
        let state = bytes_of(row, "state").ok_or_else(|| wrong("it has no state".to_owned()))?;
        decode(&id, &state, &states).map_err(wrong)?;
    }
    match stages.into_keys().chain(documents.into_keys()).next() {
        Some(id) => Err(format!("rows of execution `{id}`, which is not there")),
        None => Ok(()),
    }
}

fn document(row: &Columns) -> Result<(), String> {
    let Some(body) = row.get("body").and_then(Value::as_str) else { return Ok(()) };
    let parsed: Result<Value, _> = serde_json::from_str(body);
    parsed.map(drop).map_err(|error| {
        format!("document `{}` of kind `{}`: {error}", text(row, "id"), text(row, "kind"))
    })
}

fn text(row: &Columns, column: &str) -> String {
    row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned()
}
