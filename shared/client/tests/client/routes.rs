//! What is sent, and what is made of the answers.

use serde_json::{Value, json as value};
use shared_client::{Client, Config, Listing, Which};
use shared_model::Object;

use crate::stub::{Stub, answer, json};

#[tokio::test]
async fn names_of_any_character_stay_one_segment() {
    let stub = Stub::start([json("200 OK", "{}")]).await;
    let _any = stub.client().pipeline("a/b", "ü ?#%").await.unwrap();
    assert_eq!(stub.lines(), ["GET /applications/a%2Fb/pipelineConfigs/%C3%BC%20%3F%23%25"]);
    assert!(stub.client().delete_pipeline("..", "x").await.is_err());
}

#[tokio::test]
async fn user_token_and_content_type_are_sent() {
    let stub = Stub::start([answer("200 OK", "text/plain", "")]).await;
    let (token, user) = (Some("t".into()), Some("ann".into()));
    let client = Client::new(Config { token, user, ..Config::of(&stub.url) }).unwrap();
    client.cancel("1", Some("a b")).await.unwrap();
    let asked = stub.asked().remove(0);
    assert!(asked.starts_with("PUT /pipelines/1/cancel?reason=a+b "), "{asked}");
    for header in
        ["x-spinnaker-user: ann", "authorization: Bearer t", "content-type: application/json"]
    {
        assert!(asked.contains(header), "{asked}");
    }
}

#[tokio::test]
async fn a_pipeline_is_started() {
    let stub = Stub::start([json("202 Accepted", r#"{"ref":"/pipelines/01X"}"#)]).await;
    let parameters = Object::from_iter([("k".to_owned(), Value::from("v"))]);
    assert_eq!(stub.client().execute("a", "p", &parameters).await.unwrap(), "01X");
    let asked = stub.asked().remove(0);
    let (_, body) = asked.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body, value!({"type": "manual", "parameters": {"k": "v"}}));
}

#[tokio::test]
async fn an_application_is_created_and_its_task_waited_for() {
    let missing = r#"{"status":404,"message":"application `a` was not found"}"#;
    let stub = Stub::start([
        json("404 Not Found", missing),
        json("200 OK", r#"{"ref":"/tasks/7"}"#),
        json("200 OK", r#"{"status":"RUNNING"}"#),
        json("200 OK", r#"{"status":"SUCCEEDED"}"#),
    ])
    .await;
    let task = stub.client().save_application("a", &value!({"name": "a"})).await.unwrap();
    assert!(task.has_succeeded() && task.id == "7");
    assert_eq!(
        stub.lines(),
        ["GET /applications/a", "POST /tasks", "GET /tasks/7", "GET /tasks/7"]
    );
    assert!(stub.asked()[1].contains(r#""type":"createApplication","application":{"name":"a"}"#));
}

#[tokio::test]
async fn a_task_that_fails_says_why() {
    let failed = r#"{"status":"TERMINAL","variables":[
        {"key":"exception","value":{"details":{"errors":["it has pipelines"]}}}]}"#;
    let stub = Stub::start([json("200 OK", failed)]).await;
    let task = stub.client().task("7").await.unwrap();
    assert_eq!((task.has_succeeded(), task.failure()), (false, Some("it has pipelines")));
}

#[tokio::test]
async fn executions_are_listed() {
    let listing = Listing { statuses: vec!["RUNNING".into(), "TERMINAL".into()], limit: 3 };
    let stub = Stub::start(vec![json("200 OK", r#"[{"id":"1"}]"#); 3]).await;
    let client = stub.client();
    let found = client.executions(Which::Application("a"), &listing).await.unwrap();
    assert_eq!(found[0].id(), "1");
    client.executions(Which::Pipeline("c"), &Listing { limit: 1, ..listing }).await.unwrap();
    client.executions_by_id(&["1", "2"]).await.unwrap();
    assert_eq!(
        stub.lines(),
        [
            "GET /applications/a/pipelines?limit=3&statuses=RUNNING%2CTERMINAL&expand=true",
            "GET /executions?limit=1&statuses=RUNNING%2CTERMINAL&pipelineConfigIds=c",
            "GET /executions?executionIds=1%2C2",
        ]
    );
}
