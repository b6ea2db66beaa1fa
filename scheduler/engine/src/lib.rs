#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod artifact_match;
pub mod autoscale;
pub mod command;
mod encoding;
pub mod event;
pub mod execution;
pub mod fair;
pub mod graph;
pub mod native;
mod outstanding;
pub mod plan;
pub mod retry;
pub mod stage;
mod step;
pub mod trigger_match;
mod waiting;
pub mod window;

pub use encoding::DecodeError;
pub use execution::{Cancel, Execution, Flight, Pause, StartRule};
pub use outstanding::outstanding;
pub use step::{SYSTEM, Stale, Step};
pub use waiting::{WaitingFor, WaitingKind, waiting_for};
