#![doc = include_str!("../README.md")]

mod balancer;
mod config;
mod error;
mod files;
mod group;
mod health;
mod launch;
mod operate;
mod process;
mod request;
pub mod sample;
mod stage;
mod store;

pub use balancer::serve::main as balancer_main;
pub use config::{Limits, LocalConfig};
pub use request::LOCAL;
pub use stage::{DeployLocal, OperateLocal, Operation};
