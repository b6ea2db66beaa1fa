//! The images in `scheduler/packaging`, started as the compose file says, on the test stack's servers.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "images/compose.rs"]
mod compose;
#[path = "images/container.rs"]
mod container;
#[path = "capstan/ended.rs"]
mod ended;
#[path = "capstan/file.rs"]
mod file;
#[path = "images/image.rs"]
mod image;
#[path = "images/pipeline.rs"]
mod pipeline;
#[path = "capstan/process.rs"]
mod process;
