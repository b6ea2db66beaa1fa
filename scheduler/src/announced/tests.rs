use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use shared_model::{Capability, Effects, ExecutionId};
use shared_plugin::{TaskDescriptor, When};
use shared_ports::Heartbeat;
use shared_ports::conformance::SimClock;

use super::*;
use crate::{Config, Scheduler, Sharing, Start};

const TTL: SignedDuration = SignedDuration::from_mins(5);

/// Schedulers on one store, whose workers the test plays.
struct Scene {
    ports: Ports,
    clock: Arc<SimClock>,
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(SimClock::default());
        let ports = shared_adapters::memory::ports(clock.clone(), 10_000);
        Self { ports, clock }
    }

    async fn scheduler(&self, name: &str) -> (Scheduler, Supervisor) {
        let sharing =
            Some(Sharing { name: name.to_owned(), shards: 1, references_after: Duration::ZERO });
        let (config, supervisor) = (Config { sharing, ..Config::default() }, Supervisor::new());
        let own = vec![descriptor("paint", "ours")];
        let scheduler = Scheduler::start(config, self.ports.clone(), own, &supervisor);
        (scheduler.await.unwrap(), supervisor)
    }

    /// A worker with a catalog of that hash, which lives for a minute.
    async fn worker(&self, hash: &str, announces: &[(&str, String)]) {
        let beat = json!({
            "worker": hash, "instance": hash, "capabilities": ["x"], "slots": 1, "in_flight": [],
            "vitals": {}, "catalog": hash, "draining": false,
        });
        let beat: Heartbeat = serde_json::from_value(beat).unwrap();
        self.ports.leases.beat(&beat, SignedDuration::from_mins(1)).await.unwrap();
        for (name, body) in announces {
            let (topic, name) = (catalog_topic(hash), (*name).to_owned());
            let note = Note { topic, name, body: body.clone() };
            self.ports.leases.note(&note, TTL).await.unwrap();
        }
    }

    async fn pass(&self, duration: Duration) {
        for _ in 0..duration.as_millis() / 50 {
            self.clock.advance(Duration::from_millis(50));
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
    }
}

fn descriptor(name: &str, summary: &str) -> StageDescriptor {
    StageDescriptor {
        name: name.into(),
        aliases: vec![format!("{name}Alias")],
        summary: summary.into(),
        schema: json!({ "type": "object" }),
        tasks: vec![TaskDescriptor {
            name: name.into(),
            capability: Capability::new(name),
            effects: Effects::None,
            when: When::Always,
        }],
        timeout: SignedDuration::from_hours(1),
    }
}

fn body(name: &str, summary: &str) -> String {
    serde_json::to_string(&descriptor(name, summary)).unwrap()
}

#[tokio::test]
async fn a_stage_type_outlives_the_workers_that_announced_it() {
    let scene = Scene::new();
    let (one, supervisor) = scene.scheduler("one").await;
    assert!(!one.knows("frobnicate"));
    let garbage = ("garbage", "{".to_owned());
    scene.worker("a", &[garbage, ("frobnicate", body("frobnicate", "1"))]).await;
    scene.pass(Duration::from_secs(3)).await;
    assert!(one.knows("frobnicate") && one.knows("frobnicateAlias") && !one.knows("garbage"));
    assert!(one.capabilities().contains(&Capability::new("frobnicate")));
    drop((one, supervisor));

    // The worker is gone, and what it said.
    scene.pass(Duration::from_secs(400)).await;
    let (two, _supervisor) = scene.scheduler("two").await;
    assert!(two.knows("frobnicate"));
    scene.pass(Duration::from_secs(3)).await;
    let document = json!({
        "application": "shop", "name": "release",
        "stages": [{ "refId": "1", "type": "frobnicate", "name": "Do" }],
    });
    let id = Some(ExecutionId::new("e"));
    let id = two.submit(Start { document, id, ..Start::default() }).await.unwrap();
    scene.pass(Duration::from_secs(2)).await;
    let execution = serde_json::to_value(two.execution(&id).await.unwrap().unwrap()).unwrap();
    assert_eq!(execution["status"], "RUNNING", "{execution:#}");
}

#[tokio::test]
async fn the_newest_word_counts_but_not_on_what_is_our_own() {
    let scene = Scene::new();
    let (scheduler, _supervisor) = scene.scheduler("one").await;
    let first = [("mix", body("mix", "1")), ("paint", body("paint", "theirs"))];
    scene.worker("a", &first).await;
    scene.pass(Duration::from_secs(3)).await;
    scene.worker("b", &[("mix", body("mix", "2"))]).await;
    scene.pass(Duration::from_secs(3)).await;
    let stored = scene.ports.documents.list(KIND, "", None, 10).await.unwrap();
    let stored: Vec<_> =
        stored.iter().map(|one| (one.id.as_str(), one.version, &one.body["summary"])).collect();
    assert_eq!(stored, [("mix", 2, &json!("2"))]);
    assert!(scheduler.knows("paint") && scheduler.knows("mixAlias"));
}
