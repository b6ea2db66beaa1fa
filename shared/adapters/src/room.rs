//! Room among the executions of a saved pipeline, the same in memory and in SQL.

use std::collections::{BTreeMap, BTreeSet};

use shared_model::{ExecutionId, Status};
use shared_ports::journal::{Head, TAKES_ROOM};

/// The pipelines whose room is asked for in a transaction, and the executions that take it up.
#[derive(Debug, Default, Clone)]
pub(crate) struct Room {
    running: BTreeMap<String, BTreeSet<ExecutionId>>,
}

/// What of an execution's row the rule looks at.
pub(crate) trait Occupant {
    /// The saved pipeline.
    fn line(&self) -> Option<&str>;
    /// Whether it takes up room.
    fn takes_room(&self) -> bool;
}

impl Occupant for Head {
    fn line(&self) -> Option<&str> {
        self.pipeline_config_id.as_deref()
    }

    fn takes_room(&self) -> bool {
        takes_room(self.status)
    }
}

/// Whether an execution of this status takes up room.
pub(crate) fn takes_room(status: Status) -> bool {
    TAKES_ROOM.contains(&status)
}

/// Whether an execution takes up room of this pipeline.
pub(crate) fn is_of(occupant: &impl Occupant, line: &str) -> bool {
    occupant.takes_room() && occupant.line() == Some(line)
}

impl Room {
    /// The pipeline whose running executions must be known to answer an append, if they are not yet.
    pub(crate) fn asked_for(
        &self,
        running_max: Option<u32>,
        occupant: &impl Occupant,
    ) -> Option<String> {
        running_max?;
        let line = occupant.line()?;
        (!self.running.contains_key(line)).then(|| line.to_owned())
    }

    /// Says which executions of a pipeline take up room in the store.
    pub(crate) fn found(&mut self, line: String, running: BTreeSet<ExecutionId>) {
        self.running.insert(line, running);
    }

    /// Whether an execution may take up room now.
    pub(crate) fn has_room(
        &self,
        execution: &ExecutionId,
        occupant: &impl Occupant,
        running_max: Option<u32>,
    ) -> bool {
        let Some(max) = running_max.filter(|_| occupant.takes_room()) else { return true };
        let running = occupant.line().and_then(|line| self.running.get(line));
        let others = running.into_iter().flatten().filter(|other| *other != execution).count();
        u32::try_from(others).unwrap_or(u32::MAX) < max
    }

    /// Takes note of what is stored in the same transaction.
    pub(crate) fn note(&mut self, execution: &ExecutionId, occupant: &impl Occupant) {
        let Some(running) = occupant.line().and_then(|line| self.running.get_mut(line)) else {
            return;
        };
        if occupant.takes_room() {
            running.insert(execution.clone());
        } else {
            running.remove(execution);
        }
    }
}
