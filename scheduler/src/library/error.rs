use shared_model::Problem;
use shared_ports::PortError;

/// Why nothing was saved, or nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// There is no such application or pipeline.
    #[error("{what} was not found")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// Somebody else was quicker, or has that name.
    #[error("{why}")]
    Conflict {
        /// Who or what stands in the way, and what to do.
        why: String,
    },
    /// The document is refused; the list is complete and holds warnings too.
    #[error("{}", first(problems))]
    Invalid {
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl LibraryError {
    /// One thing is wrong with a document.
    pub(super) fn invalid(code: &'static str, pointer: &str, why: String, hint: &str) -> Self {
        Self::Invalid { problems: vec![Problem::error(code, pointer, why, hint)] }
    }
}

fn first(problems: &[Problem]) -> String {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("the document was refused: {}", all.join("; "))
}
