//! Who works, at what, and how many are wanted.

use serde_json::Value;

use crate::documents::bake;
use crate::process::wait_for;
use crate::server::Server;

#[test]
fn the_fleet_shows_a_worker_and_what_it_works_on() {
    let server = Server::start();
    server.file("hold", "");
    server.save(&bake());
    let id = server.out(&["pipeline", "execute", "-a", "shop", "bake"]).trim().to_owned();
    let (fleet, worker) = wait_for("a beat that lists the bake", || {
        let fleet = server.json(&["fleet"]);
        let mut workers = fleet["workers"].as_array().unwrap().iter();
        let has_it = |worker: &&Value| worker["inFlight"][0]["execution"] == id;
        let worker = workers.find(has_it).cloned()?;
        // Schedulers tell each other once a second what their executions ask for.
        (fleet["pools"][0]["demand"]["running"] == 1).then_some((fleet, worker))
    });
    assert_eq!((&worker["inFlight"][0]["stage"], &worker["busy"]), (&"1".into(), &1.into()));
    assert_eq!((&worker["pool"], &worker["draining"]), (&"default".into(), &false.into()));
    assert!(worker["beatAgeSeconds"].as_f64().unwrap() < 15.0, "{worker:#}");
    let pool = &fleet["pools"][0];
    // Those that are there are kept for a while.
    assert!(pool["wanted"].as_u64().unwrap() >= 1, "{pool:#}");
    assert!(worker["disk"].as_f64().unwrap() > 0.0, "{worker:#}");
    let capabilities = fleet["capabilities"].as_array().unwrap();
    let running = |capability: &&Value| capability["demand"]["running"] == 1;
    let asked: Vec<_> = capabilities.iter().filter(running).map(|one| &one["name"]).collect();
    assert_eq!(asked, ["bake.helm"]);
    // Another scheduler may answer, with what it knew a second ago.
    let parts = ["WORKS ON", "BECAUSE", &format!("{id}/1"), "0 ready, 1 running", "bake.helm"];
    wait_for("a table that has it all", || {
        let table = server.out(&["fleet"]);
        parts.iter().all(|part| table.contains(part)).then_some(())
    });
}
