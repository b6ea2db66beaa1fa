//! Why something did not work, in words for the user.

use std::io;
use std::path::PathBuf;

use shared_model::{Retry, TaskError};

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    /// The stage asks for something that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A state file cannot be read or written.
    #[error("the state file `{path}` cannot be {doing}: {source}", path = path.display())]
    State {
        /// What was being done to it.
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A state file is of a newer Capstan or broken.
    #[error("the state file `{path}` cannot be understood: {why}; move it away to go on without it", path = path.display())]
    Broken { path: PathBuf, why: String },
    /// Somebody else holds a lock for too long.
    #[error("`{what}` is being changed by another stage for too long; try again when that ended")]
    Busy { what: String },
    /// A process cannot be started.
    #[error("`{program}` of server group `{group}` cannot be started: {source}; check `command`")]
    Start { program: String, group: String, source: io::Error },
    /// A process ended, or never got healthy.
    #[error("{0}")]
    Unhealthy(String),
    /// A load balancer does not do what it is told.
    #[error("{0}")]
    Balancer(String),
    /// A worker with a newer claim on the same work has taken over.
    #[error("server group `{0}` was taken over by a newer attempt")]
    TakenOver(String),
}

impl LocalError {
    /// The stable name of the kind of failure.
    fn kind(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "InvalidStage",
            Self::State { .. } | Self::Broken { .. } => "StateUnavailable",
            Self::Busy { .. } => "Busy",
            Self::Start { .. } => "CannotStart",
            Self::Unhealthy(_) => "NotHealthy",
            Self::Balancer(_) => "LoadBalancerUnavailable",
            Self::TakenOver(_) => "TakenOver",
        }
    }

    /// Whether another attempt can help.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::State { .. } | Self::Busy { .. } | Self::Balancer(_) => Retry::Later,
            Self::Invalid(_)
            | Self::Broken { .. }
            | Self::Start { .. }
            | Self::Unhealthy(_)
            | Self::TakenOver(_) => Retry::Never,
        }
    }

    /// One line each, the most important first.
    pub(crate) fn task_error(&self) -> TaskError {
        let messages = self.to_string().lines().map(str::to_owned).collect();
        TaskError { kind: self.kind().to_owned(), messages }
    }
}

/// An error in what a stage asks for.
pub(crate) fn invalid(error: impl std::fmt::Display) -> LocalError {
    LocalError::Invalid(error.to_string())
}
