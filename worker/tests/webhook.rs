//! The stage type `webhook` against real servers, good and rude ones.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test asks for the answers it expects")]
#![expect(clippy::disallowed_methods, reason = "real servers need real time")]

#[path = "webhook/create.rs"]
mod create;
#[path = "webhook/endings.rs"]
mod endings;
#[path = "webhook/guarded.rs"]
mod guarded;
#[path = "webhook/monitor.rs"]
mod monitor;
#[path = "webhook/scene.rs"]
mod scene;
