#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod artifact;
pub mod ids;
pub mod limits;
pub mod outcome;
pub mod parse;
pub mod pipeline;
pub mod problem;
pub mod stage;
pub mod status;

pub use artifact::{Artifact, ExpectedArtifact};
pub use ids::{
    AttemptId, AttemptNo, Capability, EffectKey, Epoch, ExecutionId, StageRef, StageRun, TaskIndex,
    WorkerId,
};
pub use limits::Limits;
pub use outcome::{Effects, Retry, TaskAnswer, TaskError, TaskResult};
pub use pipeline::Pipeline;
pub use problem::{Problem, Severity};
pub use stage::StageView;
pub use status::Status;

/// A JSON object in the order in which its keys were written.
pub type Object = serde_json::Map<String, serde_json::Value>;
