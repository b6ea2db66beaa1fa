#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod catalog;
pub mod context;
pub mod descriptor;
pub mod end;
pub mod secrets;
pub mod stage_type;

pub use catalog::{Catalog, catalog_topic};
pub use context::{ArtifactError, StageLog, TaskContext};
pub use descriptor::{StageDescriptor, TaskDescriptor, When};
pub use end::{EndSignal, Ending};
pub use secrets::{SecretError, SecretSource, Secrets};
pub use shared_model::Effects;
pub use stage_type::StageType;
