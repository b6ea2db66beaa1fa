//! What a guard and its parent say to each other, one JSON text a line, and what a run leaves behind.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Version of [`Record`] as it is written here.
pub(crate) const RECORD_VERSION: u16 = 1;

/// Parent → guard. The end of the pipe says that the parent is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Take the run folder, and say what is in it. Comes first.
    Open {
        /// The run folder, absolute.
        run: PathBuf,
        /// How long another guard may hold it.
        lock_wait: Duration,
    },
    /// Run the tool. Comes after [`Frame::Ready`].
    Start(Box<Order>),
    /// End it, or give up waiting.
    Cancel,
}

/// What to run, and within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Absolute path of the tool.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Its whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// Its working folder.
    pub(crate) folder: PathBuf,
    /// Whether what it writes to stdout goes to the log as well.
    pub(crate) stdout_is_log: bool,
    /// Size of its stdout, where that is its result.
    pub(crate) stdout_bytes_max: u64,
    /// Size of what is logged and kept of each other stream.
    pub(crate) log_bytes_max: u64,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// How long it may go on to end by itself once the parent is gone.
    pub(crate) finish_grace: Duration,
    /// How long it may take to end once it is asked to.
    pub(crate) kill_grace: Duration,
}

/// Guard → parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Frame {
    /// The run folder is ours and empty: bring what the tool needs, then say what to run.
    Ready {
        /// Whether an earlier run was begun there and did not end by itself.
        again: bool,
    },
    /// A line of its output.
    Line(Stream, String),
    /// Nothing further comes.
    Last(Last),
}

/// How it all ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Last {
    /// The tool ended by itself in an earlier run.
    Found(Record),
    /// The tool ended by itself.
    Ended(Record),
    /// It was ended because it was cancelled or the parent went.
    Cancelled,
    /// It was ended because its time was up.
    TimedOut,
    /// A signal from elsewhere ended it.
    Signalled(i32),
    /// It was ended because its result grew past the limit.
    TooMuchOutput,
    /// Another guard held the run folder for too long.
    Busy,
    /// There was no space left for what it wrote, or for its result.
    NoSpace,
    /// It could not be run, or not be watched.
    Failed(String),
}

/// That a tool ended by itself: what the file `result` of a run folder says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Version of the record.
    pub(crate) v: u16,
    /// Its exit code.
    pub(crate) code: i32,
}

/// Where a tool wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Name of the file in the run folder that keeps it.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}
