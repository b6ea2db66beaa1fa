#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod guard;
pub mod http;
pub mod metrics;
pub mod shutdown;
pub mod supervisor;
pub mod telemetry;
pub mod tool;

pub use supervisor::{Kind, Supervisor};
pub use tool::{Opened, ToolError, ToolRun, Tools};
