//! Traffic over switches: no request is lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::scene::{Scene, processes};

/// One request on a connection; what the answer's body says.
fn ask(stream: &mut TcpStream, path: &str) -> std::io::Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")?;
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 2048];
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Err(std::io::Error::other("closed before the whole answer"));
        }
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1).and_then(|it| it.lines().next());
        if body.len() >= length.unwrap_or("0").parse().unwrap() {
            let ok = head.starts_with("http/1.1 200");
            return if ok { Ok(body.to_owned()) } else { Err(std::io::Error::other(text)) };
        }
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

#[derive(Default)]
struct Load {
    end: AtomicBool,
    sent: AtomicUsize,
    slow: AtomicUsize,
    versions: [AtomicUsize; 3],
}

/// Half keep their connection, half make a new one each time; every 60th request takes a second.
fn client(load: &Load, number: usize, port: u16) {
    let mut kept = connect(port);
    while !load.end.load(Ordering::Relaxed) {
        let count = load.sent.fetch_add(1, Ordering::Relaxed);
        let is_slow = count % 60 == number;
        let path = if is_slow { "/slow" } else { "/" };
        if number % 2 == 1 {
            kept = connect(port);
        }
        let answer =
            ask(&mut kept, path).unwrap_or_else(|error| panic!("request {count}: {error}"));
        let version: usize = answer.trim().rsplit(' ').next().unwrap().parse().unwrap();
        load.versions[version - 1].fetch_add(1, Ordering::Relaxed);
        load.slow.fetch_add(usize::from(is_slow), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_loses_no_request() {
    let scene = Scene::new();
    let version = |n: u32, strategy: &str| json!({"env": {"VERSION": n}, "strategy": strategy});
    let port = scene.deploy("v1", version(1, "redblack")).await.succeeded().port();
    let load = Arc::new(Load::default());
    let clients: Vec<_> = (0..16)
        .map(|number| {
            let load = Arc::clone(&load);
            std::thread::spawn(move || client(&load, number, port))
        })
        .collect();
    let until = async |count: usize| {
        while load.sent.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(1_700).await;
    scene.deploy("v2", version(2, "redblack")).await.succeeded();
    until(3_400).await;
    scene.deploy("v3", version(3, "highlander")).await.succeeded();
    assert_eq!(scene.shown(), ["shop-prod-v002 true 2"]);
    until(5_100.max(load.sent.load(Ordering::Relaxed) + 500)).await;
    load.end.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let seen = load.versions.each_ref().map(|count| count.load(Ordering::Relaxed));
    let (sent, slow) = (load.sent.load(Ordering::Relaxed), load.slow.load(Ordering::Relaxed));
    eprintln!("{sent} requests, {slow} of a second, by version {seen:?}, none failed");
    assert!(sent >= 5_000 && slow > 10 && seen.iter().all(|count| *count > 0));
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
    assert_eq!(scene.shown(), ["shop-prod-v000 true 3", "shop-prod-v001 false 2"]);
    for name in ["shop-prod-v000", "shop-prod-v001"] {
        let which = json!({"serverGroupName": name});
        scene.stage(name, "destroyServerGroup", which).await.succeeded();
    }
    assert_eq!(processes(scene.folder.path()), Vec::<i32>::new());
}
