//! A few hundred pipelines at once, with real bakes and deploys among them, while everything that they
//! run on is killed in turn: a worker, a scheduler, RabbitMQ, Redis with all that it knew, PostgreSQL;
//! and a worker sleeps for longer than its lease. Nothing is lost, nothing is done twice, all end.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test fails where it stands, waits by the machine's own clock and prints figures"
)]

#[path = "capstan/ended.rs"]
mod ended;
#[path = "capstan/file.rs"]
mod file;
#[path = "capstan/http.rs"]
mod http;
#[path = "storm/load.rs"]
mod load;
#[path = "capstan/process.rs"]
mod process;
#[path = "distributed/role.rs"]
#[expect(dead_code, reason = "the journeys use all of it")]
mod role;
#[path = "distributed/scene.rs"]
#[expect(dead_code, reason = "the journeys use all of it")]
mod scene;
#[path = "distributed/server.rs"]
#[expect(dead_code, reason = "the journeys use all of it")]
mod server;
#[path = "storm/servers.rs"]
mod servers;
#[path = "capstan/tools.rs"]
mod tools;

use std::time::{Duration, Instant};

use load::Load;
use servers::Servers;

/// How long the load runs undisturbed before the first accident and after each.
const QUIET: Duration = Duration::from_secs(3);
/// How long a worker sleeps; its lease lives for three seconds.
const SLEEP: Duration = Duration::from_secs(8);

#[test]
fn whatever_is_killed_nothing_is_lost_and_nothing_done_twice() {
    let mut servers = Servers::start();
    let load = Load::start(&servers.server);
    load.wait_until_it_runs();
    accident(&load, "a worker", || servers.restart_worker(0));
    accident(&load, "a scheduler", || servers.restart_scheduler(0));
    accident(&load, "RabbitMQ", || servers.restart_rabbitmq());
    accident(&load, "Redis, emptied", || servers.restart_redis());
    accident(&load, "PostgreSQL", || servers.restart_postgres());
    accident(&load, "a worker that sleeps", || servers.suspend_worker(1, SLEEP));
    load.end();
}

/// What the world sees of an accident: how long until the next effect once all is there again, and
/// the longest silence meanwhile and thereafter.
fn accident(load: &Load, name: &str, happen: impl FnOnce()) {
    std::thread::sleep(QUIET);
    let running = load.running();
    let began = Instant::now();
    let silence = load.longest_silence(|| {
        happen();
        let lasted = began.elapsed();
        let next = load.next_progress();
        println!(
            "{name}: {running} running; there again after {lasted:?}, next effect {next:?} later"
        );
        std::thread::sleep(QUIET);
    });
    println!("{name}: longest silence {silence:?}");
}
