//! The trait behind every stage type that runs on workers.

use async_trait::async_trait;
use shared_model::TaskAnswer;

use crate::{StageDescriptor, TaskContext};

/// One kind of stage, e.g. `deployManifest`. Everything the product knows about it is here.
#[async_trait]
pub trait StageType: Send + Sync {
    /// Name, schema, tasks, capability. Announced to the scheduler by every worker that has it.
    fn describe(&self) -> StageDescriptor;

    /// The accounts that this worker has credentials for; a stage that names another one goes to a
    /// worker that has those. Only asked of types one of whose fields names an account
    /// ([`StageDescriptor::account_fields`]).
    fn accounts(&self) -> Vec<String> {
        Vec::new()
    }

    /// Runs the task named `task`. Repeatable under the same effect keys; returns soon after
    /// `cx.told_to_end()`: with what stands half-done undone if that says `Cancel`, with everything
    /// left where it is if it says `HandOver`.
    async fn run(&self, task: &str, cx: &TaskContext) -> TaskAnswer;

    /// Called once `run` has ended because the execution was cancelled or the stage's time is up
    /// (Orca's `onCancel`), and not when the worker stops: makes good what the outside world would go
    /// on with for nobody. It has a few seconds, and is dropped where it stands once they are over. Not
    /// called where `run` failed: that is for `run` to make good.
    async fn cancelled(&self, task: &str, cx: &TaskContext) {
        let _nothing_to_make_good = (task, cx);
    }
}
