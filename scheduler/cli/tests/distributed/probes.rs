//! What processes say of themselves.

use serde_json::Value;
use shared_testkit::stack::Redis;

use crate::documents::bake;
use crate::http::{send, send_with};
use crate::process::wait_for;
use crate::server::Server;

fn readiness(address: &str) -> (u16, Value) {
    send(address, "GET", "/readyz", "").unwrap()
}

fn check<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let checks = answer["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()
}

#[test]
fn without_redis_work_is_degraded_and_nobody_is_sent_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start_ready(folder.path(), &[]).unwrap();
    let url = redis.url();
    let server = Server::start_with(|settings| {
        settings["redis"]["url"] = url.into();
        settings["redis"]["call_max"] = "500ms".into();
    });
    let scheduler = server.schedulers[0].address();
    let worker = server.workers[0].address();
    for address in [&scheduler, &worker] {
        wait_for("ready", || (readiness(address).1["status"] == "ready").then_some(()));
    }
    redis.crash().unwrap();
    for address in [&scheduler, &worker] {
        let answer = wait_for("degraded", || {
            let (code, answer) = readiness(address);
            assert_eq!(code, 200, "{answer}");
            (answer["status"] == "degraded").then_some(answer)
        });
        assert_eq!(check(&answer, "leases")["status"], "degraded", "{answer}");
        assert!(check(&answer, "leases")["why"].is_string(), "{answer}");
        assert_eq!(check(&answer, "broker")["status"], "ok", "{answer}");
    }
    redis.start_again().unwrap();
    for address in [&scheduler, &worker] {
        wait_for("ready", || (readiness(address).1["status"] == "ready").then_some(()));
    }
}

#[test]
fn a_store_that_is_gone_takes_a_scheduler_out_of_service() {
    let server = Server::start();
    let address = server.schedulers[0].address();
    let database = server.scene.name();
    let admin = shared_testkit::env::postgres_url();
    let closed = |closed: bool| {
        let statement = format!(
            "ALTER DATABASE {database} ALLOW_CONNECTIONS {}; SELECT pg_terminate_backend(pid) \
             FROM pg_stat_activity WHERE datname = '{database}'",
            !closed
        );
        shared_testkit::stack::sql(&admin, &statement).unwrap();
    };
    closed(true);
    let answer = wait_for("not ready", || {
        let (code, answer) = readiness(&address);
        (code == 503).then_some(answer)
    });
    assert_eq!(check(&answer, "documents")["status"], "failed", "{answer}");
    assert_eq!(send(&address, "GET", "/livez", "").unwrap().0, 200);
    closed(false);
    let mut said = Value::Null;
    wait_for("ready", || {
        let (code, answer) = readiness(&address);
        if answer != said {
            println!("{code} {answer}");
        }
        said = answer;
        (code == 200).then_some(())
    });
}

#[test]
fn a_worker_shows_its_metrics_to_who_has_the_token() {
    let server = Server::start_with(|settings| {
        settings["worker"]["token"] = "s3cret-s3cret-s3cret-s3cret-s3cret".into();
    });
    let worker = server.workers[0].address();
    let metrics = |headers: &str| send_with(&worker, "GET", "/metrics", headers, "").unwrap();
    let (code, _, said) = metrics("");
    assert!(code == 401 && said.contains("worker.token"), "{code} {said}");
    assert_eq!(metrics("Authorization: Bearer wrong\r\n").0, 401);
    let (code, _, text) = metrics("Authorization: Bearer s3cret-s3cret-s3cret-s3cret-s3cret\r\n");
    assert!(code == 200 && text.contains("capstan_worker_slots"), "{code} {text}");
    assert_eq!(send(&worker, "GET", "/livez", "").unwrap().0, 200);
    assert_eq!(send(&worker, "GET", "/none", "").unwrap().0, 404);
    assert_eq!(send(&worker, "POST", "/readyz", "").unwrap().0, 405);
}

#[test]
fn after_redis_lost_everything_it_is_said_why_nothing_begins() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start_ready(folder.path(), &[]).unwrap();
    let url = redis.url();
    let server = Server::start_with(|settings| {
        settings["redis"]["url"] = url.into();
        settings["redis"]["grace"] = "20s".into();
    });
    let scheduler = server.schedulers[0].address();
    wait_for("ready", || (readiness(&scheduler).1["status"] == "ready").then_some(()));
    redis.command("FLUSHALL").unwrap();
    server.save(&bake());
    let id = server.out(&["pipeline", "execute", "-a", "shop", "bake"]);
    let answer = wait_for("degraded", || {
        let (code, answer) = readiness(&scheduler);
        assert_eq!(code, 200, "{answer}");
        (answer["status"] == "degraded").then_some(answer)
    });
    let why = check(&answer, "leases")["why"].as_str().unwrap().to_owned();
    assert!(why.contains("came up a short time ago"), "{why}");
    wait_for("the reason", || {
        let execution = server.json(&["execution", "get", id.trim()]);
        let unblock = execution["waitingFor"][0]["unblock"].as_str().unwrap_or_default();
        unblock.contains("came up a short time ago").then_some(())
    });
    server.run(&["fleet"]).expect(0, &["nothing new begins for now"]);
    let watched = server.run(&["execution", "watch", id.trim()]);
    watched.expect(0, &["bake: SUCCEEDED"]);
    wait_for("ready", || (readiness(&scheduler).1["status"] == "ready").then_some(()));
}
