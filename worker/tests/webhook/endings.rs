//! Cancel, takeover, and what the target hears of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared_model::TaskAnswer;
use shared_plugin::StageType;
use shared_testkit::deadline::Deadline;
use shared_testkit::http_server::{HttpServer, Reply};

use crate::scene::{Scene, play, scene};

fn hanging() -> HttpServer {
    HttpServer::start(|asked| match asked.path.as_str() {
        "/hang" => Reply::hang(),
        "/failed" => Reply::json(200, &json!({ "state": "failed" })),
        "/slow" => {
            std::thread::sleep(Duration::from_millis(300));
            Reply::text(200, "")
        }
        // Longer than one that is cancelled waits for the last word.
        "/slower" => {
            std::thread::sleep(Duration::from_millis(1500));
            Reply::text(200, "")
        }
        _ => Reply::json(200, &json!({ "state": "running" })),
    })
    .unwrap()
}

fn monitoring(server: &HttpServer, more: Value) -> Value {
    let mut context = json!({
        "url": server.url("/"), "monitorOnly": true, "waitForCompletion": true,
        "statusJsonPath": "$.state", "successStatuses": "done", "terminalStatuses": "failed",
    });
    context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    context
}

/// Tells a task to end once the server was asked, and waits for that.
async fn cut_off(scene: &mut Scene, task: u16, server: &HttpServer) -> (TaskAnswer, Duration) {
    let (cancel, before) = (scene.end.clone(), server.asked().len());
    let cutting = async {
        let deadline = Deadline::after(Duration::from_secs(10));
        while server.asked().len() == before {
            assert!(!deadline.has_passed(), "never asked");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
        Instant::now()
    };
    let (answer, cut) = tokio::join!(scene.run(task), cutting);
    (answer, cut.elapsed())
}

#[tokio::test]
async fn a_request_that_hangs_ends_within_two_seconds_of_a_cancel() {
    let server = hanging();
    for (context, task) in [
        (json!({ "url": server.url("/hang") }), 0),
        (json!({ "url": server.url("/hang"), "method": "GET" }), 0),
        (monitoring(&server, json!({ "url": server.url("/hang") })), 2),
    ] {
        let mut scene = patient(context);
        let (answer, took) = cut_off(&mut scene, task, &server).await;
        // One that must not be repeated does not say that it may be gone on with.
        let unknown = task == 0 && scene.context.get("method").is_none();
        assert_eq!(matches!(answer, TaskAnswer::Canceled { .. }), unknown, "{answer:?}");
        assert_eq!(matches!(answer, TaskAnswer::HandedOver { .. }), !unknown, "{answer:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

/// A stage whose requests may take long.
fn patient(context: Value) -> Scene {
    let mut config = crate::scene::config(&["127.0.0.1"]);
    config.limits.request_timeout = Duration::from_secs(30);
    Scene::new(worker::stages::webhook::Webhook::new(config), context)
}

#[tokio::test]
async fn a_request_that_was_cut_off_is_repeated_under_its_key() {
    let server = hanging();
    let asked = server.asked().len();
    let mut keyed = patient(json!({ "url": server.url("/hang"), "idempotent": true }));
    cut_off(&mut keyed, 0, &server).await;
    keyed.end = Default::default();
    cut_off(&mut keyed, 0, &server).await;
    let keys: Vec<_> = server.asked()[asked..]
        .iter()
        .map(|one| one.header("idempotency-key").map(str::to_owned))
        .collect();
    assert_eq!(keys, [Some("e/1/1/0/0".to_owned()), Some("e/1/1/0/0".to_owned())]);
}

#[tokio::test]
async fn an_answer_that_comes_in_time_is_taken_though_the_task_is_to_end() {
    let server = hanging();
    let mut scene = patient(json!({ "url": server.url("/slow") }));
    let (answer, _) = cut_off(&mut scene, 0, &server).await;
    assert!(matches!(answer, TaskAnswer::Succeeded { .. }), "{answer:?}");
}

#[tokio::test]
async fn a_task_that_is_to_end_before_it_asks_asks_nobody() {
    let server = hanging();
    let mut scene = scene(json!({ "url": server.url("/") }));
    scene.end.cancel();
    assert!(matches!(scene.run(0).await, TaskAnswer::HandedOver { .. }));
    scene.end = Default::default();
    assert!(matches!(scene.run(0).await, TaskAnswer::Succeeded { .. }));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_request_that_must_not_be_repeated_outlasts_a_worker_that_stops() {
    let server = hanging();
    let mut scene = patient(json!({ "url": server.url("/slower") }));
    let end = scene.end.clone();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        end.hand_over();
    };
    let (answer, ()) = tokio::join!(scene.run(0), stopping);
    assert!(matches!(answer, TaskAnswer::Succeeded { .. }), "{answer:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn the_target_is_told_when_nobody_waits_any_more() {
    let server = hanging();
    let call = json!({ "cancelEndpoint": server.url("/stop"), "cancelMethod": "delete",
                       "cancelPayload": { "why": "cancelled" }, "customHeaders": { "A": "b" } });
    let mut cancelled = scene(monitoring(&server, call.clone()));
    let answer = cancelled.run(2).await;
    assert!(matches!(answer, TaskAnswer::Again { after, .. } if after.is_zero()), "{answer:?}");
    // The pause before the next look is waited for where a cancel is heard.
    cancelled.stage = slow_looks();
    let TaskAnswer::Again { .. } = cancelled.run(2).await else { panic!("looks again") };
    let cancel = cancelled.end.clone();
    let (answer, ()) = tokio::join!(cancelled.run(2), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    });
    assert!(matches!(answer, TaskAnswer::HandedOver { .. }), "{answer:?}");
    assert!(server.asked().iter().all(|asked| asked.path != "/stop"), "the worker may but stop");
    cancelled.stage.cancelled("monitorWebhook", &cancelled.cx(2)).await;
    let told = server.asked().pop().unwrap();
    assert_eq!((told.method.as_str(), told.path.as_str()), ("DELETE", "/stop"));
    assert_eq!((told.body.as_str(), told.header("a")), (r#"{"why":"cancelled"}"#, Some("b")));
    assert_eq!(told.header("idempotency-key"), Some("e/1/1/2/4294967295"));
    let failed = play(monitoring(&server, {
        let mut call = call.clone();
        call["url"] = json!(server.url("/failed"));
        call
    }))
    .await;
    failed.failure();
    assert_eq!(server.asked().pop().unwrap().path, "/stop");
}

fn slow_looks() -> worker::stages::webhook::Webhook {
    let mut config = crate::scene::config(&["127.0.0.1"]);
    config.poll_interval = Duration::from_secs(30);
    worker::stages::webhook::Webhook::new(config)
}

#[tokio::test]
async fn without_a_cancellation_the_pause_costs_no_slot() {
    let server = hanging();
    let mut scene = Scene::new(slow_looks(), monitoring(&server, json!({})));
    let TaskAnswer::Again { after, .. } = scene.run(2).await else { panic!("looks again") };
    assert_eq!(after.as_secs(), 30);
    let TaskAnswer::Again { after, .. } = scene.run(2).await else { panic!("is not due yet") };
    assert!(after.as_secs() >= 20);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_cancellation_that_hangs_is_given_up() {
    let server = hanging();
    let mut config = crate::scene::config(&["127.0.0.1"]);
    config.cancel_timeout = Duration::from_millis(200);
    let stage = worker::stages::webhook::Webhook::new(config);
    let context = monitoring(&server, json!({ "cancelEndpoint": server.url("/hang") }));
    let scene = Scene::new(stage, context);
    let began = Instant::now();
    scene.stage.cancelled("monitorWebhook", &scene.cx(2)).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(
        scene.log().contains("the target was not told: no answer within 200ms"),
        "{}",
        scene.log()
    );
}
