#![doc = include_str!("../README.md")]

pub mod capacity;
pub mod moniker;
pub mod server_group;
pub mod status;
pub mod strategy;
pub mod target;

pub use capacity::{Capacity, Resize};
pub use moniker::Moniker;
pub use server_group::ServerGroup;
pub use status::{Condition, DeployedStatus};
