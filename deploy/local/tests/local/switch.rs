//! Traffic over switches: no request is lost.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use shared_testkit::traffic::{Traffic, ask};

use super::scene::{Scene, processes};

const CLIENTS: usize = 16;

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_loses_no_request() {
    let scene = Scene::new();
    let version = |n: u32, strategy: &str| json!({"env": {"VERSION": n}, "strategy": strategy});
    let port = scene.deploy("v1", version(1, "redblack")).await.succeeded().port();
    let traffic = Traffic::start(port, CLIENTS);
    traffic.wait_for(1_700).unwrap();
    scene.deploy("v2", version(2, "redblack")).await.succeeded();
    traffic.wait_for(3_400).unwrap();
    scene.deploy("v3", version(3, "highlander")).await.succeeded();
    assert_eq!(scene.shown(), ["shop-prod-v002 true 2"]);
    traffic.wait_for(5_100.max(traffic.sent() + 500)).unwrap();
    let seen = traffic.stop().unwrap();
    eprintln!("{seen:?}, none failed");
    assert!(seen.requests >= 5_000 && seen.slow > 10 && seen.bodies.len() >= 3, "{seen:?}");
    scene
        .stage("end", "destroyServerGroup", json!({"serverGroupName": "shop-prod-v002"}))
        .await
        .succeeded();
    assert_eq!(processes(scene.folder.path()), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_and_a_resize_change_who_answers() {
    let scene = Scene::new();
    let version =
        |n: u32| json!({"env": {"VERSION": n}, "strategy": "redblack", "scaleDown": true});
    let port = scene.deploy("v1", version(1)).await.succeeded().port();
    scene.deploy("v2", version(2)).await.succeeded();
    assert_eq!(scene.shown(), ["shop-prod-v000 false 0", "shop-prod-v001 true 2"]);
    assert!(ask(&mut connect(port), "/").unwrap().contains("version 2"));
    let back = json!({"rollbackType": "PREVIOUS_IMAGE", "cluster": "shop-prod"});
    scene.stage("back", "rollbackServerGroup", back).await.succeeded();
    assert_eq!(scene.shown(), ["shop-prod-v000 true 2", "shop-prod-v001 false 2"]);
    assert!(ask(&mut connect(port), "/").unwrap().contains("version 1"));
    let up = json!({"cluster": "shop-prod", "target": "ancestor_asg_dynamic",
        "action": "scale_up", "scaleNum": 1});
    scene.stage("up", "resizeServerGroup", up).await.succeeded();
    for words in [
        "back from server group `shop-prod-v001` to `shop-prod-v000`, with 2 instances",
        "server group `shop-prod-v000` is to have 3 instances",
    ] {
        assert!(scene.said().contains(words), "{}", scene.said());
    }
    assert_eq!(scene.shown(), ["shop-prod-v000 true 3", "shop-prod-v001 false 2"]);
    for name in ["shop-prod-v000", "shop-prod-v001"] {
        let which = json!({"serverGroupName": name});
        scene.stage(name, "destroyServerGroup", which).await.succeeded();
    }
    assert_eq!(processes(scene.folder.path()), Vec::<i32>::new());
}
