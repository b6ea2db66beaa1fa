//! The trait behind every stage type that runs on workers.

use async_trait::async_trait;
use shared_model::TaskAnswer;

use crate::{StageDescriptor, TaskContext};

/// One kind of stage, e.g. `deployManifest`. Everything the product knows about it is here.
#[async_trait]
pub trait StageType: Send + Sync {
    /// Name, schema, tasks, capability. Announced to the scheduler by every worker that has it.
    fn describe(&self) -> StageDescriptor;

    /// Runs the task named `task`. Repeatable under the same effect keys; returns soon after
    /// `cx.cancelled()`.
    async fn run(&self, task: &str, cx: &TaskContext) -> TaskAnswer;
}
