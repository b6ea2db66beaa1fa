#![doc = include_str!("../README.md")]

pub mod moniker;
pub mod status;

pub use moniker::Moniker;
pub use status::{Condition, DeployedStatus};
