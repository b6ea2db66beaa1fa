//! A worker that is killed in the middle of its work.

use std::time::Instant;

use crate::documents::bake;
use crate::server::Server;

#[test]
fn a_killed_worker_s_bake_is_taken_over() {
    let mut server = Server::start();
    server.file("hold", "");
    server.save(&bake());
    let id = server.out(&["pipeline", "execute", "-a", "shop", "bake"]).trim().to_owned();
    let killed = server.who_bakes();
    server.workers[killed].kill();
    server.workers.remove(killed);
    let began = Instant::now();
    server.who_bakes();
    println!("killed → running again: {:?}", began.elapsed());
    std::fs::remove_file(server.folder.path().join("hold")).unwrap();
    let watched = server.run(&["execution", "watch", &id]);
    watched.expect(0, &["bake: SUCCEEDED"]);
    let log = server.out(&["execution", "logs", &id, "Bake"]);
    assert_eq!(log.matches("Z two\n").count(), 1, "{log}");
}

#[test]
fn work_that_takes_down_worker_after_worker_stops_and_names_them() {
    let mut server = Server::start_with(|settings| settings["limits"]["takeovers_max"] = 1.into());
    server.file("hold", "");
    server.save(&bake());
    let id = server.out(&["pipeline", "execute", "-a", "shop", "bake"]).trim().to_owned();
    // Whoever is left has the number that its name says no more.
    let mut names = vec!["worker-0", "worker-1", "worker-2"];
    let mut killed = Vec::new();
    for _ in 0..2 {
        let place = server.who_bakes();
        server.workers[place].kill();
        server.workers.remove(place);
        killed.push(names.remove(place));
    }
    let ended = server.run(&["execution", "watch", &id]);
    ended.expect(1, &["bake: TERMINAL"]);
    let execution = server.json(&["execution", "get", &id]);
    let context = &execution["stages"][0]["context"];
    let error = context["exception"]["details"]["errors"][0].as_str().unwrap();
    for part in
        killed.iter().chain(&["taken over 1 times, as often as is allowed", "stopped answering"])
    {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
    assert!(!error.contains(names[0]), "{error}");
    assert_eq!(context["lostWorkers"].as_array().unwrap().len(), 2, "{context:#}");
    assert_eq!(context["exception"]["exceptionType"], "WorkerLost");
}
