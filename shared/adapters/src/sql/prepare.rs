//! Turns what a caller hands in into rows, in the caller's task: the writer is one, callers are
//! many.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use shared_model::ExecutionId;
use shared_ports::documents::Change;
use shared_ports::journal::{Append, Head, HistoryEntry, Kind, StageRow, Version};
use shared_ports::{PortError, shelf};

use crate::room::{self, Asked, Occupant};

/// How deep stored JSON may nest: what is deeper could not be read again.
const JSON_DEPTH_MAX: usize = 120;

/// An append as rows.
#[derive(Debug)]
pub(super) struct PreparedAppend {
    pub(super) execution: ExecutionId,
    pub(super) expected: Version,
    pub(super) head: Arc<HeadRow>,
    pub(super) document: Option<Arc<str>>,
    /// By place, ascending.
    pub(super) stages: Vec<PreparedStage>,
    pub(super) history: Vec<HistoryRow>,
    /// The blobs that the document and the bodies refer to, by their SHA-256.
    pub(super) blobs: BTreeSet<String>,
    pub(super) with: Option<ExecutionId>,
    pub(super) asked: Asked,
    /// About how many bytes it stores.
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct PreparedStage {
    pub(super) place: u32,
    pub(super) state: Bytes,
    pub(super) body: Option<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct HeadRow {
    /// What lists go by.
    pub(super) listed: Listed,
    pub(super) start_time: Option<i64>,
    pub(super) end_time: Option<i64>,
    pub(super) state: Bytes,
}

/// The columns that indexes hold: seldom changed, and only then written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) kind: i64,
    pub(super) application: String,
    pub(super) name: String,
    pub(super) pipeline_config_id: Option<String>,
    pub(super) status: String,
    pub(super) build_time: i64,
}

#[derive(Debug, Clone)]
pub(super) struct HistoryRow {
    pub(super) at: i64,
    pub(super) stage: Option<Arc<str>>,
    pub(super) kind: Arc<str>,
    pub(super) message: Arc<str>,
}

/// A change of a document as a row.
#[derive(Debug)]
pub(super) struct PreparedChange {
    pub(super) kind: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) expected: u64,
    pub(super) body: Option<Arc<str>>,
    pub(super) stored_at: i64,
    pub(super) stored_by: Arc<str>,
}

impl PreparedAppend {
    pub(super) fn new(append: Append) -> Result<Self, PortError> {
        let asked = Asked { of_pipeline: append.running_max, beyond: append.running_max_beyond };
        let Append { execution, expected, head, document, stages, history, with, .. } = append;
        let doing = || format!("storing execution {execution}");
        let document = document.map(|document| json(&document, doing)).transpose()?;
        let mut stages: Vec<PreparedStage> = stages
            .into_iter()
            .map(|stage| prepare_stage(stage, doing))
            .collect::<Result<_, _>>()?;
        stages.sort_by_key(|stage| stage.place);
        let history: Vec<HistoryRow> = history
            .into_iter()
            .map(|entry| prepare_entry(entry, doing))
            .collect::<Result<_, _>>()?;
        let head = Arc::new(prepare_head(head, doing)?);
        let texts = stages.iter().filter_map(|stage| stage.body.as_ref()).chain(&document);
        let blobs = texts.flat_map(|text| shelf::named_in(text)).map(str::to_owned).collect();
        let bytes = head.state.len()
            + document.as_ref().map_or(0, |document| document.len())
            + stages.iter().map(PreparedStage::bytes).sum::<usize>()
            + history.iter().map(|entry| entry.message.len()).sum::<usize>();
        Ok(Self { execution, expected, head, document, stages, history, blobs, with, asked, bytes })
    }
}

impl Occupant for HeadRow {
    fn is_pipeline(&self) -> bool {
        self.listed.kind == Kind::Pipeline.number()
    }

    fn application(&self) -> &str {
        &self.listed.application
    }

    fn line(&self) -> Option<&str> {
        self.listed.pipeline_config_id.as_deref()
    }

    fn takes_room(&self) -> bool {
        self.listed.status.parse().is_ok_and(room::takes_room)
    }
}

impl PreparedStage {
    fn bytes(&self) -> usize {
        self.state.len() + self.body.as_ref().map_or(0, |body| body.len())
    }
}

impl PreparedChange {
    pub(super) fn new(change: Change) -> Result<Self, PortError> {
        let Change { kind, id, expected, body, by, at } = change;
        let doing = || format!("storing {kind} `{id}`");
        // A document that says `null` and one that was deleted are the same to a reader.
        let body = body.filter(|body| !body.is_null());
        let body = body.map(|body| json(&body, doing)).transpose()?;
        let stored_at = nanoseconds(at, doing)?;
        Ok(Self {
            kind: kind.into(),
            id: id.into(),
            expected,
            body,
            stored_at,
            stored_by: by.into(),
        })
    }
}

/// An instant as it is stored: nanoseconds since 1970, of the years 1678 to 2261.
pub(super) fn nanoseconds(at: Timestamp, doing: impl Fn() -> String) -> Result<i64, PortError> {
    i64::try_from(at.as_nanosecond()).map_err(|_| PortError::Refused {
        doing: doing(),
        why: format!("{at} is not between the years 1678 and 2261"),
    })
}

fn prepare_head(head: Head, doing: impl Fn() -> String) -> Result<HeadRow, PortError> {
    let Head {
        kind,
        application,
        name,
        pipeline_config_id,
        status,
        build_time,
        start_time,
        end_time,
        state,
    } = head;
    let instant = |at| nanoseconds(at, &doing);
    let listed = Listed {
        kind: kind.number(),
        application,
        name,
        pipeline_config_id,
        status: status.name().to_owned(),
        build_time: instant(build_time)?,
    };
    let (start_time, end_time) =
        (start_time.map(instant).transpose()?, end_time.map(instant).transpose()?);
    Ok(HeadRow { listed, start_time, end_time, state })
}

fn prepare_stage(stage: StageRow, doing: impl Fn() -> String) -> Result<PreparedStage, PortError> {
    let StageRow { index, state, body } = stage;
    let body = body.map(|body| json(&body, doing)).transpose()?;
    Ok(PreparedStage { place: index, state, body })
}

fn prepare_entry(entry: HistoryEntry, doing: impl Fn() -> String) -> Result<HistoryRow, PortError> {
    let HistoryEntry { at, stage, kind, text } = entry;
    let at = nanoseconds(at, doing)?;
    Ok(HistoryRow { at, stage: stage.map(Into::into), kind: kind.into(), message: text.into() })
}

fn json(value: &impl Serialize, doing: impl Fn() -> String) -> Result<Arc<str>, PortError> {
    let refused = |why| PortError::Refused { doing: doing(), why };
    let text = serde_json::to_string(value).map_err(|error| refused(error.to_string()))?;
    if depth(&text) > JSON_DEPTH_MAX {
        let why = format!("its JSON nests deeper than {JSON_DEPTH_MAX} levels; make it flatter");
        return Err(refused(why));
    }
    Ok(text.into())
}

/// How deep a JSON text nests.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_texts() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth(r#"{"a":[1,{"b":"[[[[\"[["}],"c":{}}"#), 3);
        assert_eq!(depth(&"[".repeat(500)), 500);
    }
}
