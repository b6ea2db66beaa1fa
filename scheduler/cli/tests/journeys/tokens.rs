//! With a token: as whom, and how far.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::documents::{ask, greet};
use crate::ended::{Ended, run};
use crate::http::send;
use crate::process::wait_for;
use crate::server::Server;

/// Makes a token; its text.
fn token(server: &Server, scope: &str) -> String {
    let asked = json!({ "name": scope, "user": "robot", "scope": scope, "expiresInSeconds": 60 });
    let address = server.url.strip_prefix("http://").unwrap();
    let (status, answer) = send(address, "POST", "/v1/tokens", &asked.to_string()).unwrap();
    assert_eq!(status, 201, "{answer}");
    answer["token"].as_str().unwrap().to_owned()
}

fn with(server: &Server, token: &str, words: &[&str]) -> Ended {
    run(server.command(words).env("CAPSTAN_TOKEN", token))
}

#[test]
fn a_token_says_who_acts() {
    let server = Server::start();
    let path = server.file("greet.json", &greet().to_string());
    let words = ["pipeline", "save", path.to_str().unwrap()];
    with(&server, &token(&server, "operate"), &words).expect(0, &["is saved"]);
    let saved = server.json(&["pipeline", "get", "-a", "shop", "greet it's"]);
    assert_eq!(saved["lastModifiedBy"], "robot");
}

#[test]
fn a_token_that_does_not_reach_so_far_is_refused() {
    let server = Server::start();
    server.save(&greet());
    let token = token(&server, "read");
    with(&server, &token, &["pipeline", "get", "-a", "shop", "greet it's"]).expect(0, &[]);
    let start = ["pipeline", "execute", "-a", "shop", "greet it's", "-p", "who=me"];
    with(&server, &token, &start).expect(1, &["(403)", "has the scope `read`", "help: "]);
    assert_eq!(server.json(&["execution", "list", "-a", "shop"]), json!([]));
}

#[test]
fn a_token_that_nobody_gave_is_refused_and_an_empty_one_is_none() {
    let server = Server::start();
    let list = ["application", "list"];
    with(&server, "capstan_x_y", &list).expect(1, &["(401)", "--token or CAPSTAN_TOKEN"]);
    with(&server, "", &list).expect(0, &[]);
}

#[test]
fn a_token_is_made_used_listed_and_taken_back() {
    let server = Server::start();
    server.save(&greet());
    let made = server.run(&["token", "create", "ci", "--scope", "read", "--expires", "1h"]);
    made.expect(0, &["not shown again"]);
    let text = made.out.lines().nth(1).unwrap().trim().to_owned();
    let list = ["pipeline", "list", "-a", "shop"];
    with(&server, &text, &list).expect(0, &[]);
    let refused = with(&server, &text, &["application", "save", "other"]);
    refused.expect(1, &["the token `ci` has the scope `read`, and this needs `operate`"]);
    assert!(!refused.err.contains(&text), "{}", refused.err);
    let listed = server.json(&["token", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["createdBy"]), (&"ci".into(), &"ann".into()));
    let id = listed[0]["id"].as_str().unwrap();
    server.run(&["token", "revoke", id]).expect(0, &["taken back"]);
    with(&server, &text, &list).expect(1, &["token create"]);
    server.run(&["token", "revoke", id]).expect(1, &["was not found"]);
    server.run(&["token", "create", "ci", "--expires", "soon"]).expect(2, &["90d"]);
}

#[test]
fn a_judgment_is_answered_with_a_role_that_it_wants() {
    let server = Server::start();
    let mut document = ask();
    document["stages"][0]["selectedStageRoles"] = json!(["releasers"]);
    server.save(&document);
    let id = server.out(&["pipeline", "execute", "-a", "shop", "ask"]).trim().to_owned();
    wait_for("the judgment", || {
        let execution = server.json(&["execution", "get", &id]);
        (execution["waitingFor"][0]["kind"] == "judgment").then_some(())
    });
    let token = |role: &str| {
        let made = server.run(&["token", "create", "ci", "--expires", "1h", "--role", role]);
        made.expect(0, &[]);
        made.out.lines().nth(1).unwrap().trim().to_owned()
    };
    let judge = ["execution", "judge", &id, "1", "--continue"];
    with(&server, &token("developers"), &judge).expect(1, &["(403)", "one of the roles releasers"]);
    with(&server, &token("Releasers"), &judge).expect(0, &["judged: continue"]);
}

#[test]
fn a_token_may_stand_in_a_file() {
    let server = Server::start();
    let token = token(&server, "read");
    let path = server.file("token", &format!("{token}\n"));
    let file = path.to_str().unwrap();
    let list =
        |file: &str| run(&mut server.command(&["application", "list", "--token-file", file]));
    let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o600);
    let quiet = list(file);
    quiet.expect(0, &[]);
    assert_eq!(quiet.err, "");
    let by_variable =
        server.command(&["application", "list"]).env("CAPSTAN_TOKEN_FILE", file).output();
    assert!(by_variable.unwrap().status.success());
    mode(0o644);
    list(file).expect(0, &["warning: others can read the token file", "chmod 600"]);
    with(&server, &token, &["application", "list", "--token-file", file])
        .expect(2, &["give one of them", "--token-file"]);
    server.file("token", "capstan_x_y");
    list(file).expect(1, &["(401)"]);
    for (text, why) in [("", "holds no token"), ("two words", "holds no token")] {
        server.file("token", text);
        let ended = list(file);
        ended.expect(2, &[why, file]);
        assert!(!ended.err.contains("two"), "{}", ended.err);
    }
    list("/nowhere").expect(2, &["`/nowhere` cannot be read", "this user may read"]);
}
