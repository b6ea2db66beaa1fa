//! Deploys to this machine: real processes, real sockets on loopback, every test in a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "local/effects.rs"]
mod effects;
#[path = "local/refusals.rs"]
mod refusals;
#[path = "local/scene.rs"]
mod scene;
#[path = "local/switch.rs"]
mod switch;
