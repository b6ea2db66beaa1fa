use jiff::SignedDuration;
use serde_json::json;
use shared_model::{AttemptId, Effects, Epoch, ExecutionId, StageRef};
use shared_plugin::{StageDescriptor, TaskDescriptor, When};
use shared_ports::conformance::SimClock;
use shared_ports::messages::{MESSAGE_VERSION, Report};
use shared_ports::{Outgoing, Queue};
use shared_runtime::Supervisor;

use super::*;
use crate::{Scheduler, Sharing, Start};

const TTL: SignedDuration = SignedDuration::from_secs(15);

/// A scheduler whose workers the test plays.
struct Scene {
    scheduler: Scheduler,
    clock: Arc<SimClock>,
    /// Ends it all.
    _supervisor: Supervisor,
}

impl Scene {
    async fn new(config: Config) -> Self {
        Self::among(config, None).await
    }

    async fn among(config: Config, sharing: Option<Sharing>) -> Self {
        let clock = Arc::new(SimClock::default());
        let ports = shared_adapters::memory::ports(clock.clone(), 10_000);
        let supervisor = Supervisor::new();
        let config = crate::Config { fleet: config, sharing, ..crate::Config::default() };
        let descriptors = vec![descriptor("paint"), descriptor("bake")];
        let scheduler = Scheduler::start(config, ports, descriptors, &supervisor).await.unwrap();
        Self { scheduler, clock, _supervisor: supervisor }
    }

    async fn start(&self, id: &str, kind: &str) {
        let document = json!({
            "application": "shop", "name": "release",
            "stages": [{ "refId": "1", "type": kind, "name": "Do" }],
        });
        let id = Some(ExecutionId::new(id));
        self.scheduler.submit(Start { document, id, ..Start::default() }).await.unwrap();
    }

    async fn beat(&self, worker: &str, can: &[&str], in_flight: Vec<(AttemptId, Epoch)>) {
        let beat = json!({
            "worker": worker, "instance": worker, "capabilities": can, "slots": 2,
            "in_flight": in_flight, "catalog": "c", "draining": false,
            "vitals": { "cpu": 0.1, "memory": 0.2, "resident_bytes": 1 },
        });
        let beat: Heartbeat = serde_json::from_value(beat).unwrap();
        self.scheduler.ports().leases.beat(&beat, TTL).await.unwrap();
    }

    /// A worker says that it has begun.
    async fn begun(&self, id: &str) {
        let report = json!({
            "v": MESSAGE_VERSION, "attempt": attempt(id), "epoch": 1, "worker": "w",
            "instance": "w", "at": self.scheduler.ports().clock.now(), "report": Report::Started,
        });
        let body = serde_json::to_vec(&report).unwrap().into();
        let message = Outgoing { queue: Queue::Reports(0), id: id.to_owned(), body };
        self.scheduler.ports().broker.publish(vec![message]).await.unwrap();
        while self.part("paint").running == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets time go by in small steps, as those who share a store need it to find each other.
    async fn pass(&self, duration: Duration) {
        const STEP: Duration = Duration::from_millis(50);
        for _ in 0..duration.as_millis() / STEP.as_millis() {
            self.clock.advance(STEP);
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn pass_until(&self, is_so: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if is_so() {
                return;
            }
            self.pass(Duration::from_millis(50)).await;
        }
        panic!("it did not come to that within 50 s");
    }

    fn part(&self, capability: &str) -> Part {
        let parts = self.scheduler.demand();
        parts.into_iter().find(|part| part.capability.as_str() == capability).unwrap()
    }

    /// Looks anew after so many seconds.
    async fn look(&self, after: u64) -> Arc<FleetView> {
        self.clock.advance(Duration::from_secs(after));
        self.scheduler.fleet().await.unwrap()
    }
}

fn attempt(id: &str) -> AttemptId {
    let (execution, stage) = (ExecutionId::new(id), StageRef::new("1"));
    AttemptId { execution, stage, run: 1, task: 0, number: 1 }
}

fn descriptor(name: &str) -> StageDescriptor {
    let task = TaskDescriptor {
        name: name.into(),
        capability: Capability::new(name),
        effects: Effects::None,
        when: When::Always,
    };
    StageDescriptor {
        name: name.into(),
        aliases: Vec::new(),
        summary: String::new(),
        schema: json!({ "type": "object" }),
        tasks: vec![task],
        timeout: SignedDuration::from_hours(1),
    }
}

fn wanted(fleet: &FleetView) -> Vec<(&str, u32)> {
    fleet.pools.iter().map(|pool| (pool.name.as_str(), pool.wanted)).collect()
}

#[tokio::test]
async fn from_nothing_to_workers_and_back() {
    let scene = Scene::new(Config::default()).await;
    assert_eq!(wanted(&*scene.look(2).await), [("default", 0)]);
    for id in ["a", "b", "c"] {
        scene.start(id, "paint").await;
    }
    let fleet = scene.look(2).await;
    assert_eq!(wanted(&fleet), [("default", 1)]);
    let paint = fleet.capabilities.iter().find(|one| one.name == "paint").unwrap();
    assert_eq!((paint.demand.ready, paint.demand.running, paint.wanted), (3, 0, 1));
    assert_eq!(paint.demand.oldest_wait_seconds, Some(2.0));
    assert!(paint.why.contains("none is live"), "{}", paint.why);
    scene.begun("a").await;
    scene.beat("w", &["paint"], vec![(attempt("a"), Epoch(1))]).await;
    let fleet = scene.look(2).await;
    assert_eq!(wanted(&fleet), [("default", 2)], "two slots a worker");
    let worker = &fleet.workers[0];
    assert_eq!((worker.name.as_str(), worker.busy, worker.slots), ("w", 1, 2));
    assert_eq!((worker.pool.as_deref(), worker.beat_age_seconds), (Some("default"), 2.0));
    let held = &worker.in_flight[0];
    assert_eq!((held.execution.as_str(), held.stage.as_str(), held.epoch), ("a", "1", 1));
    assert_eq!(fleet.pools[0].demand.running, 1);
    for id in ["a", "b", "c"] {
        scene.scheduler.cancel(&ExecutionId::new(id), "ann", "enough").await.unwrap();
    }
    // What runs is told to end, and still has its slot.
    assert_eq!((scene.part("paint").ready, scene.part("paint").running), (0, 1));
    let fleet = scene.look(30).await;
    assert_eq!(wanted(&fleet), [("default", 2)], "held: {}", fleet.pools[0].why);
    assert!(fleet.workers.is_empty(), "its last beat is older than its lease");
    assert_eq!(wanted(&*scene.look(60).await), [("default", 1)]);
}

#[tokio::test]
async fn a_pool_answers_for_what_it_can_do() {
    let pool = |name: &str, can: &[&str], policy| Pool {
        name: name.into(),
        capabilities: can.iter().map(|name| Capability::new(*name)).collect(),
        policy,
    };
    let small = Policy { workers_max: 1, slots_per_worker: 1, ..Policy::default() };
    let pools =
        vec![pool("bakers", &["bake", "paint"], Some(small)), pool("more", &["bake"], None)];
    let scene = Scene::new(Config { pools, ..Config::default() }).await;
    for id in ["a", "b"] {
        scene.start(id, "bake").await;
    }
    scene.start("c", "paint").await;
    scene.beat("one", &["bake", "paint"], Vec::new()).await;
    scene.beat("other", &["cook"], Vec::new()).await;
    let fleet = scene.look(2).await;
    assert_eq!(wanted(&fleet), [("bakers", 1), ("more", 0), ("default", 1)]);
    assert_eq!(fleet.pools[0].demand.slots, 3);
    assert!(fleet.pools[0].why.ends_with("2 would do, and workers_max is 1"));
    assert_eq!(fleet.pools[2].capabilities, ["cook"]);
    let pools: Vec<_> = fleet.workers.iter().map(|worker| worker.pool.as_deref()).collect();
    assert_eq!(pools, [Some("bakers"), Some("default")]);
}

#[tokio::test]
async fn a_pool_that_names_nothing_does_the_rest() {
    let policy = Some(Policy { workers_min: 3, ..Policy::default() });
    let rest = Pool { name: "general".into(), capabilities: Vec::new(), policy };
    let scene = Scene::new(Config { pools: vec![rest], ..Config::default() }).await;
    let fleet = scene.look(2).await;
    assert_eq!(wanted(&fleet), [("general", 3)]);
    assert_eq!(fleet.pools[0].capabilities, ["bake", "paint"]);
}

#[tokio::test]
async fn a_pool_does_in_every_account_what_it_names_unless_one_has_that_account() {
    let pool = |name: &str, can: &str| Pool {
        name: name.into(),
        capabilities: vec![Capability::new(can)],
        policy: None,
    };
    let pools = vec![pool("painters", "paint"), pool("prod", "paint@prod"), pool("rest", "bake")];
    let scene = Scene::new(Config { pools, ..Config::default() }).await;
    scene.beat("one", &["paint", "paint@test", "paint@home"], Vec::new()).await;
    scene.beat("two", &["paint", "paint@prod"], Vec::new()).await;
    let fleet = scene.look(2).await;
    let can: Vec<_> = fleet.pools.iter().map(|pool| pool.capabilities.join(" ")).collect();
    assert_eq!(can, ["paint paint@home paint@test", "paint@prod", "bake"]);
    let told = fleet.who_cannot(&Capability::new("paint@moon")).unwrap();
    let all =
        "no live worker reaches `moon`; there are one (accounts: test, home), two (accounts: prod)";
    assert_eq!(told, all);
    assert_eq!(fleet.who_cannot(&Capability::new("paint@prod")), None);
}

fn sharing(name: &str) -> Option<Sharing> {
    Some(Sharing { name: name.into(), shards: 16, references_after: Duration::ZERO })
}

fn ready(scheduler: &Scheduler) -> u64 {
    scheduler.demand().iter().map(|part| part.ready).sum()
}

#[tokio::test]
async fn any_of_several_schedulers_answers_for_all() {
    let scene = Scene::among(Config::default(), sharing("one")).await;
    let supervisor = Supervisor::new();
    let other = Config::default();
    let config =
        crate::Config { fleet: other, sharing: sharing("other"), ..crate::Config::default() };
    let ports = scene.scheduler.ports().clone();
    let other = Scheduler::start(config, ports, vec![descriptor("paint")], &supervisor);
    let other = other.await.unwrap();
    for n in 0..40 {
        scene.start(&format!("e{n}"), "paint").await;
    }
    let both = || (ready(&scene.scheduler), ready(&other));
    scene.pass_until(|| matches!(both(), (1.., 1..)) && both().0 + both().1 == 40).await;
    scene.pass(Duration::from_secs(2)).await;
    for scheduler in [&scene.scheduler, &other] {
        let fleet = scheduler.fleet().await.unwrap();
        assert_eq!((fleet.pools[0].demand.ready, fleet.pools[0].wanted), (40, 5), "{:?}", both());
    }
}

#[tokio::test]
async fn what_another_scheduler_tells_holds_as_long_as_it_tells_it() {
    let scene = Scene::among(Config::default(), sharing("me")).await;
    scene.start("a", "paint").await;
    scene.pass_until(|| ready(&scene.scheduler) == 1).await;
    let at = scene.scheduler.ports().clock.now();
    let part = Part { ready: 9, oldest: Some(at), ..scene.part("paint") };
    let counted = serde_json::to_string(&[part]).unwrap();
    for (name, body) in [("one", counted.as_str()), ("other", "nonsense")] {
        let (topic, name, body) = ("demand".into(), name.into(), body.into());
        let note = shared_ports::Note { topic, name, body };
        scene.scheduler.ports().leases.note(&note, TTL).await.unwrap();
    }
    scene.pass(Duration::from_secs(2)).await;
    let fleet = scene.scheduler.fleet().await.unwrap();
    assert_eq!((fleet.pools[0].demand.ready, fleet.pools[0].wanted), (10, 2), "its own not twice");
    scene.pass(Duration::from_secs(20)).await;
    let fleet = scene.scheduler.fleet().await.unwrap();
    assert_eq!(fleet.pools[0].demand.ready, 1, "who says nothing any more is gone");
}

#[tokio::test]
async fn a_look_is_kept_for_a_second() {
    let scene = Scene::new(Config::default()).await;
    let first = scene.look(2).await;
    scene.start("a", "paint").await;
    assert_eq!(*scene.look(0).await, *first);
    assert_ne!(*scene.look(1).await, *first);
}

#[tokio::test]
async fn a_capability_that_nobody_needs_is_told_and_the_rest_goes_on() {
    let scene = Scene::new(Config::default()).await;
    scene.beat("w", &["paint", "paint@prod", "frobnicate"], Vec::new()).await;
    scene.start("a", "paint").await;
    let fleet = scene.look(2).await;
    assert_eq!(fleet.workers[0].unknown_capabilities, ["frobnicate"]);
    assert_eq!(fleet.workers[0].capabilities.len(), 3);
    assert_eq!(scene.part("paint").ready, 1);
}
