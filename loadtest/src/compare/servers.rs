//! Which servers they are.

use std::process::Command;

use serde_json::Value;
use shared_testkit::stack::{PostgresServer, RabbitMq, Redis};

/// The version of a RabbitMQ, if it says so.
pub(super) fn rabbitmq(server: &RabbitMq) -> Option<String> {
    let overview = server.management().request("GET", "/api/overview", "").ok()?;
    let overview: Value = serde_json::from_str(&overview.body).ok()?;
    let (own, erlang) = (&overview["rabbitmq_version"], &overview["erlang_version"]);
    Some(format!("{}, Erlang {}", own.as_str()?, erlang.as_str()?))
}

/// The version of a Redis.
pub(super) fn redis(server: &Redis) -> Option<String> {
    let about = server.command("INFO server").ok()?;
    let version = about.lines().find_map(|line| line.strip_prefix("redis_version:"));
    version.map(|version| version.trim().to_owned())
}

/// The version of a PostgreSQL.
pub(super) fn postgres(server: &PostgresServer) -> Option<String> {
    server.sql("postgres", "SHOW server_version").ok()
}

/// The first line that a program prints.
pub(super) fn printed(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}
