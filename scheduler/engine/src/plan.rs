//! What a stage consists of. Made by the scheduler's shell when the stage starts, from the stage
//! type's descriptor and the evaluated context; the engine only carries it out.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared_model::{Capability, Effects};

/// One task of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlan {
    /// Spinnaker's name of it.
    pub name: String,
    /// Who carries it out.
    pub kind: TaskKind,
}

/// Who carries a task out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskKind {
    /// A worker with the capability.
    Worker {
        /// What the worker must be able to do.
        capability: Capability,
        /// What the task does to the outside world.
        effects: Effects,
    },
    /// The scheduler's shell, at once and without the outside world: variables, conditions, binding.
    Native,
    /// Nobody: it ends at a time.
    Wait {
        /// When.
        until: Timestamp,
    },
    /// A person.
    Judgment,
    /// Another execution, named by the stage's `executionId`: its end is the task's.
    Child,
}

/// A stage that another stage plans before, after or on failure of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyntheticPlan {
    /// Its type.
    pub stage_type: String,
    /// Its name.
    pub name: String,
    /// Whether it waits for the one before it in the same list; else they run side by side.
    pub after_previous: bool,
}

/// Whose side of its parent's tasks a synthetic stage stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Owner {
    /// Runs before the parent's tasks; its `refId` reads `<parent><<n>`.
    Before,
    /// Runs after the parent's tasks succeeded, or because they failed; `<parent>><n>`.
    After,
}

/// What a stage consists of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StagePlan {
    /// Stages to run before the tasks.
    pub before: Vec<SyntheticPlan>,
    /// The tasks, in order.
    pub tasks: Vec<TaskPlan>,
    /// Whether the shell is to be asked for after-stages once the tasks succeeded.
    pub plans_after: bool,
    /// Whether the shell is to be asked for on-failure stages once the tasks failed.
    pub plans_on_failure: bool,
}

/// The document's words about a stage's failure and time, evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `failPipeline`: a failure is TERMINAL (absent means true), else STOPPED.
    pub fail_pipeline: bool,
    /// `continuePipeline`: a failure is FAILED_CONTINUE; beats everything else.
    pub continue_pipeline: bool,
    /// `completeOtherBranchesThenFail`: a STOPPED stage fails the pipeline at its end.
    pub complete_other_branches_then_fail: bool,
    /// `failOnFailedExpressions`: a failed expression is TERMINAL whatever the flags say.
    pub fail_on_failed_expressions: bool,
    /// `allowSiblingStagesToContinueOnFailure`: a synthetic FAILED_CONTINUE does not end its parent.
    pub siblings_continue: bool,
    /// `stageTimeoutMs`, else the stage type's own time limit; none for a stage that may take for ever.
    pub timeout: Option<SignedDuration>,
    /// `markSuccessfulOnTimeout`.
    pub mark_successful_on_timeout: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fail_pipeline: true,
            continue_pipeline: false,
            complete_other_branches_then_fail: false,
            fail_on_failed_expressions: false,
            siblings_continue: false,
            timeout: None,
            mark_successful_on_timeout: false,
        }
    }
}
