//! What is done once, whatever dies in between.

use std::time::Duration;

use serde_json::{Value, json};
use shared_model::TaskAnswer;
use shared_plugin::EndSignal;

use super::scene::{Ended, Scene, processes, programs, service};

/// A task that is dropped in the middle, as by a kill, and begins again with the same key.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_dies_at_any_moment_is_taken_up() {
    let scene = Scene::new();
    let context = service(json!({})).as_object().cloned().unwrap();
    for millis in [0, 1, 2, 4, 8, 15, 25, 40, 60, 90, 130] {
        let cx = scene.cx("one", 1, &context, EndSignal::default());
        let stage_type = scene.stage_type("deploy");
        let run = stage_type.run("createServerGroup", &cx);
        let _died = tokio::time::timeout(Duration::from_millis(millis), run).await;
    }
    scene.deploy("one", json!({})).await.succeeded();
    assert_eq!(scene.shown(), ["shop-prod-v000 true 2"]);
    assert_eq!(processes(scene.folder.path()).len(), 2);
}

/// The record loses what was not stored yet; the processes are found by their environment.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_not_recorded_is_found() {
    let scene = Scene::new();
    scene.deploy("one", json!({})).await.succeeded();
    let before = processes(scene.folder.path());
    let mut group = scene.groups().remove(0);
    for instance in group["instances"].as_array_mut().unwrap() {
        instance["process"] = Value::Null;
        instance["ready"] = false.into();
    }
    let file = scene.folder.path().join("local/clusters/shop-prod/shop-prod-v000.json");
    std::fs::write(file, group.to_string()).unwrap();
    scene.deploy("one", json!({})).await.succeeded();
    assert_eq!(processes(scene.folder.path()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_deploy_destroys_what_it_started() {
    let scene = Scene::new();
    let context = service(json!({"command": [programs(), "deaf"]})).as_object().cloned().unwrap();
    let cancel = EndSignal::default();
    let cx = scene.cx("one", 1, &context, cancel.clone());
    let stage_type = scene.stage_type("deploy");
    let run = stage_type.run("createServerGroup", &cx);
    let (answer, ()) = tokio::join!(run, async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cancel.cancel();
    });
    let TaskAnswer::Canceled { result } = answer else { panic!("{answer:#?}") };
    assert!(result.context["messages"][0].as_str().unwrap().contains("was destroyed"));
    assert_eq!(processes(scene.folder.path()), Vec::<i32>::new());
    assert_eq!(scene.shown(), Vec::<String>::new());
}

/// A worker that stops leaves what it started to the next, which finds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_is_handed_over_keeps_what_it_started() {
    let scene = Scene::new();
    let context = service(json!({"command": [programs(), "deaf"]})).as_object().cloned().unwrap();
    let end = EndSignal::default();
    let cx = scene.cx("one", 1, &context, end.clone());
    let stage_type = scene.stage_type("deploy");
    let run = stage_type.run("createServerGroup", &cx);
    let (answer, ()) = tokio::join!(run, async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        end.hand_over();
    });
    assert!(matches!(answer, TaskAnswer::HandedOver { .. }), "{answer:#?}");
    let started = processes(scene.folder.path());
    assert_eq!(started.len(), 2);
    let next = EndSignal::default();
    let cx = scene.cx("one", 1, &context, next.clone());
    let run = stage_type.run("createServerGroup", &cx);
    let (answer, ()) = tokio::join!(run, async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(processes(scene.folder.path()), started, "nothing is started twice");
        next.cancel();
    });
    assert!(matches!(answer, TaskAnswer::Canceled { .. }), "{answer:#?}");
    assert_eq!(processes(scene.folder.path()), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deploys_at_once_get_two_numbers() {
    let scene = Scene::new();
    let (one, two): (Ended, Ended) =
        tokio::join!(scene.deploy("one", json!({})), scene.deploy("two", json!({})));
    one.succeeded();
    two.succeeded();
    assert_eq!(scene.shown(), ["shop-prod-v000 true 2", "shop-prod-v001 true 2"]);
    assert_eq!(processes(scene.folder.path()).len(), 4);
}

/// The answer was lost: the second task of the same stage begins again, and means the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_destroy_that_was_done_already_is_done() {
    let scene = Scene::new();
    scene.deploy("one", json!({})).await.succeeded();
    scene.deploy("two", json!({})).await.succeeded();
    let which = json!({"cluster": "shop-prod", "target": "oldest_asg_dynamic"});
    let ended = scene.stage("end", "destroyServerGroup", which).await.succeeded();
    let cx = scene.cx("end", 1, &ended.context, EndSignal::default());
    let again = scene.stage_type("destroyServerGroup").run("destroyServerGroup", &cx).await;
    assert!(matches!(again, TaskAnswer::Succeeded { .. }), "{again:#?}");
    assert_eq!(scene.shown(), ["shop-prod-v001 true 2"]);
}

#[test]
fn the_deploy_has_its_alias() {
    assert!(Scene::new().stage_type("deploy").describe().is_called("createServerGroup"));
}
