//! Messages that nobody of us wrote.

use crate::documents::greet;
use crate::role::Role;
use crate::server::Server;

#[test]
fn garbage_on_every_queue_stops_nothing() {
    let server = Server::start();
    let queues = server.scene.queues();
    let kinds = [".ready.", ".reports.", ".control."];
    for kind in kinds {
        assert!(queues.iter().any(|queue| queue.contains(kind)), "{kind} in {queues:?}");
    }
    for queue in queues.iter().filter(|queue| kinds.iter().any(|kind| queue.contains(kind))) {
        for garbage in ["", "{", "null", "{\"v\":1}", "\u{0}\u{1b}[2J", "[[[[[[[[[["] {
            server.scene.publish(queue, garbage);
        }
    }
    server.save(&greet());
    let start = ["pipeline", "execute", "-a", "shop", "greet it's", "-p", "who=me", "--watch"];
    server.run(&start).expect(0, &["greet it's: SUCCEEDED"]);
    // Reports go to whichever scheduler owns their shard.
    let said = |role: &Role| role.said().contains("cannot be read");
    assert!(server.schedulers.iter().any(said), "no scheduler said so");
    for role in server.schedulers.iter().chain(&server.workers) {
        assert!(std::path::Path::new(&format!("/proc/{}", role.pid())).exists());
    }
    for worker in &server.workers {
        assert!(said(worker), "{}", worker.said());
    }
}
