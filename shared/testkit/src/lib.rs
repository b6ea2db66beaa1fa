#![doc = include_str!("../README.md")]

pub mod audit;
pub mod corpus;
pub mod deadline;
pub mod env;
pub mod http_server;
pub mod install;
pub mod stack;
pub mod tidy;
pub mod tls;
pub mod tool;
pub mod traffic;

pub use env::corpus_dir;
pub use stack::{Stack, StackAddresses};

/// The last `count` lines of a text.
fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
