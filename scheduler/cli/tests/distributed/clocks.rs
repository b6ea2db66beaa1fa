//! Machines whose clocks are apart.

use std::path::PathBuf;
use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::documents::bake;
use crate::server::Server;

/// What a process is given so that its clock is off: the library of `faketime`, by how much, and that
/// durations stay as long as they are.
fn off_by(offset: &str) -> Vec<(String, String)> {
    let library = Command::new("faketime").args(["-m", "0", "printenv", "LD_PRELOAD"]).output();
    let library = library.unwrap_or_else(|error| {
        panic!("`faketime` is not there ({error}); on Debian: `apt-get install faketime`")
    });
    let library = PathBuf::from(String::from_utf8(library.stdout).unwrap().trim());
    assert!(library.is_absolute(), "faketime preloads {}", library.display());
    let library = library.to_str().unwrap().to_owned();
    [("LD_PRELOAD", library.as_str()), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// A wait, and a bake that has five minutes: less than what the clocks are apart.
fn timed() -> Value {
    let mut timed = bake();
    timed["name"] = "timed".into();
    let stages = timed["stages"].as_array_mut().unwrap();
    stages[0]["requisiteStageRefIds"] = json!(["0"]);
    stages[0]["overrideTimeout"] = true.into();
    stages[0]["stageTimeoutMs"] = 300_000.into();
    stages.push(json!({ "refId": "0", "type": "wait", "name": "Wait", "waitTime": 2 }));
    timed
}

#[test]
fn clocks_ten_minutes_apart_change_nothing() {
    let mut server = Server::without_workers(off_by("+10m"), |_, _| ());
    for (number, offset) in ["-10m", "+0", "+20m"].into_iter().enumerate() {
        server.variables = off_by(offset);
        server.workers.push(server.start_worker(number));
    }
    server.workers.iter().for_each(|worker| drop(worker.address()));
    server.save(&timed());
    // Enough for each worker to have one.
    let ids: Vec<String> = (0..9)
        .map(|_| server.out(&["pipeline", "execute", "-a", "shop", "timed"]).trim().to_owned())
        .collect();
    for id in &ids {
        server.run(&["execution", "watch", id]).expect(0, &["timed: SUCCEEDED"]);
        let execution = server.json(&["execution", "get", id]);
        let now = Timestamp::now().as_millisecond();
        for of in std::iter::once(&execution).chain(execution["stages"].as_array().unwrap()) {
            for time in ["startTime", "endTime"] {
                let apart = now - of[time].as_i64().unwrap();
                assert!((-5_000..300_000).contains(&apart), "{time} {apart} ms ago: {of:#}");
            }
        }
    }
    let fleet = server.json(&["fleet"]);
    for worker in fleet["workers"].as_array().unwrap() {
        assert!(worker["beatAgeSeconds"].as_f64().unwrap() < 60.0, "{worker:#}");
    }
}

#[test]
fn a_worker_that_is_killed_is_taken_over_whatever_its_clock_shows() {
    let mut server = Server::without_workers(off_by("-10m"), |_, _| ());
    for (number, offset) in ["+10m", "+0"].into_iter().enumerate() {
        server.variables = off_by(offset);
        server.workers.push(server.start_worker(number));
    }
    server.workers.iter().for_each(|worker| drop(worker.address()));
    server.file("hold", "");
    server.save(&timed());
    let id = server.out(&["pipeline", "execute", "-a", "shop", "timed"]).trim().to_owned();
    let killed = server.who_bakes();
    server.workers[killed].kill();
    server.workers.remove(killed);
    server.who_bakes();
    std::fs::remove_file(server.folder.path().join("hold")).unwrap();
    server.run(&["execution", "watch", &id]).expect(0, &["timed: SUCCEEDED"]);
}
