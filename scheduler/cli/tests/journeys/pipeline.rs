//! `capstan pipeline`.

use serde_json::json;

use crate::documents::{ask, greet};
use crate::server::Server;

const NAME: &str = "greet it's";

#[test]
fn a_pipeline_is_saved_listed_shown_and_deleted() {
    let server = Server::start();
    let path = server.file("greet.json", &greet().to_string());
    let saved = server.run(&["pipeline", "save", path.to_str().unwrap()]);
    saved.expect(0, &["is saved", r"capstan pipeline execute -a shop 'greet it'\''s' --watch"]);
    assert_eq!(saved.out, "");
    let list = server.out(&["pipeline", "list", "-a", "shop"]);
    let titles: Vec<&str> = list.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(titles, ["NAME", "STAGES", "CHANGED", "ID"]);
    assert!(list.lines().nth(1).unwrap().starts_with("greet it's  1       20"), "{list}");
    let stages = server.out(&["pipeline", "get", "-a", "shop", NAME]);
    assert_eq!(stages, "REF  STAGE  TYPE               AFTER\n1    Say    evaluateVariables\n");
    let deleted = server.json(&["pipeline", "delete", "-a", "shop", NAME]);
    assert_eq!(deleted, json!({ "application": "shop", "name": NAME, "deleted": true }));
    server.run(&["pipeline", "get", "-a", "shop", NAME]).expect(1, &["was not found"]);
    assert_eq!(server.json(&["pipeline", "list", "-a", "shop"]), json!([]));
}

#[test]
fn a_pipeline_is_itself_in_json_and_yaml() {
    let server = Server::start();
    server.save(&greet());
    let document = server.json(&["pipeline", "get", "-a", "shop", NAME]);
    assert_eq!(document["stages"], greet()["stages"]);
    assert_eq!(document["lastModifiedBy"], "ann");
    assert_eq!(server.json(&["pipeline", "list", "-a", "shop"]), json!([document]));
    let yaml = server.out(&["pipeline", "get", "-a", "shop", NAME, "-o", "yaml"]);
    assert!(yaml.contains("\nname: greet it's\n") && yaml.contains("  type: evaluateVariables"));
    // What was shown can be saved again, and is the same pipeline.
    let path = server.file("again.yaml", &yaml.replace("hello", "good-bye"));
    let again = server.json(&["pipeline", "save", path.to_str().unwrap()]);
    assert_eq!(again["id"], document["id"]);
    let value = &again["stages"][0]["variables"][0]["value"];
    assert_eq!(value, "good-bye ${parameters.who}");
}

#[test]
fn saving_a_file_twice_changes_the_pipeline_of_its_name() {
    let server = Server::start();
    server.save(&greet());
    server.save(&greet());
    server.save(&ask());
    let list = server.json(&["pipeline", "list", "-a", "shop"]);
    assert_eq!(list.as_array().unwrap().len(), 2);
}

#[test]
fn a_pipeline_is_read_from_stdin() {
    let server = Server::start();
    let path = server.file("greet.json", &greet().to_string());
    let mut command = server.command(&["pipeline", "save", "-"]);
    crate::ended::run(command.stdin(std::fs::File::open(path).unwrap())).expect(0, &["is saved"]);
}

#[test]
fn an_execution_is_started_and_its_id_printed() {
    let server = Server::start();
    server.save(&greet());
    let start = ["pipeline", "execute", "-a", "shop", NAME, "-p", "who=me"];
    let id = server.out(&start);
    let id = id.trim();
    let execution = server.json(&["execution", "get", id]);
    assert_eq!((&execution["id"], &execution["trigger"]["user"]), (&json!(id), &json!("ann")));
    assert_eq!(execution["trigger"]["parameters"], json!({ "who": "me" }));
    assert!(server.json(&start)["id"].is_string());
    assert!(server.out(&[&start[..], &["-o", "yaml"]].concat()).starts_with("id: "));
}

#[test]
fn an_execution_is_started_and_watched() {
    let server = Server::start();
    server.save(&greet());
    let start = ["pipeline", "execute", "-a", "shop", NAME, "-p", "who=me", "--watch"];
    let ended = server.run(&start);
    ended.expect(0, &["the execution began", "Say ended SUCCEEDED", "greet it's: SUCCEEDED"]);
    assert!(ended.out.contains("1    Say    evaluateVariables  SUCCEEDED"), "{}", ended.out);
    let execution = server.json(&start);
    assert_eq!(execution["stages"][0]["outputs"], json!({ "greeting": "hello me" }));
}

#[test]
fn a_parameter_that_is_missing_is_named() {
    let server = Server::start();
    server.save(&greet());
    let start = ["pipeline", "execute", "-a", "shop", NAME];
    server.run(&start).expect(2, &["Required parameter who is missing", "--parameter who=VALUE"]);
}

#[test]
fn what_is_odd_about_a_saved_document_is_said_with_its_lines() {
    let server = Server::start();
    let text = "{\n  \"application\": \"shop\",\n  \"name\": \"odd\",\n  \"stages\": []\n}\n";
    let path = server.file("odd.json", text);
    let path = path.to_str().unwrap();
    let said = ["warning[", &format!("--> {path}:4 at /stages"), "is saved"];
    server.run(&["pipeline", "save", path]).expect(0, &said);
}
