//! How a worker ends.

use crate::documents::bake;
use crate::process::wait_for;
use crate::server::Server;

/// A bake whose helm holds, and who runs it.
fn holding(server: &Server) -> (String, usize) {
    server.file("hold", "");
    server.save(&bake());
    let id = server.out(&["pipeline", "execute", "-a", "shop", "bake"]).trim().to_owned();
    (id, server.who_bakes())
}

#[test]
fn a_worker_that_is_told_to_end_hands_its_work_over() {
    let mut server = Server::start();
    let (id, who) = holding(&server);
    let worker = server.workers.remove(who);
    worker.signal("-TERM");
    assert_eq!(worker.ended(), Some(0));
    server.who_bakes();
    std::fs::remove_file(server.folder.path().join("hold")).unwrap();
    server.run(&["execution", "watch", &id]).expect(0, &["bake: SUCCEEDED"]);
}

#[test]
fn a_second_signal_ends_a_worker_at_once() {
    // It would drain for longer than the test may take.
    let mut server = Server::start_with(|settings| {
        settings["worker"]["drain_timeout"] = "1h".into();
        settings["worker"]["hold_message_for"] = "1h".into();
    });
    let (id, who) = holding(&server);
    let worker = server.workers.remove(who);
    // A tool that does not listen to what it is told.
    worker.signal("-STOP");
    worker.signal("-TERM");
    worker.signal("-CONT");
    wait_for("the first signal", || worker.said().contains("a second signal").then_some(()));
    worker.signal("-INT");
    let code = worker.ended();
    // Its work may have been handed over between the two.
    assert!([Some(130), Some(0)].contains(&code), "{code:?}");
    std::fs::remove_file(server.folder.path().join("hold")).unwrap();
    server.run(&["execution", "watch", &id]).expect(0, &["bake: SUCCEEDED"]);
}
