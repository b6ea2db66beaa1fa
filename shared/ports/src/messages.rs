//! What travels through the broker (D22). Small, versioned, free of secrets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_model::{
    Artifact, AttemptId, Capability, EffectKey, Epoch, ExecutionId, Object, TaskAnswer, WorkerId,
};

use crate::{BlobRef, Version};

/// The version of every message written here.
pub const MESSAGE_VERSION: u16 = 1;
/// Inputs longer than this travel as a blob.
pub const INPUTS_INLINE_BYTES_MAX: usize = 16 * 1024;

/// Scheduler → worker: an attempt is ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptReady {
    /// Version of the message.
    pub v: u16,
    /// The attempt.
    pub attempt: AttemptId,
    /// Its epoch: the worker claims and reports with it.
    pub epoch: Epoch,
    /// Names the first effect of the task; the same for every attempt at it (D5).
    pub effect_key: EffectKey,
    /// What a worker must be able to do.
    pub capability: Capability,
    /// The application: who shares the slots (D16).
    pub tenant: String,
    /// Larger goes first.
    pub priority: u8,
    /// When the stage's time is up.
    pub deadline: Option<Timestamp>,
    /// The shard whose queue takes the report: one that the sender receives, not always the execution's.
    pub shard: u16,
    /// Whether its report may come in one message with others ([`AttemptReports`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joins: bool,
    /// W3C `traceparent` of the stage's span: the attempt's is below it ([`attempt_span`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Whether it may begin only after [`Control::Grant`]: what it does cannot be recognised.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_grant: bool,
    /// Whether it is given out only to be ended: its stage is cancelled, and somebody is to be told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_end: bool,
    /// When it was given out, by the scheduler's clock: what has lain since may have been cancelled
    /// meanwhile, so that its worker asks first, as if it needed a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// What the task needs to know.
    pub inputs: Inputs,
}

/// What an attempt's span is called in its trace: a takeover is another span.
pub fn attempt_span(attempt: &AttemptId, epoch: Epoch) -> String {
    format!("attempt {attempt}@{epoch}")
}

/// A [`TaskInput`], in the message or beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inputs {
    /// In the message.
    Inline(Box<TaskInput>),
    /// Its JSON in a blob.
    Blob(BlobRef),
}

/// What a task needs to know. Secrets appear as references only (D26).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskInput {
    /// The application.
    pub application: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// As whom the stage runs.
    pub user: String,
    /// The stage's type.
    pub stage_type: String,
    /// The stage's name.
    pub stage_name: String,
    /// The task's name.
    pub task: String,
    /// The stage's context, evaluated, with what its earlier tasks added.
    pub context: Object,
    /// JSON pointers into it, to what the document does not say itself: what expressions and earlier
    /// tasks made. A reference to a secret in there means nothing (D26). Empty where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<String>,
    /// Every artifact that the stage can see: its ancestors', nearest first, then the trigger's.
    pub artifacts: Vec<Artifact>,
    /// Expected artifacts by their id, as far as they are bound.
    pub bound: BTreeMap<String, Artifact>,
    /// What an earlier run of this task left for this one.
    pub checkpoint: Option<Value>,
}

/// Worker → scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    /// Version of the message.
    pub v: u16,
    /// The attempt.
    pub attempt: AttemptId,
    /// With which epoch it was worked on.
    pub epoch: Epoch,
    /// By whom.
    pub worker: WorkerId,
    /// When, by the worker's clock.
    pub at: Timestamp,
    /// Who had the lease that has ended ([`Report::LeaseEnded`]), where its work may have begun: it may be
    /// gone before it told so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<WorkerId>,
    /// Whether what was claimed begins only after [`Control::Grant`]; of what always needs it, the
    /// scheduler knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    /// What is reported.
    pub report: Report,
}

/// Worker → scheduler: several reports that were at hand at once. Its id begins with [`JOINED_ID`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptReports {
    /// Version of the message.
    pub v: u16,
    /// The reports, oldest first.
    pub reports: Vec<AttemptReport>,
}

/// What the ids of [`AttemptReports`] begin with: they share the queue with single reports.
pub const JOINED_ID: &str = "joined:";

/// What a worker reports of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// It was claimed and has begun.
    Started,
    /// It was not begun: this epoch of it had a lease before, which has ended.
    LeaseEnded,
    /// It ended.
    Finished(Box<TaskAnswer>),
    /// It ended; the answer's JSON is in a blob.
    FinishedBlob(BlobRef),
}

/// Scheduler → the scheduler that receives the reports of a shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ring {
    /// Whoever receives this owns the shard.
    Look {
        /// Version of the message.
        v: u16,
    },
    /// Another scheduler stored something of this execution.
    Changed {
        /// Version of the message.
        v: u16,
        /// The execution.
        execution: ExecutionId,
        /// Its version in the journal then.
        version: Version,
    },
    /// There may be room among the executions of a saved pipeline, and one of the shard waits for it.
    Room {
        /// Version of the message.
        v: u16,
        /// The pipeline's id.
        pipeline: String,
    },
    /// This execution has ended: one of the shard may wait for that.
    Ended {
        /// Version of the message.
        v: u16,
        /// The execution.
        execution: ExecutionId,
    },
}

/// What the ids of [`Ring`] messages begin with: they share the queue with reports.
pub const RING_ID: &str = "ring:";

/// Scheduler → one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// End this attempt.
    Abort {
        /// Version of the message.
        v: u16,
        /// The attempt.
        attempt: AttemptId,
        /// The newest epoch of it that is to end: whoever took it over since goes on.
        epoch: Epoch,
        /// Whether another worker goes on with it, and needs what this one made.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        taken_over: bool,
    },
    /// This attempt may begin: its claim is in the journal.
    Grant {
        /// Version of the message.
        v: u16,
        /// The attempt.
        attempt: AttemptId,
        /// Its epoch.
        epoch: Epoch,
    },
}
