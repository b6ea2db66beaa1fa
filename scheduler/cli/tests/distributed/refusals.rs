//! What waiting does not help against: it is said at once, with what to do and without a secret.

use std::path::PathBuf;

use serde_json::Value;
use shared_testkit::env;
use shared_testkit::stack::Redis;
use tempfile::TempDir;

use crate::ended::Ended;
use crate::file::file;
use crate::role::{Role, command, refused};
use crate::scene::Scene;

struct Refused {
    scene: Scene,
    folder: TempDir,
}

impl Refused {
    fn new() -> Self {
        Self { scene: Scene::take(), folder: tempfile::tempdir().unwrap() }
    }

    fn settings(&self, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
        let mut settings = self.scene.settings(self.folder.path());
        let own = self.folder.path().join(name);
        settings["local"]["data_dir"] = own.to_str().unwrap().into();
        // A test that waits in vain fails.
        settings["start"]["wait_max"] = "10m".into();
        change(&mut settings);
        file(self.folder.path(), &format!("{name}.yaml"), &settings.to_string())
    }

    fn of(&self, role: &str, change: impl FnOnce(&mut Value)) -> Ended {
        let ended = refused(role, &self.settings(role, change));
        assert!(!ended.err.contains("pa55word"), "{}", ended.err);
        ended
    }
}

#[test]
fn a_wrong_password_of_rabbitmq() {
    let refused = Refused::new();
    let url = refused.scene.amqp_url().replace("guest:guest", "guest:pa55word");
    for role in ["scheduler", "worker"] {
        let ended = refused.of(role, |settings| settings["amqp"]["url"] = url.clone().into());
        ended.expect(2, &["check user and password in `amqp.url`"]);
    }
}

#[test]
fn a_virtual_host_that_is_not_there() {
    let refused = Refused::new();
    let url = env::amqp_url().replace("%2f", "nowhere");
    for role in ["scheduler", "worker"] {
        let ended = refused.of(role, |settings| settings["amqp"]["url"] = url.clone().into());
        ended.expect(2, &["create the virtual host", "nowhere"]);
    }
}

#[test]
fn queues_that_have_other_arguments() {
    let refused = Refused::new();
    for role in ["scheduler", "worker"] {
        let usual = refused.settings(&format!("usual-{role}"), |_| ());
        let running = Role::start(command(role, &usual), &refused.folder.path().join("said"));
        running.address();
        let ended = refused.of(role, |settings| settings["amqp"]["queue_len_max"] = 5.into());
        ended.expect(2, &["was made with another `x-max-length`", "delete_queue"]);
    }
}

#[test]
fn a_redis_that_drops_leases() {
    let refused = Refused::new();
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start_ready(folder.path(), &["--maxmemory-policy", "allkeys-lru"]).unwrap();
    for role in ["scheduler", "worker"] {
        let ended = refused.of(role, |settings| settings["redis"]["url"] = redis.url().into());
        ended.expect(2, &["`maxmemory-policy` is `allkeys-lru`", "set it to `noeviction`"]);
    }
}

#[test]
fn a_postgresql_without_rights_a_wrong_password_and_no_database() {
    let refused = Refused::new();
    let scene = &refused.scene;
    let user = format!("nobody_{}", scene.name());
    let new = format!("{}_bare", scene.name());
    scene.sql(&format!("CREATE USER {user} PASSWORD 'pa55word'"));
    scene.sql(&format!("CREATE DATABASE {new}"));
    let bare = scene.store_url().replace(&format!("/{}", scene.name()), &format!("/{new}"));
    shared_testkit::stack::sql(&bare, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").unwrap();
    let (_, address) = bare.split_once('@').unwrap();
    let address = address.to_owned();
    let with = |url: String| {
        refused.of("scheduler", move |settings| settings["store"]["url"] = url.into())
    };
    with(format!("postgres://{user}:pa55word@{address}"))
        .expect(2, &["may not make tables", "GRANT"]);
    with(format!("postgres://capstan:pa55word@{address}")).expect(2, &["refused to let us in"]);
    with(format!("{bare}_none")).expect(2, &["there is no such database"]);
    scene.sql(&format!("DROP DATABASE {new} WITH (FORCE)"));
    scene.sql(&format!("DROP USER {user}"));
}

#[test]
fn a_postgresql_of_a_newer_version() {
    let refused = Refused::new();
    let usual = refused.settings("usual", |_| ());
    let mut first = Role::start(command("scheduler", &usual), &refused.folder.path().join("said"));
    first.address();
    first.kill();
    refused.scene.sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'of the future', true, '', 0)",
    );
    let ended = refused.of("scheduler", |_| ());
    refused.scene.sql("DELETE FROM _sqlx_migrations WHERE version = 99");
    ended.expect(2, &["has schema version 99", "use the version that wrote it, or a newer one"]);
}

#[test]
fn settings_that_are_missing_or_make_no_sense() {
    let refused = Refused::new();
    let without = |role: &str, section: &str| {
        refused.of(role, |settings| drop(settings.as_object_mut().unwrap().remove(section)))
    };
    without("scheduler", "store").expect(2, &["`store.url` is not set", "CAPSTAN__STORE__URL"]);
    without("worker", "amqp").expect(2, &["`amqp.url` is not set", "--set amqp.url"]);
    without("worker", "redis").expect(2, &["`redis.url` is not set"]);
    without("worker", "local").expect(2, &["`local.shared_dir` is not set"]);
    let worker =
        |key: &str, value: Value| refused.of("worker", |settings| settings["worker"][key] = value);
    worker("capabilities", vec!["bake.hlm"].into()).expect(2, &["`bake.hlm`", "bake.helm"]);
    worker("slots", 0.into()).expect(2, &["`worker.slots` is 0"]);
    worker("name", "a b".into()).expect(2, &["`worker.name` is \"a b\""]);
    worker("lease_ttl", "1s".into()).expect(2, &["`worker.heartbeat_interval` is 500ms"]);
    worker("tool_grace", "4s".into())
        .expect(2, &["`worker.tool_grace` is 4s, and `worker.lease_ttl` 3s"]);
    worker("lease_ttl", "1m".into()).expect(2, &["`redis.grace` is 3s"]);
    worker("slot", 1.into()).expect(2, &["there is no setting `worker.slot`", "is `slots` meant?"]);
    worker("slots", "many".into()).expect(2, &["`worker.slots` cannot be used"]);
}
