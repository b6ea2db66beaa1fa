//! The only way from a task to the world around it.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use bytes::Bytes;
use serde_json::Value;
use shared_model::artifact::EMBEDDED_BASE64;
use shared_model::{Artifact, AttemptId, EffectKey, Epoch, Object, TaskAnswer, TaskError};
use shared_ports::messages::TaskInput;
use shared_ports::{Blobs, Clock};

use crate::secrets::SCHEME;
use crate::{EndSignal, Ending, SecretError, Secrets};

/// Largest artifact body that is decoded in memory, in bytes.
pub const ARTIFACT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Takes a stage's log, line by line. Lines reach readers while the task runs.
#[async_trait]
pub trait StageLog: Send + Sync {
    /// Adds a line (without its line end). Never fails the task: what cannot be stored is counted
    /// and said later.
    async fn line(&self, text: &str);
    /// Makes everything added so far durable and visible.
    async fn flush(&self);
}

/// What a task may see and use.
#[derive(Clone)]
pub struct TaskContext {
    /// Which attempt this is.
    pub attempt: AttemptId,
    /// With which epoch: annotated on what it changes, so that a stale worker can be recognised.
    pub epoch: Epoch,
    /// What the scheduler sent.
    pub input: Arc<TaskInput>,
    /// The stage's log.
    pub log: Arc<dyn StageLog>,
    /// Tells when the task is to end early, and why.
    pub end: EndSignal,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Bytes by content hash.
    pub blobs: Arc<dyn Blobs>,
}

/// Why an artifact cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The document refers to an expected artifact that nothing was bound to.
    #[error(
        "`{field}` refers to the expected artifact `{id}`, which no earlier stage and no trigger \
         bound; let a stage before this one produce it, or give it a default"
    )]
    Unbound {
        /// The stage's field.
        field: String,
        /// The expected artifact's id.
        id: String,
    },
    /// Nothing says which artifact is meant.
    #[error("neither `{field}Id` nor `{field}` is set; name the artifact to use")]
    Missing {
        /// The stage's field, without `Id`.
        field: String,
    },
    /// Artifacts of this type cannot be read here.
    #[error("artifact `{name}` has the type `{kind}`, whose content cannot be read here; {hint}")]
    Kind {
        /// The artifact's name.
        name: String,
        /// Its type.
        kind: String,
        /// What can be read.
        hint: String,
    },
    /// Its reference is not base64.
    #[error("the content of artifact `{name}` is not base64: {why}")]
    Encoding {
        /// The artifact's name.
        name: String,
        /// Where it breaks.
        why: String,
    },
    /// It is too large.
    #[error(
        "artifact `{name}` has {bytes} bytes, the limit is {ARTIFACT_BYTES_MAX} (artifact_bytes_max)"
    )]
    TooLarge {
        /// The artifact's name.
        name: String,
        /// Its size.
        bytes: usize,
    },
}

impl From<ArtifactError> for TaskError {
    fn from(error: ArtifactError) -> Self {
        Self::new("ArtifactUnavailable", error.to_string())
    }
}

impl TaskContext {
    /// The stage's context.
    pub fn context(&self) -> &Object {
        &self.input.context
    }

    /// A text of the stage's context; empty if it is absent or no text.
    pub fn text(&self, key: &str) -> &str {
        self.context().get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the document itself says what is at a JSON pointer into the context; else an expression or
    /// an earlier task made it.
    pub fn is_of_document(&self, pointer: &str) -> bool {
        let covers = |made: &String| {
            pointer
                .strip_prefix(made.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !self.input.made.iter().any(covers)
    }

    /// A value with what its references to secrets mean, wherever the document itself has them; `at` is
    /// the pointer to it in the context. Elsewhere they stay texts: whoever sends a payload must not
    /// choose which secret goes where.
    ///
    /// # Errors
    /// [`SecretError`] for the first that means nothing on this worker.
    pub async fn reveal(
        &self,
        secrets: &Secrets,
        at: &str,
        value: &Value,
    ) -> Result<Value, SecretError> {
        match value.to_string().contains(SCHEME) {
            true => secrets.reveal_all(value, at, &|pointer| self.is_of_document(pointer)).await,
            false => Ok(value.clone()),
        }
    }

    /// Names the `ordinal`-th effect of this task, whichever attempt makes it (D5).
    pub fn effect(&self, ordinal: u32) -> EffectKey {
        self.attempt.effect(ordinal)
    }

    /// Completes when the task is to end early, and says what is to become of what it made.
    pub async fn told_to_end(&self) -> Ending {
        self.end.told().await
    }

    /// The answer of a task that another worker goes on with, from where this one began.
    pub fn handed_over(&self) -> TaskAnswer {
        TaskAnswer::HandedOver { checkpoint: self.input.checkpoint.clone().unwrap_or_default() }
    }

    /// The artifact that a stage's `<field>Id` or inline `<field>` means; its account from
    /// `<field>Account` where the artifact has none.
    ///
    /// # Errors
    /// [`ArtifactError::Unbound`] or [`ArtifactError::Missing`].
    pub fn artifact(&self, field: &str) -> Result<Artifact, ArtifactError> {
        let found = match self.text(&format!("{field}Id")) {
            "" => self.context().get(field).and_then(Value::as_object).cloned().map(Artifact),
            id => Some(self.bound(&format!("{field}Id"), id)?),
        };
        let mut found = found.ok_or_else(|| ArtifactError::Missing { field: field.to_owned() })?;
        let account = self.text(&format!("{field}Account"));
        if found.account().is_empty() && !account.is_empty() {
            found.0.insert("artifactAccount".into(), account.into());
        }
        Ok(found)
    }

    /// The artifact that an expected artifact's id is bound to; `field` is for the error.
    ///
    /// # Errors
    /// [`ArtifactError::Unbound`].
    pub fn bound(&self, field: &str, id: &str) -> Result<Artifact, ArtifactError> {
        let unbound = || ArtifactError::Unbound { field: field.to_owned(), id: id.to_owned() };
        self.input.bound.get(id).cloned().ok_or_else(unbound)
    }
}

/// The bytes of an artifact whose content travels with it.
///
/// # Errors
/// [`ArtifactError`] if it has another type, is not base64 or too large.
pub fn embedded_bytes(artifact: &Artifact) -> Result<Bytes, ArtifactError> {
    let name = artifact.name().to_owned();
    if artifact.kind() != EMBEDDED_BASE64 {
        let kind = artifact.kind().to_owned();
        let hint = format!("use `{EMBEDDED_BASE64}`");
        return Err(ArtifactError::Kind { name, kind, hint });
    }
    let bytes = artifact.reference().len() / 4 * 3;
    if bytes > ARTIFACT_BYTES_MAX {
        return Err(ArtifactError::TooLarge { name, bytes });
    }
    base64::engine::general_purpose::STANDARD
        .decode(artifact.reference())
        .map(Bytes::from)
        .map_err(|error| ArtifactError::Encoding { name, why: error.to_string() })
}
