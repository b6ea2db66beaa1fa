//! What users do with a server, through the command line, over real HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "journeys/application.rs"]
mod application;
#[path = "journeys/bad_input.rs"]
mod bad_input;
#[path = "journeys/client.rs"]
mod client;
#[path = "journeys/documents.rs"]
mod documents;
#[path = "capstan/ended.rs"]
mod ended;
#[path = "journeys/errors.rs"]
mod errors;
#[path = "journeys/execution.rs"]
mod execution;
#[path = "capstan/file.rs"]
mod file;
#[path = "journeys/fleet.rs"]
mod fleet;
#[path = "journeys/following.rs"]
mod following;
#[path = "capstan/http.rs"]
mod http;
#[path = "journeys/names.rs"]
mod names;
#[path = "journeys/pipeline.rs"]
mod pipeline;
#[path = "capstan/process.rs"]
mod process;
#[path = "capstan/server.rs"]
mod server;
#[path = "journeys/tokens.rs"]
mod tokens;
#[path = "capstan/tools.rs"]
mod tools;
#[path = "journeys/webhook.rs"]
mod webhook;
