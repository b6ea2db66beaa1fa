//! What has ended is removed: when somebody asks for it, or because it is old.
//!
//! Rows first, all of an execution's in one transaction, and a note with them; then its logs; the note
//! last. Whoever looks finds all of it or nothing, and who ends in between leaves the note, which the
//! next pass of [retention](super::retention) finds. It clears a note only a while later, so that what
//! a lost worker wrote meanwhile goes, too.

use jiff::Timestamp;
use serde_json::Value;
use shared_model::ExecutionId;
use shared_ports::journal::{Kind, Query, Stored, Version};
use shared_ports::{PortError, Ports};

use super::{ControlError, OVERTAKEN_MAX, OVERTAKEN_PAUSE, Scheduler};

impl Scheduler {
    /// Removes an execution that has ended, with its logs.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] if it has not ended, or an execution that started it has not.
    pub async fn remove(&self, id: &ExecutionId, kind: Kind) -> Result<(), ControlError> {
        for tried in 1..=OVERTAKEN_MAX {
            let version = may_be_removed(&self.ports, id, kind).await?;
            let removed = remove(&self.ports, &[(id.clone(), version)]).await?;
            if !removed.is_empty() {
                return Ok(());
            }
            // It was changed since we looked.
            self.ports.clock.sleep(OVERTAKEN_PAUSE * tried).await;
        }
        Err(ControlError::Overtaken)
    }
}

/// The version in which an execution may be removed.
async fn may_be_removed(
    ports: &Ports,
    id: &ExecutionId,
    kind: Kind,
) -> Result<Version, ControlError> {
    let (is_named, orca) = match kind {
        Kind::Pipeline => ("execution", "pipeline"),
        Kind::Task => ("task", "task"),
    };
    let found = ports.journal.load(id).await?.filter(|stored| stored.head.kind == kind);
    let Some(stored) = found else {
        return Err(ControlError::NotFound { what: format!("{is_named} `{id}`") });
    };
    if !stored.head.status.is_complete() {
        let why = format!("Cannot delete a running {orca}, please cancel it first.");
        return Err(ControlError::Conflict { why });
    }
    if let Some(parent) = waiting_parent(ports, &stored).await? {
        let why = format!(
            "execution `{parent}` started it and has not ended; wait for its end, or cancel it"
        );
        return Err(ControlError::Conflict { why });
    }
    Ok(stored.version)
}

/// The execution that started another one, if it has not ended: how the other one ended is read from
/// its rows.
async fn waiting_parent(ports: &Ports, stored: &Stored) -> Result<Option<ExecutionId>, PortError> {
    let parent = stored.document.pointer("/trigger/parentExecution/id").and_then(Value::as_str);
    let Some(parent) = parent.map(ExecutionId::new) else { return Ok(None) };
    let query = Query { ids: vec![parent], limit: 1, ..Query::default() };
    let found = ports.journal.search(&query).await?.pop();
    Ok(found.filter(|(_, head)| !head.status.is_complete()).map(|(id, _)| id))
}

/// Whether an execution ended before `until`, and nobody waits for it.
///
/// # Errors
/// [`PortError`] if it cannot be read.
pub(super) async fn is_over(
    ports: &Ports,
    id: &ExecutionId,
    until: Timestamp,
) -> Result<bool, PortError> {
    let Some(stored) = ports.journal.load(id).await? else { return Ok(false) };
    let has_ended = stored.head.end_time.is_none_or(|end| end < until);
    Ok(has_ended && waiting_parent(ports, &stored).await?.is_none())
}

/// Removes executions that still have these versions; answers which it removed.
///
/// # Errors
/// [`PortError`] if they may still be there.
pub(super) async fn remove(
    ports: &Ports,
    executions: &[(ExecutionId, Version)],
) -> Result<Vec<ExecutionId>, PortError> {
    let answers = ports.journal.remove(executions, ports.clock.now()).await?;
    let gone = executions.iter().zip(answers).filter(|(_, is_removed)| *is_removed);
    let gone: Vec<ExecutionId> = gone.map(|((id, _), _)| id.clone()).collect();
    for id in &gone {
        if let Err(error) = ports.blobs.remove(&[], Some(id.as_str())).await {
            tracing::warn!(execution = %id, %error, "logs of a removed execution are left for now");
        }
    }
    Ok(gone)
}

/// Removes what is left of executions that were removed before `until`, and forgets them.
///
/// # Errors
/// [`PortError`] if something may be left; it is tried again in the next pass.
pub(super) async fn clear(ports: &Ports, until: Timestamp) -> Result<(), PortError> {
    const PAGE: u32 = 100;
    loop {
        let noted = ports.journal.removed(until, PAGE).await?;
        for id in &noted {
            // Somebody may have chosen the id again: the logs are that one's now.
            let query = Query { ids: vec![id.clone()], limit: 1, ..Query::default() };
            if ports.journal.search(&query).await?.is_empty() {
                ports.blobs.remove(&[], Some(id.as_str())).await?;
            }
        }
        ports.journal.cleared(&noted).await?;
        if noted.len() < PAGE as usize {
            return Ok(());
        }
    }
}
