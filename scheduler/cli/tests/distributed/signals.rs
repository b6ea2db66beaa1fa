//! How a worker ends.

use shared_testkit::stack::Redis;

use crate::documents::bake;
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
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start_ready(folder.path(), &[]).unwrap();
    let url = redis.url();
    // It would drain for longer than the test may take.
    let mut server = Server::start_with(|settings| {
        settings["redis"]["url"] = url.into();
        settings["redis"]["response_max"] = "1h".into();
        settings["redis"]["call_max"] = "1h".into();
        settings["worker"]["drain_timeout"] = "1h".into();
    });
    let (id, who) = holding(&server);
    let worker = server.workers.remove(who);
    redis.freeze().unwrap();
    worker.signal("-TERM");
    worker.wait_until_it_says("a second signal exits at once");
    worker.signal("-INT");
    assert_eq!(worker.ended(), Some(130));
    redis.thaw().unwrap();
    std::fs::remove_file(server.folder.path().join("hold")).unwrap();
    server.run(&["execution", "watch", &id]).expect(0, &["bake: SUCCEEDED"]);
}
