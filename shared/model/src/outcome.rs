//! What a task may answer (D14), and whether trying again can help.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Artifact, Object};

/// Whether another attempt can help. Decided where the error is understood, obeyed by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retry {
    /// Trying again gives the same answer.
    Never,
    /// The outside world may be better later; the engine backs off.
    Later,
}

/// What a task does to the outside world: decides how its loss is dealt with (D5, D6, D19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effects {
    /// Nothing: it may run again at any time.
    None,
    /// Changes that carry a key, looked for before they are made: taken over at once.
    Keyed,
    /// Changes that cannot be recognised: an unknown outcome asks.
    Unkeyed,
    /// A request to a server of somebody else's. Which of the above it is, is decided when the stage
    /// is planned: keyed if its `method` may be repeated (RFC 9110 §9.2.2) or the stage says
    /// `idempotent`, else unkeyed.
    Request,
    /// Nothing, but it waits for somebody who wants to be told when nobody waits any more: one that
    /// rests when it is to end is given out once more for that. Decided when the stage is planned:
    /// without a `cancelEndpoint` it is `none`.
    Watch,
}

/// Why a task failed: fit for a user to read, free of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// Stable name of the kind of failure, e.g. `ManifestNotStable`; Gate's `exceptionType`.
    pub kind: String,
    /// What was being done to what, why it failed, what to do: one line each, most important first.
    pub messages: Vec<String>,
}

impl TaskError {
    /// An error with one line.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), messages: vec![message.into()] }
    }
    /// The same with a further line.
    #[must_use]
    pub fn and(mut self, message: impl Into<String>) -> Self {
        self.messages.push(message.into());
        self
    }
}

/// What a successful or continuing task hands back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskResult {
    /// Merged into the stage's context: seen by the stage's later tasks.
    pub context: Object,
    /// Merged into the stage's outputs: seen by stages downstream as bare names.
    pub outputs: Object,
    /// Artifacts that the task made.
    pub artifacts: Vec<Artifact>,
}

/// What a task answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum TaskAnswer {
    /// Done.
    Succeeded {
        /// What it made.
        #[serde(default)]
        result: TaskResult,
    },
    /// Not done yet: frees the slot and asks to be run again (Orca's RUNNING).
    Again {
        /// How long to wait.
        after: SignedDuration,
        /// What the next run needs to know.
        checkpoint: Value,
        /// What it made so far.
        #[serde(default)]
        result: TaskResult,
    },
    /// The loop that the task stands in goes round again.
    Redirect {
        /// What it made so far.
        #[serde(default)]
        result: TaskResult,
    },
    /// There was nothing to do.
    Skipped {
        /// What it made.
        #[serde(default)]
        result: TaskResult,
    },
    /// Ends the branch without failing the pipeline.
    Stopped {
        /// What it made.
        #[serde(default)]
        result: TaskResult,
    },
    /// Failed, and the stage type itself says to go on.
    FailedContinue {
        /// What it made.
        #[serde(default)]
        result: TaskResult,
        /// Why.
        error: TaskError,
    },
    /// Failed.
    Failed {
        /// Why.
        error: TaskError,
        /// Whether another attempt can help.
        retry: Retry,
        /// What it made before it failed: shown object by object, nothing half-done in silence.
        #[serde(default)]
        result: TaskResult,
    },
    /// Ended because the execution was cancelled. Where nobody cancelled it, and what it did cannot be
    /// recognised, it says that nobody knows what came of it: the stage asks (D19).
    Canceled {
        /// What it made before.
        #[serde(default)]
        result: TaskResult,
    },
    /// The worker stops and gives the task back; no failure, no attempt spent (D10).
    HandedOver {
        /// What the next worker needs to know.
        checkpoint: Value,
    },
}

impl TaskAnswer {
    /// Done, with nothing to hand back.
    pub fn done() -> Self {
        Self::Succeeded { result: TaskResult::default() }
    }
    /// Failed for good.
    pub fn terminal(error: TaskError) -> Self {
        Self::Failed { error, retry: Retry::Never, result: TaskResult::default() }
    }
    /// What it made, where it made anything.
    pub fn result(&self) -> Option<&TaskResult> {
        match self {
            Self::Succeeded { result }
            | Self::Again { result, .. }
            | Self::Redirect { result }
            | Self::Skipped { result }
            | Self::Stopped { result }
            | Self::FailedContinue { result, .. }
            | Self::Failed { result, .. }
            | Self::Canceled { result } => Some(result),
            Self::HandedOver { .. } => None,
        }
    }
}
