//! Why a tool gave no result.

use std::path::PathBuf;
use std::time::Duration;

/// Why a tool gave no result. A tool that ends with a failure of its own is no error here.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not installed.
    #[error("`{program}` was not found on the PATH ({path}); {hint}")]
    NotFound {
        /// The tool.
        program: String,
        /// Where it was looked for.
        path: String,
        /// What to install, and how to point to it.
        hint: String,
    },
    /// Its time was up.
    #[error("`{program}` did not end within {limit:?} and was ended")]
    TimedOut {
        /// The tool.
        program: String,
        /// The limit.
        limit: Duration,
    },
    /// It was told to end, or never begun.
    #[error("`{program}` was cancelled")]
    Cancelled {
        /// The tool.
        program: String,
    },
    /// Somebody else ended it, e.g. the kernel for want of memory.
    #[error(
        "`{program}` was ended by signal {signal} from outside; if that is 9, the machine may have \
         run out of memory: see the kernel's log"
    )]
    Killed {
        /// The tool.
        program: String,
        /// The signal.
        signal: i32,
    },
    /// What it wrote to stdout is more than its result may have.
    #[error("`{program}` wrote more than {bytes_max} bytes (stdout_bytes_max) and was ended")]
    TooMuchOutput {
        /// The tool.
        program: String,
        /// The limit.
        bytes_max: u64,
    },
    /// An earlier run under the same key does not end.
    #[error(
        "an earlier run under the same key still holds `{folder}` after {wait:?}; end the processes \
         that hold its file `lock`"
    )]
    Busy {
        /// The run folder.
        folder: PathBuf,
        /// How long was waited.
        wait: Duration,
    },
    /// The data folder is full.
    #[error("no space is left on the device of `{folder}`; free some and run it again")]
    NoSpace {
        /// The run folder.
        folder: PathBuf,
    },
    /// It could not be run.
    #[error("failed to run `{program}`: {why}")]
    Failed {
        /// The tool.
        program: String,
        /// Why.
        why: String,
    },
}

impl ToolError {
    /// A stable word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::TimedOut { .. } => "timeout",
            Self::Cancelled { .. } => "cancelled",
            Self::Killed { .. } => "signal",
            Self::TooMuchOutput { .. } => "too_much_output",
            Self::Busy { .. } => "busy",
            Self::NoSpace { .. } => "no_space",
            Self::Failed { .. } => "guard_failed",
        }
    }
}
