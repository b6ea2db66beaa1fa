//! `capstan token`.

use crate::documents::greet;
use crate::server::Server;

#[test]
fn a_token_is_made_used_listed_and_taken_back() {
    let server = Server::start();
    server.save(&greet());
    let made = server.run(&["token", "create", "ci", "--scope", "read", "--expires", "1h"]);
    made.expect(0, &["not shown again"]);
    let text = made.out.lines().nth(1).unwrap().trim().to_owned();
    let with =
        |words: &[&str]| crate::ended::run(server.command(words).env("CAPSTAN_TOKEN", &text));
    with(&["pipeline", "list", "-a", "shop"]).expect(0, &[]);
    let refused = with(&["application", "save", "other"]);
    refused.expect(1, &["the token `ci` has the scope `read`, and this needs `operate`"]);
    assert!(!refused.err.contains(&text), "{}", refused.err);
    let listed = server.json(&["token", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["createdBy"]), (&"ci".into(), &"ann".into()));
    let id = listed[0]["id"].as_str().unwrap();
    server.run(&["token", "revoke", id]).expect(0, &["taken back"]);
    with(&["pipeline", "list", "-a", "shop"]).expect(1, &["token create"]);
    server.run(&["token", "revoke", id]).expect(1, &["was not found"]);
    server.run(&["token", "create", "ci", "--expires", "soon"]).expect(2, &["90d"]);
}
