//! How long what has ended is kept: by age and by number, pipeline by pipeline.
//!
//! Every scheduler goes through the store now and then. Several at once do no harm: an execution is
//! removed in the version in which it was found, or not at all, and only once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared_model::{ExecutionId, Status};
use shared_ports::blobs::{Kept, Uses};
use shared_ports::journal::{Kind, Line, Outlived, Query, Size, Version};
use shared_ports::{PortError, Ports};
use shared_runtime::Supervisor;
use shared_runtime::metrics::metrics;
use utoipa::ToSchema;

use super::removal;
use crate::library;

/// Executions that are removed in one transaction.
const PAGE: u32 = 50;
/// How long the first pass lets everything else begin.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// How long it rests between two transactions: whoever works comes first.
const REST: Duration = Duration::from_millis(20);
/// How long after an execution its logs are looked for once more: a worker that was lost may still
/// have written to them.
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// How late it may be noted that a blob was put again, and an hour more.
const PUT_NOTED_EVERY: SignedDuration = SignedDuration::from_hours(25);

/// How long what has ended is kept.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Whether anything is removed by itself.
    pub enabled: bool,
    /// What was submitted longer ago is removed.
    #[serde(serialize_with = "friendly")]
    pub age_max: SignedDuration,
    /// What was submitted, or ended, less long ago stays, however many there are.
    #[serde(serialize_with = "friendly")]
    pub age_min: SignedDuration,
    /// As many stay of each pipeline, and of the tasks of each application, however old: the newest.
    pub executions_per_pipeline_min: u32,
    /// At most as many stay of each, of those that are older than `age_min`.
    pub executions_per_pipeline_max: u32,
    /// Inputs and answers of stages that were too long for a message are removed when they were not
    /// used for so long.
    #[serde(serialize_with = "friendly")]
    pub message_blobs_age_max: SignedDuration,
    /// How often is looked.
    #[serde(serialize_with = "friendly")]
    pub interval: SignedDuration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            enabled: true,
            age_max: SignedDuration::from_hours(30 * 24),
            age_min: SignedDuration::from_hours(24),
            executions_per_pipeline_min: 5,
            executions_per_pipeline_max: 1_000,
            message_blobs_age_max: SignedDuration::from_hours(14 * 24),
            interval: SignedDuration::from_mins(10),
        }
    }
}

fn friendly<S: serde::Serializer>(duration: &SignedDuration, to: S) -> Result<S::Ok, S::Error> {
    jiff::fmt::serde::duration::friendly::compact::required(duration, to)
}

/// How much is stored, as a pass found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreSize {
    /// When it was so.
    pub at: Timestamp,
    /// Executions.
    pub executions: u64,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of them.
    pub blob_bytes: u64,
    /// Bytes of logs.
    pub log_bytes: u64,
    /// Executions that this scheduler removed by itself since it started.
    pub removed: u64,
}

/// Removes what is too old, and measures what is there.
pub(crate) struct Keeper {
    retention: Retention,
    ports: Ports,
    found: Found,
    removed: u64,
}

/// What the last pass found.
pub(crate) type Found = Arc<Mutex<Option<StoreSize>>>;

impl Keeper {
    pub(crate) fn start(
        retention: Retention,
        ports: &Ports,
        found: &Found,
        supervisor: &Supervisor,
    ) {
        let (ports, found) = (ports.clone(), Arc::clone(found));
        let keeper = Self { retention, ports, found, removed: 0 };
        supervisor.spawn(shared_runtime::Kind::Upkeep, keeper.run());
    }

    async fn run(mut self) -> anyhow::Result<()> {
        let interval = self.retention.interval.max(SignedDuration::from_secs(1)).unsigned_abs();
        self.ports.clock.sleep(interval.min(FIRST_AFTER)).await;
        loop {
            if let Err(error) = self.pass().await {
                let error = error.with_causes();
                tracing::warn!(error, "what is too old cannot be removed for now");
            }
            self.ports.clock.sleep(interval).await;
        }
    }

    /// Goes through everything once.
    ///
    /// # Errors
    /// [`PortError`] if something could not be read or removed; the next pass tries again.
    pub(crate) async fn pass(&mut self) -> Result<(), PortError> {
        let now = self.ports.clock.now();
        removal::clear(&self.ports, before(now, LATE)).await?;
        if self.retention.enabled {
            for kind in [Kind::Pipeline, Kind::Task] {
                let mut last = None;
                while let Some(line) = self.ports.journal.next_line(kind, last.as_ref()).await? {
                    self.shorten(&line, now).await?;
                    last = Some(line);
                }
            }
            let until = before(now, self.retention.age_max);
            library::forget_tasks(&*self.ports.documents, until).await?;
        }
        self.measure(now).await
    }

    /// Removes what is too old of one line, then what is too much.
    async fn shorten(&mut self, line: &Line, now: Timestamp) -> Result<(), PortError> {
        let rules = &self.retention;
        let (min, max) = (rules.executions_per_pipeline_min, rules.executions_per_pipeline_max);
        let age_min = before(now, rules.age_min);
        let too_old = (min, before(now, rules.age_max).min(age_min));
        let too_many = (max.max(min), age_min);
        for (kept, until) in [too_old, too_many] {
            let outlived = Outlived { kept, until, limit: PAGE };
            while self.remove_some(line, &outlived, age_min).await? {
                self.ports.clock.sleep(REST).await;
            }
        }
        Ok(())
    }

    /// Removes some; says whether there may be more.
    async fn remove_some(
        &mut self,
        line: &Line,
        outlived: &Outlived,
        ended_before: Timestamp,
    ) -> Result<bool, PortError> {
        let found = self.ports.journal.outlived(line, outlived).await?;
        let is_full = found.len() == PAGE as usize;
        let free = self.only_over(found, ended_before).await?;
        if free.is_empty() {
            return Ok(false);
        }
        let gone = removal::remove(&self.ports, &free).await?.len();
        self.removed += gone as u64;
        metrics().executions_removed(gone);
        if gone > 0 {
            let Line { application, pipeline, .. } = line;
            tracing::debug!(application, pipeline, gone, "old executions were removed");
        }
        Ok(is_full && gone > 0)
    }

    async fn only_over(
        &self,
        found: Vec<(ExecutionId, Version)>,
        ended_before: Timestamp,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        let mut free = Vec::with_capacity(found.len());
        for one in found {
            if removal::is_over(&self.ports, &one.0, ended_before).await? {
                free.push(one);
            }
        }
        Ok(free)
    }

    /// Blobs that were last put before this are of no message any more, and in use only where a row refers
    /// to them: messages are of executions that
    /// have not ended, and none of those is so old.
    async fn unused_since(&self, now: Timestamp) -> Result<Timestamp, PortError> {
        if !self.retention.enabled {
            return Ok(Timestamp::UNIX_EPOCH);
        }
        let unfinished = Query {
            statuses: Status::incomplete(),
            oldest_first: true,
            limit: 1,
            ..Query::default()
        };
        let oldest = self.ports.journal.search(&unfinished).await?.pop();
        let begun = oldest.map_or(now, |(_, head)| before(head.build_time, PUT_NOTED_EVERY));
        Ok(begun.min(before(now, self.retention.message_blobs_age_max)))
    }

    async fn measure(&self, at: Timestamp) -> Result<(), PortError> {
        let unused_since = self.unused_since(at).await?;
        let Kept { blobs, blob_bytes, log_bytes } =
            self.ports.blobs.sweep_unused(unused_since, self).await?;
        let Size { executions, bytes: database_bytes } = self.ports.journal.size().await?;
        let removed = self.removed;
        metrics().store_size(executions, blobs, [database_bytes, blob_bytes, log_bytes]);
        let size =
            StoreSize { at, executions, database_bytes, blobs, blob_bytes, log_bytes, removed };
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(size);
        Ok(())
    }
}

/// What executions refer to is in use as long as they are kept.
#[async_trait]
impl Uses for Keeper {
    async fn in_use(&self, of: &[String]) -> Result<BTreeSet<String>, PortError> {
        self.ports.journal.blobs_in_use(of).await
    }
}

/// An instant so long ago; the earliest there is if it would be earlier.
fn before(now: Timestamp, age: SignedDuration) -> Timestamp {
    let then = now.checked_sub(age.max(SignedDuration::ZERO)).unwrap_or(Timestamp::UNIX_EPOCH);
    then.max(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
