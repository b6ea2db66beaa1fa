//! What one transaction stores, decided before anything is written: so a conflict or a refusal of
//! one caller cannot leave a trace in what the others store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use shared_model::ExecutionId;
use shared_ports::PortError;
use shared_ports::journal::Appended;

use super::prepare::{HeadRow, HistoryRow, Listed, PreparedAppend};
use crate::room::Room;
use crate::standing::{Admission, Standing};

/// What is stored of an execution that is about to be appended to.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) standing: Standing,
    pub(super) history_count: u64,
    pub(super) listed: Listed,
}

/// Rows to write. One row per key, the last one handed in.
#[derive(Debug, Default)]
pub(super) struct Group {
    found: BTreeMap<ExecutionId, Found>,
    room: Room,
    pub(super) executions: BTreeMap<ExecutionId, ExecutionRow>,
    pub(super) documents: BTreeMap<ExecutionId, Arc<str>>,
    pub(super) stages: BTreeMap<(ExecutionId, u32), Bytes>,
    pub(super) bodies: BTreeMap<(ExecutionId, u32), Arc<str>>,
    pub(super) history: BTreeMap<(ExecutionId, u64), HistoryRow>,
    pub(super) blobs: BTreeSet<(ExecutionId, String)>,
}

#[derive(Debug)]
pub(super) struct ExecutionRow {
    pub(super) standing: Standing,
    pub(super) history_count: u64,
    pub(super) head: Arc<HeadRow>,
}

impl Group {
    /// A group of appends to executions of which this much is stored.
    pub(super) fn new(found: BTreeMap<ExecutionId, Found>, room: Room) -> Self {
        Self { found, room, ..Self::default() }
    }

    /// Takes in one caller's appends: all of them or, if one is refused, none.
    pub(super) fn take(&mut self, batch: &[PreparedAppend]) -> Result<Vec<Appended>, PortError> {
        let mut standings = BTreeMap::new();
        let mut answers = Vec::with_capacity(batch.len());
        let mut conflicts = BTreeSet::new();
        let mut room = self.room.clone();
        for append in batch {
            let standing = standings
                .entry(&append.execution)
                .or_insert_with(|| self.standing(&append.execution));
            let is_with_a_conflict =
                append.with.as_ref().is_some_and(|with| conflicts.contains(with));
            let has_room = room.has_room(&append.execution, &*append.head, append.asked);
            let answer = admit(standing, append, is_with_a_conflict || !has_room)?;
            if matches!(answer, Appended::Conflict { .. }) {
                conflicts.insert(&append.execution);
            } else {
                room.note(&append.execution, &*append.head);
            }
            answers.push((answer, *standing));
        }
        self.room = room;
        for (append, (answer, standing)) in batch.iter().zip(&answers) {
            if matches!(answer, Appended::Stored(_)) {
                self.apply(append, *standing);
            }
        }
        Ok(answers.into_iter().map(|(answer, _)| answer).collect())
    }

    /// Whether nothing is stored of an execution yet.
    pub(super) fn is_new(&self, execution: &ExecutionId) -> bool {
        !self.found.contains_key(execution)
    }

    /// Whether an execution's row must be written as a whole: it is listed differently.
    pub(super) fn is_listed_anew(&self, execution: &ExecutionId, row: &ExecutionRow) -> bool {
        self.found.get(execution).is_none_or(|found| found.listed != row.head.listed)
    }

    fn standing(&self, execution: &ExecutionId) -> Standing {
        let taken = self.executions.get(execution).map(|row| row.standing);
        let found = || self.found.get(execution).map(|found| found.standing);
        taken.or_else(found).unwrap_or_default()
    }

    fn history_count(&self, execution: &ExecutionId) -> u64 {
        let taken = self.executions.get(execution).map(|row| row.history_count);
        let found = || self.found.get(execution).map(|found| found.history_count);
        taken.or_else(found).unwrap_or_default()
    }

    fn apply(&mut self, append: &PreparedAppend, standing: Standing) {
        let id = &append.execution;
        let mut history_count = self.history_count(id);
        for entry in &append.history {
            history_count += 1;
            self.history.insert((id.clone(), history_count), entry.clone());
        }
        for stage in &append.stages {
            let key = (id.clone(), stage.place);
            if let Some(body) = &stage.body {
                self.bodies.insert(key.clone(), Arc::clone(body));
            }
            self.stages.insert(key, stage.state.clone());
        }
        self.blobs.extend(append.blobs.iter().map(|blob| (id.clone(), blob.clone())));
        if let Some(document) = &append.document {
            self.documents.insert(id.clone(), Arc::clone(document));
        }
        let row = ExecutionRow { standing, history_count, head: Arc::clone(&append.head) };
        self.executions.insert(id.clone(), row);
    }
}

fn admit(
    standing: &mut Standing,
    append: &PreparedAppend,
    is_with_a_conflict: bool,
) -> Result<Appended, PortError> {
    let stages: Vec<u32> = append.stages.iter().map(|stage| stage.place).collect();
    standing.admit(Admission {
        execution: &append.execution,
        expected: append.expected,
        has_document: append.document.is_some(),
        stages: &stages,
        is_with_a_conflict,
    })
}
