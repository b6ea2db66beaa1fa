//! A virtual host, a database and a prefix in Redis that no other test uses at the same time.
//!
//! They are made for the first test that needs them and used again by those after it: queues of a
//! cluster of brokers are not for one second each. What an earlier test stored is emptied first.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once};

use serde_json::{Value, json};
use shared_testkit::env;
use shared_testkit::stack::{Management, sql};

/// Scenes that nobody uses now.
static FREE: Mutex<Vec<Place>> = Mutex::new(Vec::new());
/// What the names of all of them begin with.
const NAMES: &str = "roles_";

#[derive(Clone)]
struct Place {
    name: String,
}

/// A place that is this test's until it is dropped.
pub(crate) struct Scene {
    place: Place,
}

impl Scene {
    pub(crate) fn take() -> Self {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(remove_what_others_left);
        let free = FREE.lock().unwrap().pop();
        let place = free.inspect(Place::empty).unwrap_or_else(Place::make);
        Self { place }
    }

    /// The settings of all roles, with a folder of blobs below `folder`.
    pub(crate) fn settings(&self, folder: &Path) -> Value {
        // Workers of an earlier test were killed, and their names are theirs until their leases end.
        static USES: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("{}_{}", self.place.name, USES.fetch_add(1, Ordering::Relaxed));
        json!({
            "store": { "url": self.store_url() },
            "amqp": { "url": self.amqp_url() },
            // Work of a test lasts for seconds; nobody waits longer to call it lost.
            "redis": { "url": env::redis_url(), "prefix": prefix, "grace": "3s" },
            "local": { "shared_dir": folder.join("shared") },
            "api": { "listen": "127.0.0.1:0" },
            "worker": {
                "lease_ttl": "3s",
                "heartbeat_interval": "500ms",
                "drain_timeout": "10s",
                "allow_urls": ["127.0.0.1"],
            },
            "start": { "wait_max": "60s" },
        })
    }

    pub(crate) fn amqp_url(&self) -> String {
        env::amqp_url().replace("%2f", &self.place.name)
    }

    pub(crate) fn store_url(&self) -> String {
        let url = env::postgres_url();
        format!("{}/{}", url.rsplit_once('/').unwrap().0, self.place.name)
    }

    pub(crate) fn sql(&self, statement: &str) -> String {
        sql(&self.store_url(), statement).unwrap()
    }

    pub(crate) fn name(&self) -> &str {
        &self.place.name
    }

    /// Puts a message on a queue, past every producer of ours.
    pub(crate) fn publish(&self, queue: &str, text: &str) {
        let path = format!("/api/exchanges/{}/amq.default/publish", self.place.name);
        let body = json!({
            "properties": {}, "routing_key": queue, "payload": text, "payload_encoding": "string",
        });
        let answer = management().request("POST", &path, &body.to_string()).unwrap();
        assert!(answer.body.contains("\"routed\":true"), "{queue}: {}", answer.body);
    }

    /// The queues that there are, by name.
    pub(crate) fn queues(&self) -> Vec<String> {
        self.place.queues()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        FREE.lock().unwrap().push(self.place.clone());
    }
}

impl Place {
    fn make() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = Self { name: format!("{NAMES}{}_{count}", std::process::id()) };
        management().make_vhost(&place.name).unwrap();
        sql(&env::postgres_url(), &format!("CREATE DATABASE {}", place.name)).unwrap();
        place
    }

    /// Throws away what an earlier test stored. Its processes are gone.
    fn empty(&self) {
        let url = env::postgres_url();
        let url = format!("{}/{}", url.rsplit_once('/').unwrap().0, self.name);
        let tables = "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables \
                      WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'";
        let tables = sql(&url, tables).unwrap();
        if !tables.trim().is_empty() {
            sql(&url, &format!("TRUNCATE {}", tables.trim())).unwrap();
        }
        let is_filled = |queue: &&String| queue.contains(".ready.") || queue.contains(".control.");
        for queue in self.queues().iter().filter(is_filled) {
            let path = format!("/api/queues/{}/{queue}/contents", self.name);
            management().must("DELETE", &path, "").unwrap();
        }
    }

    fn queues(&self) -> Vec<String> {
        let path = format!("/api/queues/{}?columns=name", self.name);
        names(&management().request("GET", &path, "").unwrap().body)
    }
}

fn management() -> Management {
    Management::at(&env::rabbitmq_management_url())
}

/// Of processes that do not run any more.
fn remove_what_others_left() {
    let is_left = |name: &String| {
        let pid = name.strip_prefix(NAMES).and_then(|rest| rest.split('_').next());
        pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
    };
    let vhosts = management().request("GET", "/api/vhosts?columns=name", "").unwrap().body;
    for vhost in names(&vhosts).into_iter().filter(is_left) {
        let _gone = management().request("DELETE", &format!("/api/vhosts/{vhost}"), "");
    }
    let url = env::postgres_url();
    let databases = sql(&url, "SELECT datname FROM pg_database").unwrap();
    for database in databases.lines().map(str::to_owned).filter(is_left) {
        let _gone = sql(&url, &format!("DROP DATABASE {database} WITH (FORCE)"));
    }
}

fn names(list: &str) -> Vec<String> {
    let list: Vec<Value> = serde_json::from_str(list).unwrap();
    list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}
