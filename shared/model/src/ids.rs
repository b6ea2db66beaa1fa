//! Typed ids. Only an execution's id is ever generated; everything below is derived from it, so a
//! decision that is made twice names the same thing twice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest execution id that a caller may bring, in bytes.
pub const EXECUTION_ID_BYTES_MAX: usize = 128;

/// Why a text is not an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not {what}: {why}")]
pub struct IdError {
    text: String,
    what: &'static str,
    why: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that is already known to be such an id.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Names one run of a pipeline. Text, because callers may bring their own (D28).
    ExecutionId
}
text_id! {
    /// A stage's `refId` inside its execution; synthetic stages read `<parent><<n>` or `<parent>><n>`.
    StageRef
}
text_id! {
    /// One worker process.
    WorkerId
}
text_id! {
    /// What a worker must be able to do to take a task; also the name of the queue it waits in.
    Capability
}
text_id! {
    /// Names one change to the outside world, whichever attempt makes it (D5).
    EffectKey
}

/// Longest name of an account that has a queue of its own, in bytes: the queue's name holds it.
const ACCOUNT_BYTES_MAX: usize = 128;

impl Capability {
    /// The same for what is done in one account: only workers that have its credentials can do it. A
    /// name that cannot be part of a queue's leaves it as it is.
    #[must_use]
    pub fn in_account(&self, account: &str) -> Self {
        let fits = (1..=ACCOUNT_BYTES_MAX).contains(&account.len());
        if !fits || account.contains(char::is_control) || self.account().is_some() {
            return self.clone();
        }
        Self(format!("{}@{account}", self.0))
    }

    /// What it is without the account, and the account; `None` where it is of no account.
    pub fn account(&self) -> Option<(&str, &str)> {
        self.0.split_once('@')
    }
}

impl FromStr for ExecutionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let why = match text {
            "" => Some("it is empty"),
            _ if text.len() > EXECUTION_ID_BYTES_MAX => Some("it is longer than 128 bytes"),
            _ if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)) => {
                Some("only letters, digits and -_.: are allowed")
            }
            _ => None,
        };
        match why {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(IdError { text: text.to_owned(), what: "an execution id", why }),
        }
    }
}

/// Position of a task in its stage, from 0.
pub type TaskIndex = u16;

/// Counts attempts of one task from 1; only a failure that a worker reports makes the next one.
pub type AttemptNo = u32;

/// Counts the runs of a stage from 1: raised by a restart and by each round of a loop.
pub type StageRun = u32;

/// Says which holder of an attempt is the newest; every takeover raises it (D15).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One attempt at one task. Prints as `<execution>/<stage>/<task>#<attempt>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The execution.
    pub execution: ExecutionId,
    /// The stage inside it.
    pub stage: StageRef,
    /// The run of the stage.
    pub run: StageRun,
    /// The task inside the stage.
    pub task: TaskIndex,
    /// Which attempt at the task.
    pub number: AttemptNo,
}

impl AttemptId {
    /// Names the `ordinal`-th effect of this attempt's task: the same for every attempt at it.
    pub fn effect(&self, ordinal: u32) -> EffectKey {
        let Self { execution, stage, run, task, number: _ } = self;
        EffectKey(format!("{execution}/{stage}/{run}/{task}/{ordinal}"))
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}#{}", self.execution, self.stage, self.task, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_is_named_without_the_attempt() {
        let first = AttemptId {
            execution: ExecutionId::new("e1"),
            stage: StageRef::new("2"),
            run: 1,
            task: 0,
            number: 1,
        };
        let second = AttemptId { number: 2, ..first.clone() };
        assert_eq!(first.effect(3), second.effect(3));
        assert_ne!(first.effect(3), first.effect(4));
        assert_eq!(second.to_string(), "e1/2/0#2");
    }

    #[test]
    fn an_execution_id_with_a_slash_is_refused() {
        let error = "a/b".parse::<ExecutionId>().unwrap_err().to_string();
        assert_eq!(
            error,
            "`a/b` is not an execution id: only letters, digits and -_.: are allowed"
        );
        assert!("01J-x_y.z".parse::<ExecutionId>().is_ok());
    }
}
