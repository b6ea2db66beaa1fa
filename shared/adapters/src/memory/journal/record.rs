use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};
use shared_ports::journal::{Append, Head, HistoryEntry, StageBody, StageRow, Stored};
use shared_ports::shelf;

use crate::standing::Standing;

/// Everything about one execution.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) standing: Standing,
    pub(super) head: Head,
    pub(super) history: Vec<HistoryEntry>,
    document: Value,
    stages: Vec<(Bytes, StageBody)>,
}

impl Record {
    /// What the first append makes.
    pub(super) fn new(append: Append, standing: Standing) -> Self {
        let head = append.head.clone();
        let (document, stages, history) = (Value::Null, Vec::new(), Vec::new());
        let mut record = Self { standing, head, history, document, stages };
        record.apply(append, standing);
        record
    }

    pub(super) fn apply(&mut self, append: Append, standing: Standing) {
        let Append { head, document, mut stages, history, .. } = append;
        self.standing = standing;
        self.head = head;
        if let Some(document) = document {
            self.document = document;
        }
        stages.sort_by_key(|stage| stage.index);
        for stage in stages {
            self.put(stage);
        }
        self.history.extend(history);
    }

    pub(super) fn stored(&self) -> Stored {
        Stored {
            version: self.standing.version,
            head: self.head.clone(),
            document: self.document.clone(),
            stages: self.stages.iter().map(|(state, _)| state.clone()).collect(),
        }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> u64 {
        let stages = self.stages.iter().map(|(state, _)| state.len()).sum::<usize>();
        (self.head.state.len() + stages + self.document.to_string().len()) as u64
    }

    /// The blobs that it refers to, by their SHA-256.
    pub(super) fn blobs(&self) -> BTreeSet<String> {
        let bodies = self.stages.iter().map(|(_, body)| json!(body).to_string());
        let texts = bodies.chain([self.document.to_string()]);
        let names = |text: String| {
            let names = shelf::named_in(&text).into_iter().map(str::to_owned);
            names.collect::<Vec<_>>()
        };
        texts.flat_map(names).collect()
    }

    /// `None` if one does not exist.
    pub(super) fn bodies(&self, indexes: &[u32]) -> Option<Vec<StageBody>> {
        if indexes.is_empty() {
            return Some(self.stages.iter().map(|(_, body)| body.clone()).collect());
        }
        let body = |index: &u32| Some(self.stages.get(*index as usize)?.1.clone());
        indexes.iter().map(body).collect()
    }

    fn put(&mut self, stage: StageRow) {
        let StageRow { index, state, body } = stage;
        let place = index as usize;
        if place >= self.stages.len() {
            self.stages.resize_with(place + 1, Default::default);
        }
        let slot = &mut self.stages[place];
        slot.0 = state;
        if let Some(body) = body {
            slot.1 = body;
        }
    }
}
