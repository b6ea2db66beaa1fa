//! The journal in memory, for the simulated world: the plainest reading of the port's promises.

mod record;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use shared_model::ExecutionId;
use shared_ports::PortError;
use shared_ports::journal::{
    Append, Appended, Head, HistoryEntry, Journal, Kind, Line, Outlived, Query, Size, StageBody,
    Stored, Version,
};

use self::record::Record;
use crate::memory::lock;
use crate::room::{self, Asked, Room};
use crate::standing::{Admission, Standing};

/// The journal in memory.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    executions: Mutex<BTreeMap<ExecutionId, Record>>,
    removed: Mutex<BTreeMap<ExecutionId, Timestamp>>,
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Appended>, PortError> {
        let mut executions = lock(&self.executions);
        // Decides about all before it changes any: a refusal must leave nothing behind.
        let decided = decide(&executions, &batch)?;
        for (append, (answer, standing)) in batch.into_iter().zip(&decided) {
            if matches!(answer, Appended::Conflict { .. }) {
                continue;
            }
            match executions.entry(append.execution.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(Record::new(append, *standing));
                }
                Entry::Occupied(entry) => entry.into_mut().apply(append, *standing),
            }
        }
        Ok(decided.into_iter().map(|(answer, _)| answer).collect())
    }

    async fn load(&self, execution: &ExecutionId) -> Result<Option<Stored>, PortError> {
        Ok(lock(&self.executions).get(execution).map(Record::stored))
    }

    async fn bodies(
        &self,
        execution: &ExecutionId,
        indexes: &[u32],
    ) -> Result<Vec<StageBody>, PortError> {
        let executions = lock(&self.executions);
        let bodies = executions.get(execution).and_then(|record| record.bodies(indexes));
        bodies.ok_or_else(|| PortError::Refused {
            doing: format!("reading stages {indexes:?} of execution {execution}"),
            why: "one of them does not exist".to_owned(),
        })
    }

    async fn unfinished(
        &self,
        after: Option<&ExecutionId>,
        limit: u32,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        let executions = lock(&self.executions);
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let unfinished = executions
            .range::<ExecutionId, _>((begin, Bound::Unbounded))
            .filter(|(_, record)| !record.head.status.is_complete());
        let listed = unfinished.map(|(id, record)| (id.clone(), record.standing.version));
        Ok(listed.take(limit as usize).collect())
    }

    async fn search(&self, query: &Query) -> Result<Vec<(ExecutionId, Head)>, PortError> {
        if query.of_each.is_some() && (query.kind.is_none() || query.application.is_none()) {
            return Err(PortError::Refused {
                doing: "searching executions of each pipeline".to_owned(),
                why: "it needs a kind and an application; name them".to_owned(),
            });
        }
        let executions = lock(&self.executions);
        let mut found: Vec<_> =
            executions.iter().filter(|(id, record)| matches(query, id, &record.head)).collect();
        found.sort_by_key(|(id, record)| (record.head.build_time, *id));
        if !query.oldest_first {
            found.reverse();
        }
        let mut of_each = BTreeMap::<&str, u32>::new();
        found.retain(|(_, record)| {
            let count = of_each.entry(record.head.pipeline()).or_default();
            *count += 1;
            query.of_each.is_none_or(|most| *count <= most)
        });
        let found = found.into_iter().take(query.limit as usize);
        Ok(found.map(|(id, record)| (id.clone(), record.head.clone())).collect())
    }

    async fn history(
        &self,
        execution: &ExecutionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, HistoryEntry)>, PortError> {
        let executions = lock(&self.executions);
        let entries = executions.get(execution).map_or(&[][..], |record| &record.history);
        let numbered = (1..).zip(entries).filter(|(number, _)| *number > after);
        Ok(numbered.take(limit as usize).map(|(number, entry)| (number, entry.clone())).collect())
    }

    async fn remove(
        &self,
        batch: &[(ExecutionId, Version)],
        at: Timestamp,
    ) -> Result<Vec<bool>, PortError> {
        let mut executions = lock(&self.executions);
        let mut remove = |(id, version): &(ExecutionId, Version)| {
            let found = executions.get(id).is_some_and(|record| {
                record.standing.version == *version && record.head.status.is_complete()
            });
            if found {
                executions.remove(id);
                lock(&self.removed).insert(id.clone(), at);
            }
            found
        };
        Ok(batch.iter().map(&mut remove).collect())
    }

    async fn removed(&self, until: Timestamp, limit: u32) -> Result<Vec<ExecutionId>, PortError> {
        let removed = lock(&self.removed);
        let mut found: Vec<_> = removed.iter().filter(|(_, at)| **at < until).collect();
        found.sort_by_key(|(id, at)| (**at, *id));
        Ok(found.into_iter().take(limit as usize).map(|(id, _)| id.clone()).collect())
    }

    async fn cleared(&self, executions: &[ExecutionId]) -> Result<(), PortError> {
        lock(&self.removed).retain(|id, _| !executions.contains(id));
        Ok(())
    }

    async fn next_line(&self, kind: Kind, after: Option<&Line>) -> Result<Option<Line>, PortError> {
        let executions = lock(&self.executions);
        let lines = executions.values().map(|record| Line::of(&record.head));
        let beyond = lines.filter(|line| line.kind == kind && after.is_none_or(|last| line > last));
        Ok(beyond.min())
    }

    async fn outlived(
        &self,
        line: &Line,
        outlived: &Outlived,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        let executions = lock(&self.executions);
        let has_ended = |record: &Record| record.head.status.is_complete();
        let mut found: Vec<_> = executions
            .iter()
            .filter(|(_, record)| has_ended(record) && Line::of(&record.head) == *line)
            .collect();
        found.sort_by_key(|(id, record)| (record.head.build_time, *id));
        found.truncate(found.len().saturating_sub(outlived.kept as usize));
        found.retain(|(_, record)| record.head.build_time < outlived.until);
        found.truncate(outlived.limit as usize);
        let listed = |(id, record): (&ExecutionId, &Record)| (id.clone(), record.standing.version);
        Ok(found.into_iter().map(listed).collect())
    }

    async fn blobs_in_use(&self, of: &[String]) -> Result<BTreeSet<String>, PortError> {
        let executions = lock(&self.executions);
        let named: BTreeSet<String> = executions.values().flat_map(Record::blobs).collect();
        Ok(of.iter().filter(|name| named.contains(*name)).cloned().collect())
    }

    async fn size(&self) -> Result<Size, PortError> {
        let executions = lock(&self.executions);
        let bytes = executions.values().map(Record::bytes).sum();
        Ok(Size { executions: executions.len() as u64, bytes })
    }

    async fn ready(&self) -> Result<(), PortError> {
        Ok(())
    }
}

/// The answer to each append, and where its execution stands after it.
fn decide(
    executions: &BTreeMap<ExecutionId, Record>,
    batch: &[Append],
) -> Result<Vec<(Appended, Standing)>, PortError> {
    let mut standings = BTreeMap::<&ExecutionId, Standing>::new();
    let mut room = Room::default();
    for append in batch {
        for house in room.asked_for(asked(append), &append.head) {
            let all = executions.iter();
            let of_it = all.filter(|(_, record)| room::is_of(&record.head, &house));
            let running = of_it.map(|(id, _)| id.clone()).collect();
            room.found(house, running);
        }
    }
    let mut decided = Vec::with_capacity(batch.len());
    let mut conflicts = BTreeSet::new();
    for append in batch {
        let stored = || executions.get(&append.execution).map(|record| record.standing);
        let standing =
            standings.entry(&append.execution).or_insert_with(|| stored().unwrap_or_default());
        let mut indexes: Vec<u32> = append.stages.iter().map(|stage| stage.index).collect();
        indexes.sort_unstable();
        let answer = standing.admit(Admission {
            execution: &append.execution,
            expected: append.expected,
            has_document: append.document.is_some(),
            stages: &indexes,
            is_with_a_conflict: append.with.as_ref().is_some_and(|with| conflicts.contains(with))
                || !room.has_room(&append.execution, &append.head, asked(append)),
        })?;
        if matches!(answer, Appended::Conflict { .. }) {
            conflicts.insert(&append.execution);
        } else {
            room.note(&append.execution, &append.head);
        }
        decided.push((answer, *standing));
    }
    Ok(decided)
}

fn asked(append: &Append) -> Asked {
    Asked { of_pipeline: append.running_max, beyond: append.running_max_beyond }
}

fn matches(query: &Query, id: &ExecutionId, head: &Head) -> bool {
    let Query { ids, kind, application, pipeline_config_ids, name, statuses, .. } = query;
    let of_application = |wanted: &String| head.application.to_lowercase() == wanted.to_lowercase();
    let of_pipeline = |wanted: &String| head.pipeline_config_id.as_ref() == Some(wanted);
    (ids.is_empty() || ids.contains(id))
        && kind.is_none_or(|wanted| head.kind == wanted)
        && application.as_ref().is_none_or(of_application)
        && (pipeline_config_ids.is_empty() || pipeline_config_ids.iter().any(of_pipeline))
        && name.as_ref().is_none_or(|wanted| head.name == *wanted)
        && (statuses.is_empty() || statuses.contains(&head.status))
        && is_in_time(query, id, head)
}

fn is_in_time(query: &Query, id: &ExecutionId, head: &Head) -> bool {
    let Query { from, until, after, oldest_first, .. } = query;
    let here = (head.build_time, id);
    let is_beyond = |(time, last): &(Timestamp, ExecutionId)| match oldest_first {
        true => here > (*time, last),
        false => here < (*time, last),
    };
    from.is_none_or(|from| head.build_time >= from)
        && until.is_none_or(|until| head.build_time < until)
        && after.as_ref().is_none_or(is_beyond)
}
