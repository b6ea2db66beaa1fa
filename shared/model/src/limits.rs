//! Every limit on a document and on what is made of it, with its unit in its name (D29). An error that a limit causes names it.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Limits on pipeline documents and executions. Load tests raise them; the defaults suit people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Size of a document.
    pub document_bytes_max: usize,
    /// How deep JSON may nest; a parser's stack is finite.
    pub document_depth_max: usize,
    /// Stages of one pipeline.
    pub stages_max: usize,
    /// Edges between stages of one pipeline.
    pub edges_max: usize,
    /// Length of a name, an application or a `refId`.
    pub name_bytes_max: usize,
    /// Attempts at one task that a worker reports as failed but worth trying again.
    pub attempts_max: u32,
    /// Takeovers of one attempt (lost workers, hand-overs): work that kills worker after worker stops.
    pub takeovers_max: u32,
    /// Stages that one stage may plan before, after or on failure of itself.
    pub synthetic_stages_max: usize,
    /// Executions that stand above one in a chain of pipelines that start each other.
    pub child_depth_max: u32,
    /// Executions that run at once; further ones wait. `None` for any number.
    pub executions_running_max: Option<NonZeroU32>,
    /// The same of one application.
    pub executions_running_per_application_max: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes_max: 2 * 1024 * 1024,
            document_depth_max: 100,
            stages_max: 2_000,
            edges_max: 20_000,
            name_bytes_max: 250,
            attempts_max: 5,
            takeovers_max: 5,
            synthetic_stages_max: 500,
            child_depth_max: 20,
            executions_running_max: None,
            executions_running_per_application_max: None,
        }
    }
}
