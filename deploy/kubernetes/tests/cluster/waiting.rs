//! Waiting: what keeps an object is said, and a cancel ends it soon.

use std::time::Duration;

use serde_json::json;
use shared_model::TaskAnswer;
use shared_ports::Clock;

use crate::objects::{deployment, pod, workload};
use crate::scene::{Ended, Scene, has};
use crate::stalling::Stalling;

/// How long a task may take to end once it is told to.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Waits until the log has a text.
async fn logged(scene: &Scene, text: &str) {
    let seen = async {
        while !scene.log.text().contains(text) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(20), seen).await;
    assert!(seen.is_ok(), "no `{text}` in:\n{}", scene.log.text());
}

/// Runs a deploy, cancels it at a moment, and says how it ended and how long that took.
async fn cancelled(
    scene: &Scene,
    deploy: impl Future<Output = Ended>,
    moment: impl Future<Output = ()>,
) -> (Ended, Duration) {
    let cancel = async {
        moment.await;
        scene.end.cancel();
        scene.clock.elapsed()
    };
    let (ended, at) = tokio::join!(deploy, cancel);
    let took = scene.clock.elapsed() - at;
    eprintln!("{}: ended {:.0} ms after the cancel", scene.namespace, took.as_secs_f64() * 1e3);
    assert!(took < CANCEL_TIMEOUT, "it took {took:?}");
    (ended, took)
}

#[tokio::test]
async fn a_cancel_while_waiting_ends_it_and_says_what_kept_it() {
    let scene = Scene::new("cancel").await;
    let manifests = [deployment("web", "nginx:does-not-exist", 2)];
    let (ended, _) =
        cancelled(&scene, scene.deploy("first", &manifests), logged(&scene, "ImagePullBackOff"))
            .await;
    assert_eq!(ended.task, "waitForManifestToStabilize");
    let TaskAnswer::Canceled { result } = ended.answer else { panic!("{:?}", ended.answer) };
    has(&result.context["messages"].to_string(), &["pod web-", "ImagePullBackOff"]);
    assert!(scene.get("apps/v1", "Deployment", "web").await.is_some());
    scene.end().await;
}

#[tokio::test]
async fn a_worker_that_stops_leaves_the_waiting_to_another() {
    let scene = Scene::new("handed-over").await;
    let manifests = [deployment("web", "nginx:does-not-exist", 2)];
    let hand_over = async {
        logged(&scene, "ImagePullBackOff").await;
        scene.end.hand_over();
    };
    let (ended, ()) = tokio::join!(scene.deploy("first", &manifests), hand_over);
    assert_eq!(ended.task, "waitForManifestToStabilize");
    assert!(matches!(ended.answer, TaskAnswer::HandedOver { .. }), "{:?}", ended.answer);
    assert!(scene.get("apps/v1", "Deployment", "web").await.is_some());
    scene.end().await;
}

#[tokio::test]
async fn a_cancel_ends_it_while_the_server_does_not_answer() {
    let stalling = Stalling::start().await;
    let scene =
        Scene::with_accounts("stalled", &stalling.kubeconfig(), |_| Default::default()).await;
    scene
        .create("v1", json!({"kind": "Namespace", "metadata": {"name": scene.namespace}}), "test")
        .await;
    let manifests = [deployment("web", "nginx:never-ready", 1)];
    let moment = async {
        logged(&scene, "Waiting for all replicas").await;
        stalling.stall();
        // By then it looks for reasons, and gets no answer.
        tokio::time::sleep(Duration::from_secs(4)).await;
    };
    let (ended, _) = cancelled(&scene, scene.deploy("first", &manifests), moment).await;
    assert!(matches!(ended.answer, TaskAnswer::Canceled { .. }), "{:?}", ended.answer);
    scene.end().await;
}

#[tokio::test]
async fn a_cancel_ends_it_before_the_first_answer() {
    let stalling = Stalling::start().await;
    stalling.stall();
    let scene =
        Scene::with_accounts("silent", &stalling.kubeconfig(), |_| Default::default()).await;
    let manifests = [deployment("web", "nginx:1.27", 1)];
    let moment = tokio::time::sleep(Duration::from_millis(500));
    let (ended, _) = cancelled(&scene, scene.deploy("first", &manifests), moment).await;
    assert!(matches!(ended.answer, TaskAnswer::Canceled { .. }), "{:?}", ended.answer);
    assert_eq!(scene.writes(), []);
}

#[tokio::test]
async fn a_rollout_that_passes_its_deadline_is_explained() {
    let scene = Scene::new("deadline").await;
    let began = scene.clock.elapsed();
    let broken = workload(
        "Deployment",
        "web",
        "nginx:broken",
        &json!({"replicas": 2, "progressDeadlineSeconds": 8}),
    );
    let seen = async {
        logged(&scene, "ImagePullBackOff").await;
        scene.clock.elapsed() - began
    };
    let manifests = [broken];
    let (ended, seen) = tokio::join!(scene.deploy("first", &manifests), seen);
    eprintln!("{}: explained after {:.1} s", scene.namespace, seen.as_secs_f64());
    assert!(seen < Duration::from_secs(6), "explained after {seen:?}");
    let error = ended.terminal();
    assert_eq!(error.kind, "ManifestNotStable");
    has(
        &error.messages.join("\n"),
        &[
            "deployment web",
            "progress deadline",
            "pod web-",
            "ImagePullBackOff",
            "check the image's name and tag",
        ],
    );
    scene.end().await;
}

#[tokio::test]
async fn an_object_that_is_deleted_meanwhile_ends_it() {
    let scene = Scene::new("deleted").await;
    let manifests = [pod("single", "nginx:does-not-exist")];
    let delete = async {
        logged(&scene, "ImagePullBackOff").await;
        scene.delete("v1", "Pod", "single").await;
    };
    let (ended, ()) = tokio::join!(scene.deploy("first", &manifests), delete);
    let error = ended.terminal();
    has(&error.messages.join("\n"), &["pod single", "deleted"]);
    scene.end().await;
}
