//! The twelve statuses of Spinnaker (reference §4.4), and what each means for what follows.

use serde::{Deserialize, Serialize};

/// Where an execution, a stage or a task stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Nothing has begun.
    NotStarted,
    /// Under way.
    Running,
    /// Held by a user.
    Paused,
    /// Held by the system; kept because clients know the word.
    Suspended,
    /// Done, well.
    Succeeded,
    /// Failed, and the document says to go on.
    FailedContinue,
    /// Failed for good.
    Terminal,
    /// Ended by a user or by another branch's failure.
    Canceled,
    /// A loop goes round again; only ever a task's answer.
    Redirect,
    /// Ended this branch without failing the pipeline.
    Stopped,
    /// Not to be run.
    Skipped,
    /// Waits for a slot; kept because clients know the word.
    Buffered,
}

impl Status {
    /// The name in Gate's JSON, e.g. `FAILED_CONTINUE`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every status that is not complete.
    pub fn incomplete() -> Vec<Self> {
        <Self as strum::IntoEnumIterator>::iter().filter(|status| !status.is_complete()).collect()
    }

    /// Whether nothing more will happen here. Such a status never changes again but by a restart.
    pub fn is_complete(self) -> bool {
        match self {
            Self::Succeeded
            | Self::FailedContinue
            | Self::Terminal
            | Self::Canceled
            | Self::Stopped
            | Self::Skipped => true,
            Self::NotStarted
            | Self::Running
            | Self::Paused
            | Self::Suspended
            | Self::Redirect
            | Self::Buffered => false,
        }
    }

    /// Whether what is downstream must not start.
    pub fn is_halt(self) -> bool {
        matches!(self, Self::Terminal | Self::Canceled | Self::Stopped)
    }

    /// Whether what is downstream may start.
    pub fn lets_downstream_start(self) -> bool {
        matches!(self, Self::Succeeded | Self::FailedContinue | Self::Skipped)
    }

    /// Whether Spinnaker counts it among the failures (§4.4).
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Terminal | Self::Stopped | Self::FailedContinue)
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn there_are_twelve_and_each_reads_back() {
        assert_eq!(Status::iter().count(), 12);
        for status in Status::iter() {
            assert_eq!(status.name().parse::<Status>(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }

    #[test]
    fn halting_and_letting_through_exclude_each_other() {
        for status in Status::iter() {
            assert!(!(status.is_halt() && status.lets_downstream_start()));
            assert_eq!(status.is_complete(), status.is_halt() || status.lets_downstream_start());
        }
    }
}
