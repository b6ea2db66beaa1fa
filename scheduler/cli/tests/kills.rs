//! `kill -9` of `capstan dev` in the middle of everything at once: a chart that is baked and deployed to
//! the real API server, an image that Packer bakes, a child pipeline, and webhooks to a target that
//! counts. Each execution ends, each effect takes place once, nothing is left behind.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "capstan/baking.rs"]
mod baking;
#[path = "capstan/counted.rs"]
mod counted;
#[path = "capstan/dev.rs"]
mod dev;
#[path = "capstan/ended.rs"]
mod ended;
#[path = "capstan/file.rs"]
mod file;
#[path = "capstan/http.rs"]
mod http;
#[path = "capstan/kills.rs"]
mod kills;
#[path = "capstan/process.rs"]
mod process;
#[path = "kills/scene.rs"]
mod scene;

use std::time::{Duration, Instant};

use ended::run;
use kills::kills;
use process::{capstan, wait_for};
use scene::Scene;
use serde_json::{Value, json};

/// Moments at which it is killed, unless `CAPSTAN_TEST_KILLS` says otherwise.
const KILLS: u64 = 16;
/// How long an execution may take once nobody kills it any more.
const LASTS_MAX: Duration = Duration::from_secs(110);
/// An execution takes about so long, alone.
const LASTS_MS: u64 = 2_600;

#[test]
fn killed_in_the_middle_of_everything_it_finishes_and_does_nothing_twice() {
    let scene = Scene::new();
    let mut asked = 0;
    for round in 0..kills(KILLS) {
        let dev = scene.dev();
        scene.save(&dev);
        let path = scene.start(&dev, round);
        // The same moments in every run, spread over all that goes on side by side.
        dev.kill_after(Duration::from_millis((round * 389) % LASTS_MS)).join().unwrap();
        drop(dev);
        let dev = scene.dev();
        if round % 3 == 0 {
            // The way back is killed as well.
            dev.kill_after(Duration::from_millis((round * 97) % 700)).join().unwrap();
        }
        drop(dev);
        let dev = scene.dev();
        let (execution, told) = finish(&scene, &dev, &path);
        asked += told;
        assert_eq!(execution["status"], "SUCCEEDED", "round {round}: {execution:#}");
        scene.check(&dev, round, &execution);
    }
    println!("{} kills, {asked} outcomes that nobody could know", kills(KILLS));
    last_look(&scene);
    scene.leaves_nothing();
}

/// A server that is started plainly has everything, and nothing to complain of.
fn last_look(scene: &Scene) {
    let dev = dev::Dev::start(scene.folder());
    let url = format!("http://{}", dev.address);
    let listed = run(capstan().args(["execution", "list", "-a", "kills", "--server", &url]));
    listed.expect(0, &[]);
    assert!(listed.out.contains("SUCCEEDED"), "{}", listed.out);
    assert!(!dev.said().contains("ERROR"), "{}", dev.said());
    assert_eq!(dev.end("-TERM"), Some(0));
}

/// Waits for the end; whoever is asked what became of a webhook looks at its target.
fn finish(scene: &Scene, dev: &dev::Dev, path: &str) -> (Value, usize) {
    let (mut told, began) = (0, Instant::now());
    let ended = wait_for("the end of an execution", || {
        let found = dev.get(path);
        let said = || format!("{found:#}\n{}", dev.said());
        assert!(began.elapsed() < LASTS_MAX, "it does not end: {}", said());
        for wait in found["waitingFor"].as_array().into_iter().flatten() {
            if wait["kind"] == "outcome" {
                let stage = wait["stage"].as_str().unwrap();
                let id = found["id"].as_str().unwrap();
                let outcome = if scene.requests("once", id).is_empty() { "repeat" } else { "done" };
                let patch = format!("{path}/stages/{stage}");
                let body = json!({ "outcome": outcome });
                let (status, answer) = dev.send("PATCH", &patch, &body).unwrap();
                assert_eq!(status, 200, "{answer}");
                told += 1;
            }
        }
        Some(found).filter(|found| !found["endTime"].is_null())
    });
    (ended, told)
}
