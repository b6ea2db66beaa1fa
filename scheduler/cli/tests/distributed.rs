//! Real schedulers and workers as processes, on a real RabbitMQ, Redis and PostgreSQL: every journey
//! of `journeys.rs`, from the same code, and what only they have.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "distributed/accounts.rs"]
mod accounts;
#[path = "journeys/application.rs"]
mod application;
#[path = "journeys/bad_input.rs"]
mod bad_input;
#[path = "distributed/bridge.rs"]
mod bridge;
#[path = "journeys/client.rs"]
mod client;
#[path = "distributed/clocks.rs"]
mod clocks;
#[path = "dev/telemetry/collector.rs"]
#[expect(dead_code, reason = "the tests of `dev` use all of it")]
mod collector;
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
#[path = "distributed/garbage.rs"]
mod garbage;
#[path = "distributed/hpa.rs"]
mod hpa;
#[path = "capstan/http.rs"]
mod http;
#[path = "journeys/names.rs"]
mod names;
#[path = "journeys/pipeline.rs"]
mod pipeline;
#[path = "distributed/probes.rs"]
mod probes;
#[path = "capstan/process.rs"]
mod process;
#[path = "distributed/refusals.rs"]
mod refusals;
#[path = "distributed/role.rs"]
mod role;
#[path = "distributed/scene.rs"]
mod scene;
#[path = "distributed/secrets.rs"]
mod secrets;
#[path = "distributed/server.rs"]
#[expect(dead_code, reason = "the storm uses all of it")]
mod server;
#[path = "distributed/signals.rs"]
mod signals;
#[path = "distributed/starting.rs"]
mod starting;
#[path = "distributed/takeover.rs"]
mod takeover;
#[path = "distributed/token.rs"]
mod token;
#[path = "journeys/tokens.rs"]
mod tokens;
#[path = "capstan/tools.rs"]
mod tools;
#[path = "distributed/traces.rs"]
mod traces;
#[path = "journeys/webhook.rs"]
mod webhook;
