#![doc = include_str!("../README.md")]

pub mod embedded;
pub mod lists;
pub mod noisy;
pub mod serve;
pub mod sim;
pub mod stand;
pub mod workload;
