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
