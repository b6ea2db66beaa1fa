//! The only truth about executions (D1, D12).
//!
//! What is loaded is state, not history: one row for the execution and one per stage, rewritten as
//! they change, so that an event costs what it touches and not what the pipeline has. History is
//! appended in the same transaction, for people to read. State is never rebuilt by replaying it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_model::{ExecutionId, Object, Status};

use crate::PortError;

/// How many times an execution was appended to; 0 before the first.
pub type Version = u64;

/// What changes with one append to one execution.
#[derive(Debug, Clone)]
pub struct Append {
    /// The execution.
    pub execution: ExecutionId,
    /// The version that this append was decided on; 0 creates the execution.
    pub expected: Version,
    /// The execution's row after it.
    pub head: Head,
    /// The execution's document after it; `None` leaves it as it is. The first append has one.
    pub document: Option<Value>,
    /// Rows of the stages that changed; a new stage's index is the number of stages before it.
    pub stages: Vec<StageRow>,
    /// What happened, in words, for people.
    pub history: Vec<HistoryEntry>,
    /// An execution whose append comes earlier in the batch: if that is a conflict, so is this one.
    pub with: Option<ExecutionId>,
    /// How many executions of the [saved pipeline](Head::pipeline_config_id) may be running or paused
    /// once this is stored, itself included: if there were more, it is a conflict (D24).
    pub running_max: Option<u32>,
    /// The same of more than its pipeline; only pipelines count, not tasks.
    pub running_max_beyond: RunningMax,
}

/// How many executions of pipelines may be running or paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunningMax {
    /// Those of the same application, without regard to case.
    pub of_application: Option<u32>,
    /// All of them.
    pub of_all: Option<u32>,
}

/// What an execution was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Kind {
    /// A pipeline.
    #[default]
    Pipeline,
    /// Operations that were asked for one by one.
    Task,
}

impl Kind {
    /// As it is stored.
    pub fn number(self) -> i64 {
        match self {
            Self::Pipeline => 0,
            Self::Task => 1,
        }
    }
}

/// The execution's own row: what lists and searches need, and the engine's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What it was made of.
    pub kind: Kind,
    /// The application, as written; searched without regard to case (D28).
    pub application: String,
    /// The pipeline's name.
    pub name: String,
    /// The saved pipeline's id, where there is one.
    pub pipeline_config_id: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// When it was submitted.
    pub build_time: Timestamp,
    /// When it began.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// The engine's state of the execution as a whole, in the engine's own versioned encoding.
    pub state: Bytes,
}

/// Statuses of executions that take up room.
pub const TAKES_ROOM: [Status; 2] = [Status::Running, Status::Paused];

impl Head {
    /// What tells an application's pipelines apart: the saved one's id, else the name.
    pub fn pipeline(&self) -> &str {
        self.pipeline_config_id.as_deref().unwrap_or(&self.name)
    }
}

/// One stage's row.
#[derive(Debug, Clone, PartialEq)]
pub struct StageRow {
    /// The stage's place in the execution, from 0.
    pub index: u32,
    /// The engine's state of the stage, in the engine's own versioned encoding.
    pub state: Bytes,
    /// The stage's context and outputs; `None` leaves them as they are.
    pub body: Option<StageBody>,
}

/// What a stage carries: never in the engine's memory (D12).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StageBody {
    /// The stage's context.
    pub context: Object,
    /// The stage's outputs.
    pub outputs: Object,
    /// JSON pointers into `context` whose values an evaluation made: never evaluated again (D13).
    pub evaluated: Vec<String>,
    /// What the running tasks need to know of their earlier runs, by task index.
    pub checkpoints: std::collections::BTreeMap<u16, Value>,
    /// Why tasks failed whose stages have no `exception` for it, by task index.
    pub failures: std::collections::BTreeMap<u16, Value>,
}

/// One line of history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// The stage that it is about, where it is about one.
    pub stage: Option<String>,
    /// Stable name of the kind, e.g. `attempt-lost`.
    pub kind: String,
    /// What happened, in words.
    pub text: String,
}

/// What is stored of one execution, without the bodies of its stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// How many times it was appended to.
    pub version: Version,
    /// Its own row.
    pub head: Head,
    /// Its document.
    pub document: Value,
    /// The engine's state of each stage, by index from 0.
    pub stages: Vec<Bytes>,
}

/// What an append answers for one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Stored; the execution now has this version.
    Stored(Version),
    /// Nothing of it was stored: the execution has another version than expected.
    Conflict {
        /// The version that it has; 0 if it does not exist.
        found: Version,
    },
}

/// Which executions to list. Empty lists and `None` do not restrict.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Their own ids.
    pub ids: Vec<ExecutionId>,
    /// What they were made of.
    pub kind: Option<Kind>,
    /// The application, without regard to case.
    pub application: Option<String>,
    /// The saved pipelines' ids.
    pub pipeline_config_ids: Vec<String>,
    /// The pipeline's name.
    pub name: Option<String>,
    /// Where they stand.
    pub statuses: Vec<Status>,
    /// Submitted at or after.
    pub from: Option<Timestamp>,
    /// Submitted before.
    pub until: Option<Timestamp>,
    /// Continues after this one, in the order of the list.
    pub after: Option<(Timestamp, ExecutionId)>,
    /// The oldest first instead of the newest.
    pub oldest_first: bool,
    /// At most this many of each pipeline, those that the list comes to first. Needs a kind and an
    /// application.
    pub of_each: Option<u32>,
    /// At most this many.
    pub limit: u32,
}

/// Executions that are counted together when the oldest of them are removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// What they were made of.
    pub kind: Kind,
    /// The application, in lower case.
    pub application: String,
    /// What tells an application's [pipelines](Head::pipeline) apart; `None` is all of its tasks.
    pub pipeline: Option<String>,
}

impl Line {
    /// The line in which an execution stands.
    pub fn of(head: &Head) -> Self {
        let pipeline = match head.kind {
            Kind::Pipeline => Some(head.pipeline().to_owned()),
            Kind::Task => None,
        };
        Self { kind: head.kind, application: head.application.to_lowercase(), pipeline }
    }
}

/// Which of a line's executions are too old.
#[derive(Debug, Clone, Copy)]
pub struct Outlived {
    /// As many of those that have ended stay, the newest.
    pub kept: u32,
    /// Submitted before.
    pub until: Timestamp,
    /// At most this many, the oldest.
    pub limit: u32,
}

/// How much is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Executions.
    pub executions: u64,
    /// Bytes of everything, with documents and indexes.
    pub bytes: u64,
}

/// The only truth about executions.
///
/// - `append` is one transaction for the whole batch: each execution's append either happens as a
///   whole or not at all, and what is acknowledged survives a crash of the machine.
/// - Compare-and-append: an append that was decided on another version than the stored one is a
///   conflict and changes nothing; others in the same batch are not touched by that, but for those
///   that are to be stored only [with](Append::with) it.
/// - So is an append for which there is [no room](Append::running_max), whoever else appends at the
///   same time. What ends makes room in the transaction that ends it.
/// - `remove` takes away everything of an execution or nothing, and notes that bytes of it may be left
///   elsewhere, in one transaction: a note stays until it is taken back, whoever ends in between.
/// - Reads see every acknowledged append and removal.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends to many executions in one transaction; answers in the same order.
    ///
    /// # Errors
    /// [`PortError::Full`] and [`PortError::Refused`] if nothing of the batch was stored; refused is
    /// what could not be loaded again (no document at first, a gap between stages, JSON nested too
    /// deep). [`PortError::Unavailable`] if it may not have been stored: loading tells.
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Appended>, PortError>;

    /// An execution's state and document; `None` if it does not exist.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    async fn load(&self, execution: &ExecutionId) -> Result<Option<Stored>, PortError>;

    /// Bodies of stages, by index, in the same order; all of them, by index, if `indexes` is empty.
    /// A stage that was stored without a body has an empty one.
    ///
    /// # Errors
    /// [`PortError`] if they cannot be read or one does not exist.
    async fn bodies(
        &self,
        execution: &ExecutionId,
        indexes: &[u32],
    ) -> Result<Vec<StageBody>, PortError>;

    /// Executions whose status is not complete, by id, after `after`, each with its version.
    ///
    /// # Errors
    /// [`PortError`] if they cannot be read.
    async fn unfinished(
        &self,
        after: Option<&ExecutionId>,
        limit: u32,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError>;

    /// Executions, newest submitted first unless the query says otherwise. It costs what it finds,
    /// however many there are.
    ///
    /// # Errors
    /// [`PortError`] if they cannot be read; [`PortError::Refused`] for more values in one list than
    /// the store takes, or `of_each` without a kind and an application.
    async fn search(&self, query: &Query) -> Result<Vec<(ExecutionId, Head)>, PortError>;

    /// History after entry `after` (0 for all), oldest first, each with its number.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    async fn history(
        &self,
        execution: &ExecutionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, HistoryEntry)>, PortError>;

    /// Removes executions that have ended and have the version that is given with them; says of each
    /// whether it was removed. One that goes on, or was changed or removed meanwhile, stays as it is.
    ///
    /// # Errors
    /// [`PortError`] if they may still be there.
    async fn remove(
        &self,
        executions: &[(ExecutionId, Version)],
        at: Timestamp,
    ) -> Result<Vec<bool>, PortError>;

    /// Executions that were removed before `until` and whose note was not taken back, the oldest
    /// first.
    ///
    /// # Errors
    /// [`PortError`] if they cannot be read.
    async fn removed(&self, until: Timestamp, limit: u32) -> Result<Vec<ExecutionId>, PortError>;

    /// Takes back the notes of removed executions: nothing of them is left anywhere.
    ///
    /// # Errors
    /// [`PortError`] if it may not have happened.
    async fn cleared(&self, executions: &[ExecutionId]) -> Result<(), PortError>;

    /// The line after another one, in an order of the store's own; the first after `None`. It costs
    /// the same however many executions there are.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    async fn next_line(&self, kind: Kind, after: Option<&Line>) -> Result<Option<Line>, PortError>;

    /// Executions of a line that have ended and are too old, the oldest first, each with its version.
    ///
    /// # Errors
    /// [`PortError`] if they cannot be read.
    async fn outlived(
        &self,
        line: &Line,
        outlived: &Outlived,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError>;

    /// Those of some blobs, by their SHA-256, to which a stored execution refers (see [`crate::shelf`]).
    /// A store that does not know says all.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    async fn blobs_in_use(&self, of: &[String]) -> Result<BTreeSet<String>, PortError> {
        Ok(of.iter().cloned().collect())
    }

    /// How much is stored; it may take a while.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be read.
    async fn size(&self) -> Result<Size, PortError>;

    /// Whether something could be stored now, as far as that shows without storing: for probes.
    ///
    /// # Errors
    /// [`PortError`] says what is in the way.
    async fn ready(&self) -> Result<(), PortError>;
}
