#![doc = include_str!("../README.md")]

pub mod compare;
pub mod embedded;
pub mod graphs;
pub mod lists;
pub mod noisy;
pub mod serve;
pub mod sim;
pub mod stand;
pub mod stepping;
pub mod storm;
pub mod table;
pub mod workload;
