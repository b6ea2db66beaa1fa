//! What a stage type says of itself. Stored as a document when first announced (D18).

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_model::{Capability, Effects};

/// Everything the scheduler knows about a kind of stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageDescriptor {
    /// The stage's `type`, e.g. `deployManifest`.
    pub name: String,
    /// Other names under which documents ask for it.
    pub aliases: Vec<String>,
    /// One sentence.
    pub summary: String,
    /// JSON Schema of the stage's own fields.
    pub schema: Value,
    /// Its tasks, in order.
    pub tasks: Vec<TaskDescriptor>,
    /// How long the stage may take where the document does not say (`stageTimeoutMs`).
    pub timeout: SignedDuration,
}

/// One task of a stage type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDescriptor {
    /// Spinnaker's name of it, e.g. `waitForManifestToStabilize`.
    pub name: String,
    /// What a worker must be able to do to take it.
    pub capability: Capability,
    /// What it does to the outside world.
    pub effects: Effects,
}

impl StageDescriptor {
    /// Whether a document that asks for `name` means this stage type.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}
