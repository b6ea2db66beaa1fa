//! Servers that are not there yet.

use shared_testkit::stack::{PostgresServer, Redis};

use crate::file::file;
use crate::role::{Role, command};
use crate::scene::Scene;

#[test]
fn a_worker_waits_for_redis() {
    let (scene, folder) = (Scene::take(), tempfile::tempdir().unwrap());
    let mut redis = Redis::start_ready(&folder.path().join("redis"), &[]).unwrap();
    redis.crash().unwrap();
    let mut settings = scene.settings(folder.path());
    settings["redis"]["url"] = redis.url().into();
    settings["redis"]["call_max"] = "500ms".into();
    let config = file(folder.path(), "settings.yaml", &settings.to_string());
    let mut command = command("worker", &config);
    command.arg("--data-dir").arg(folder.path().join("worker"));
    let worker = Role::start(command, &folder.path().join("said"));
    worker.wait_until_it_says("waiting for up to 60s: ");
    std::thread::sleep(std::time::Duration::from_secs(3));
    let said = worker.said();
    assert!(said.matches("waiting for").count() <= 3, "each cause once: {said}");
    redis.start_again().unwrap();
    worker.address();
    worker.signal("-TERM");
    assert_eq!(worker.ended(), Some(0));
}

#[test]
fn a_scheduler_waits_for_postgresql_and_leaves_it_at_a_signal() {
    let (scene, folder) = (Scene::take(), tempfile::tempdir().unwrap());
    let mut postgres = PostgresServer::start(&[]).unwrap();
    postgres.kill().unwrap();
    let mut settings = scene.settings(folder.path());
    settings["store"]["url"] = postgres.url("postgres").into();
    let config = file(folder.path(), "settings.yaml", &settings.to_string());
    let start = |name: &str| {
        let mut command = command("scheduler", &config);
        command.arg("--data-dir").arg(folder.path().join(name));
        Role::start(command, &folder.path().join(format!("said-{name}")))
    };
    let (waiting, impatient) = (start("a"), start("b"));
    for role in [&waiting, &impatient] {
        role.wait_until_it_says("waiting for up to 60s: no PostgreSQL server answers");
    }
    impatient.signal("-TERM");
    assert_eq!(impatient.ended(), Some(0));
    postgres.launch().unwrap();
    waiting.address();
    waiting.signal("-TERM");
    assert_eq!(waiting.ended(), Some(0));
}
