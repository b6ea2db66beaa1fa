//! `capstan application`, and `capstan completion`.

use serde_json::json;

use crate::documents::greet;
use crate::ended::run;
use crate::process::capstan;
use crate::server::Server;

#[test]
fn an_application_is_saved_listed_shown_and_deleted() {
    let server = Server::start();
    let saved = server.run(&["application", "save", "shop", "--email", "a@example.com"]);
    saved.expect(0, &["application shop is saved"]);
    assert_eq!(saved.out, "");
    let table = "NAME  EMAIL          DESCRIPTION\nshop  a@example.com\n";
    assert_eq!(server.out(&["application", "get", "shop"]), table);
    // The sample may be beside it, and makes the column wider.
    let list = server.out(&["application", "list"]);
    let is_row = |line: &str| line.split_whitespace().eq(["shop", "a@example.com"]);
    assert!(list.lines().any(is_row), "{list}");
    let shown = server.json(&["application", "get", "shop"]);
    assert_eq!(shown["attributes"]["lastModifiedBy"], "ann");
    assert!(server.out(&["application", "get", "shop", "-o", "yaml"]).starts_with("name: shop\n"));
    let list = server.json(&["application", "list"]);
    assert!(list.as_array().unwrap().iter().any(|one| one["name"] == "shop"));
    server.run(&["application", "delete", "shop"]).expect(0, &["application shop is deleted"]);
    server.run(&["application", "get", "shop"]).expect(1, &["application `shop` was not found"]);
    server.run(&["application", "delete", "shop"]).expect(1, &["was not found"]);
}

#[test]
fn attributes_come_from_a_file_and_change_what_is_there() {
    let server = Server::start();
    server.save(&greet());
    let path = server.file("app.yaml", "name: shop\nemail: b@example.com\ndescription: a shop\n");
    let path = path.to_str().unwrap();
    let saved = server.json(&["application", "save", "--file", path]);
    assert_eq!(saved["attributes"]["description"], "a shop");
    let saved = server.json(&["application", "save", "--file", path, "--email", "c@example.com"]);
    assert_eq!(saved["attributes"]["email"], "c@example.com");
    let deleted = server.json(&["application", "delete", "shop"]);
    assert_eq!(deleted, json!({ "name": "shop", "deleted": true }));
}

#[test]
fn an_application_that_cannot_be_is_refused() {
    let server = Server::start();
    server.run(&["application", "save", "a/b"]).expect(1, &["`a/b` is no name of an application"]);
    server.run(&["application", "save"]).expect(2, &["NAME"]);
    let path = server.file("app.json", "{}");
    let words = ["application", "save", "--file", path.to_str().unwrap()];
    server.run(&words).expect(2, &["has no `name`"]);
}

#[test]
fn shells_get_their_completions() {
    for (shell, part) in
        [("bash", "complete -F"), ("zsh", "#compdef capstan"), ("fish", "-c capstan")]
    {
        let ended = run(capstan().args(["completion", shell]));
        ended.expect(0, &[]);
        assert!(ended.out.contains(part) && ended.out.contains("execution"), "{shell}");
    }
    run(capstan().args(["completion", "tcsh"])).expect(2, &["bash", "zsh"]);
}
