//! The client's routes that no command needs, against the real server.

use shared_client::{Client, Config};

use crate::documents::greet;
use crate::server::Server;

#[test]
fn a_server_says_what_it_is_and_what_happened() {
    let server = Server::start();
    server.save(&greet());
    let start = ["pipeline", "execute", "-a", "shop", "greet it's", "-p", "who=me", "--watch"];
    let execution = server.json(&start);
    let id = execution["id"].as_str().unwrap();
    let client = Client::new(Config::of(&server.url)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        assert_eq!(client.version().await.unwrap(), env!("CARGO_PKG_VERSION"));
        assert_eq!(client.health().await.unwrap(), "UP");
        let found = client.executions_by_id(&[id]).await.unwrap();
        assert!(found[0].id() == id && found[0].has_succeeded());
        let history = client.history(id, 0).await.unwrap();
        let numbers: Vec<u64> = history.iter().map(|entry| entry.number).collect();
        assert!(numbers.len() > 2 && numbers.is_sorted(), "{numbers:?}");
        assert_eq!(client.history(id, numbers[1]).await.unwrap(), history[2..]);
        assert!(client.log(id, "1", 0).await.unwrap().is_empty());
    });
}
