//! How a deployed thing does, in Spinnaker's words (reference §3.2).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One answer and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Condition {
    /// The answer.
    pub state: bool,
    /// Why; may be empty.
    pub message: String,
}

impl Condition {
    /// Yes.
    pub fn yes() -> Self {
        Self { state: true, message: String::new() }
    }
    /// Yes, and why.
    pub fn because(message: impl Into<String>) -> Self {
        Self { state: true, message: message.into() }
    }
    /// No, and why.
    pub fn not(message: impl Into<String>) -> Self {
        Self { state: false, message: message.into() }
    }
}

/// How a deployed thing does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedStatus {
    /// Whether it is as it was asked to be.
    pub stable: Condition,
    /// Whether it serves.
    pub available: Condition,
    /// Whether somebody holds it.
    pub paused: Condition,
    /// Whether it will not get there any more.
    pub failed: Condition,
}

impl DeployedStatus {
    /// As it was asked to be.
    pub fn stable() -> Self {
        Self {
            stable: Condition::yes(),
            available: Condition::yes(),
            paused: Condition::default(),
            failed: Condition::default(),
        }
    }
    /// It has said nothing yet.
    pub fn none_reported() -> Self {
        Self {
            stable: Condition::not("No status reported yet"),
            available: Condition::not("No availability reported"),
            ..Self::stable()
        }
    }
    /// The same, not yet as it was asked to be.
    #[must_use]
    pub fn unstable(self, message: impl Into<String>) -> Self {
        Self { stable: Condition::not(message), ..self }
    }
    /// The same, not serving.
    #[must_use]
    pub fn unavailable(self, message: impl Into<String>) -> Self {
        Self { available: Condition::not(message), ..self }
    }
    /// The same, held.
    #[must_use]
    pub fn paused(self, message: impl Into<String>) -> Self {
        Self { paused: Condition::because(message), ..self }
    }
    /// The same, lost.
    #[must_use]
    pub fn failed(self, message: impl Into<String>) -> Self {
        Self { failed: Condition::because(message), ..self }
    }

    /// As Spinnaker's API shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "stable": self.stable,
            "available": self.available,
            "paused": self.paused,
            "failed": self.failed,
        })
    }
}
