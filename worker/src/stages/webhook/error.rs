//! Why a webhook failed.

use shared_model::TaskError;
use shared_runtime::http::HttpError;

/// Why a webhook failed. Orca's words where it has some: pipelines read them.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebhookError {
    /// A field is wrong.
    #[error("`{field}` {why}")]
    Field {
        /// Which.
        field: String,
        /// What is wrong with it; never its value, which may be a secret.
        why: String,
    },
    /// There is no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer cannot be taken, and what was asked for may have happened.
    #[error(
        "{0}; whether the target did what it was asked is not known, and it is not asked again: look \
         there, and start the stage again if it did nothing (`idempotent: true` says that the target \
         knows a repetition by its header `Idempotency-Key`)"
    )]
    AnswerNotTaken(String),
    /// There is no answer, and what was asked for may have happened: a person says what became of it.
    #[error(
        "{0}; whether the target did what it was asked is not known, so the stage asks: look there, \
         and say what became of it (`idempotent: true` says that the target knows a repetition by its \
         header `Idempotency-Key`, and is asked again)"
    )]
    AnswerLost(String),
    /// The answer, or what it says, is a failure.
    #[error("{0}")]
    Answer(String),
    /// The target says that what was asked for was cancelled.
    #[error("{0}")]
    Canceled(String),
}

impl From<&WebhookError> for TaskError {
    fn from(error: &WebhookError) -> Self {
        let kind = match error {
            WebhookError::Field { .. } => "WebhookField",
            WebhookError::Http(HttpError::Refused { .. }) => "WebhookTargetRefused",
            WebhookError::Http(HttpError::Redirected { error, .. })
                if matches!(**error, HttpError::Refused { .. }) =>
            {
                "WebhookTargetRefused"
            }
            WebhookError::Http(_) => "WebhookNotAnswered",
            WebhookError::AnswerNotTaken(_) | WebhookError::AnswerLost(_) => {
                "WebhookOutcomeUnknown"
            }
            WebhookError::Answer(_) => "WebhookFailed",
            WebhookError::Canceled(_) => "WebhookCanceled",
        };
        Self::new(kind, error.to_string())
    }
}
