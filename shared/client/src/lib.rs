#![doc = include_str!("../README.md")]

mod address;
mod answer;
mod applications;
mod client;
mod error;
mod execution;
mod executions;
mod fleet;
mod live;
mod pipelines;
mod sse;
mod tokens;

pub use applications::Task;
pub use client::{Client, Config};
pub use error::{Error, Refusal};
pub use execution::{Execution, Stage, Wait};
pub use executions::{Listing, Which};
pub use live::{Chunk, Entry, Happening, Happenings, LogStream};
pub use tokens::NewToken;
