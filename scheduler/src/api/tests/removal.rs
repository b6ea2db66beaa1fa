//! What has ended can be deleted, what runs cannot.

use bytes::Bytes;
use shared_ports::LogName;

use super::*;

async fn ended(scene: &Scene, id: &ExecutionId) {
    let path = format!("/pipelines/{id}/stages/ask");
    let judged = scene.send("PATCH", &path, r#"{"judgmentStatus": "continue"}"#).await;
    assert_eq!(judged.status, 200, "{}", judged.body);
    while scene.scheduler.execution(id).await.unwrap().unwrap()["status"] != "SUCCEEDED" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_not_deleted_and_what_has_ended_is_gone_with_its_logs() {
    let scene = Scene::new().await;
    let (path, ports) = (scene.pipeline(), scene.scheduler.ports());
    let log = LogName { execution: scene.id.to_string(), stage: "ask".into() };
    ports.blobs.append(&log, Bytes::from_static(b"a line")).await.unwrap();
    let before = ports.journal.load(&scene.id).await.unwrap();
    let refused = scene.send("DELETE", &path, "").await;
    assert!(refused.is_error(409, "conflict"), "{}", refused.body);
    let why = "Cannot delete a running pipeline, please cancel it first.";
    assert_eq!(refused.json()["message"], why);
    assert_eq!(ports.journal.load(&scene.id).await.unwrap(), before, "nothing changed");
    ended(&scene, &scene.id).await;
    let wrong = scene.send("DELETE", &format!("/tasks/{}", scene.id), "").await;
    assert!(wrong.is_error(404, "not-found"), "it is no task: {}", wrong.body);
    let gone = scene.send("DELETE", &path, "").await;
    assert_eq!((gone.status, gone.body.as_str()), (200, ""));
    assert!(scene.send("GET", &path, "").await.is_error(404, "not-found"));
    let log_path = format!("/v1/executions/{}/stages/ask/log", scene.id);
    assert!(scene.send("GET", &log_path, "").await.is_error(404, "not-found"));
    assert_eq!(ports.blobs.read(&log, 0, 100).await.unwrap(), "");
    let listed = scene.send("GET", "/applications/shop/pipelines", "").await;
    assert_eq!(listed.json(), json!([]));
    assert!(scene.send("DELETE", &path, "").await.is_error(404, "not-found"));
    let restart = format!("{path}/stages/ask/restart");
    assert!(scene.send("PUT", &restart, "").await.is_error(404, "not-found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_deleted_too() {
    let scene = Scene::new().await;
    let stages = json!([{"refId": "ask", "type": "manualJudgment", "name": "Ask"}]);
    let document = json!({"application": "shop", "name": "task", "stages": stages});
    let task = Start { document, is_orchestration: true, ..Start::default() };
    let id = scene.scheduler.submit(task).await.unwrap();
    let path = format!("/tasks/{id}");
    let refused = scene.send("DELETE", &path, "").await;
    assert!(refused.is_error(409, "conflict"), "{}", refused.body);
    assert!(scene.send("DELETE", &format!("/pipelines/{id}"), "").await.is_error(404, "not-found"));
    ended(&scene, &id).await;
    assert_eq!(scene.send("DELETE", &path, "").await.status, 200);
    assert!(scene.send("GET", &path, "").await.is_error(404, "not-found"));

    // One on saved documents is kept as a document.
    let asked = r#"{"application": "shop", "description": "make it", "job":
        [{"type": "createApplication", "application": {"name": "shop", "email": "a@example.com"}}]}"#;
    let made = scene.send("POST", "/tasks", asked).await.json();
    let path = made["ref"].as_str().unwrap().to_owned();
    assert_eq!(scene.send("GET", &path, "").await.status, 200);
    assert_eq!(scene.send("DELETE", &path, "").await.status, 200);
    assert!(scene.send("DELETE", &path, "").await.is_error(404, "not-found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_delete_at_once_do_not_both_happen() {
    let scene = Scene::new().await;
    for round in 0..UNFINISHED_MAX * 4 {
        let document = json!({
            "application": format!("a{round}"), "name": "p",
            "stages": [{"refId": "ask", "type": "manualJudgment", "name": "Ask"}],
        });
        let id = scene.scheduler.submit(Start { document, ..Start::default() }).await.unwrap();
        let patch = json!({"judgmentStatus": "continue"}).as_object().cloned().unwrap();
        while scene.scheduler.patch_stage(&id, "ask", patch.clone(), "ada").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while scene.scheduler.execution(&id).await.unwrap().unwrap()["status"] != "SUCCEEDED" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let kind = shared_ports::journal::Kind::Pipeline;
        let (restarted, removed) = tokio::join!(
            scene.scheduler.restart_stage(&id, "ask", "ada"),
            scene.scheduler.remove(&id, kind)
        );
        let found = scene.scheduler.execution(&id).await.unwrap();
        match (&restarted, &removed) {
            (Ok(_), Err(crate::ControlError::Conflict { .. })) => {
                assert_eq!(found.unwrap()["status"], "RUNNING");
                scene.scheduler.force_cancel(&id, "ada", "").await.unwrap();
            }
            (Err(_), Ok(())) => assert_eq!(found, None),
            both => panic!("round {round}: {both:?}"),
        }
    }
}
