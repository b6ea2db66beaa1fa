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

use std::path::PathBuf;
use std::time::{Duration, Instant};

use load::Load;
use servers::Servers;
use shared_testkit::env;

/// How long the load runs undisturbed before the first accident and after each.
const QUIET: Duration = Duration::from_secs(3);
/// How long a worker sleeps; its lease lives for three seconds.
const SLEEP: Duration = Duration::from_secs(8);

/// How long old and new programs work together before the next one is replaced.
const MIXED: Duration = Duration::from_secs(1);

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

/// From the program of the commit before to this one and back, each role in its turn, so that for a
/// time old and new ones of both roles work together. Everything that was submitted succeeds.
#[test]
fn an_upgrade_and_the_way_back_fail_nothing() {
    let mut servers = Servers::start_from(&env::previous());
    let load = Load::start(&servers.server);
    load.wait_until_it_runs();
    let this = PathBuf::from(env!("CARGO_BIN_EXE_capstan"));
    for (name, program) in [("to this version", this), ("back", env::previous())] {
        let (running, began) = (load.running(), Instant::now());
        let silence = load.longest_silence(|| {
            servers.roll(&program, || {
                let _next = load.next_progress();
                std::thread::sleep(MIXED);
            });
        });
        let took = began.elapsed();
        println!("{name}: {running} running; took {took:?}, longest silence {silence:?}");
    }
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
