//! What is done to MinIO while blobs and logs are written.

use std::time::Duration;

use bytes::Bytes;
use jiff::SignedDuration;
use shared_adapters::{ObjectBlobs, Objects};
use shared_ports::{BlobRef, Blobs};
use shared_testkit::stack::MinIo;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::objects::{BYTES_MAX, at, log, opened};
use crate::proxy::Proxy;
use crate::{is_unavailable, text, within};

/// Longer than any call may take.
const BOUND: Duration = Duration::from_secs(30);

fn start() -> (MinIo, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (MinIo::start_ready(folder.path()).unwrap(), folder)
}

fn settings(minio: &MinIo, port: u16) -> Objects {
    let endpoint = format!("http://127.0.0.1:{port}");
    at(&endpoint, minio.bucket(), (minio.access_key(), minio.secret_key()))
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again() {
    let (mut minio, _folder) = start();
    let quick = SignedDuration::from_secs(2);
    let settings = Objects { call_max: quick, ..settings(&minio, minio.port()) };
    let blobs = opened(&settings).await;
    let log = log("e");
    let kept = blobs.put(Bytes::from_static(b"kept")).await.unwrap();
    blobs.append(&log, Bytes::from_static(b"line 1\n")).await.unwrap();
    minio.crash().unwrap();
    for doing in [
        timeout(BOUND, blobs.put(Bytes::from_static(b"lost"))).await.unwrap().unwrap_err(),
        timeout(BOUND, blobs.append(&log, Bytes::from_static(b"x"))).await.unwrap().unwrap_err(),
        timeout(BOUND, blobs.get(&kept, None)).await.unwrap().unwrap_err(),
        timeout(BOUND, blobs.ready()).await.unwrap().unwrap_err(),
    ] {
        assert!(is_unavailable(&doing), "{doing:?}");
        assert!(text(&doing).contains("S3 bucket `capstan` at http://127.0.0.1:"), "{doing}");
        assert!(!text(&doing).contains(minio.secret_key()));
    }
    minio.start_again().unwrap();
    let ready = async || blobs.ready().await.ok();
    within(BOUND, "it is up again", ready).await;
    assert_eq!(blobs.get(&kept, None).await.unwrap(), "kept");
    blobs.append(&log, Bytes::from_static(b"line 2\n")).await.unwrap();
    assert_eq!(Blobs::read(&blobs, &log, 0, 100).await.unwrap(), "line 1\nline 2\n");
}

/// Connections end all the time; no caller hears of it, no line is lost, none is there twice.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_cut_again_and_again() {
    let (minio, _folder) = start();
    let proxy = Proxy::start(minio.port()).await;
    let blobs = opened(&settings(&minio, proxy.port)).await;
    let log = log("e");
    let names = tokio::sync::Mutex::new(Vec::<BlobRef>::new());
    let write = async {
        for number in 0..150 {
            let line = format!("line {number}\n");
            blobs.append(&log, Bytes::from(line.clone())).await.unwrap();
            if number % 5 == 0 {
                let blob = line.repeat(10_000);
                names.lock().await.push(blobs.put(Bytes::from(blob)).await.unwrap());
            }
        }
    };
    let cut = async {
        let mut cuts = 0;
        loop {
            sleep(Duration::from_millis(17)).await;
            proxy.cut();
            cuts += 1;
            if cuts % 50 == 0 {
                println!("{cuts} cuts");
            }
        }
    };
    let begun = Instant::now();
    tokio::select! {
        () = write => {}
        () = cut => {}
        () = sleep(Duration::from_secs(120)) => panic!("it does not get on"),
    }
    println!("150 lines and 30 blobs over cut connections took {:?}", begun.elapsed());
    let expected: String = (0..150).map(|number| format!("line {number}\n")).collect();
    let read = Blobs::read(&blobs, &log, 0, usize::MAX).await.unwrap();
    assert_eq!(String::from_utf8(read.to_vec()).unwrap(), expected);
    for name in names.into_inner() {
        assert_eq!(blobs.get(&name, None).await.unwrap().len() as u64, name.bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen() {
    let (minio, _folder) = start();
    let quick = SignedDuration::from_secs(2);
    let settings = Objects { call_max: quick, ..settings(&minio, minio.port()) };
    let blobs = opened(&settings).await;
    let log = log("e");
    blobs.append(&log, Bytes::from_static(b"line 1\n")).await.unwrap();
    minio.freeze().unwrap();
    let line = Bytes::from_static(b"line 2\n");
    let error = timeout(BOUND, blobs.append(&log, line.clone())).await.unwrap().unwrap_err();
    assert!(is_unavailable(&error) && text(&error).contains("no answer came within 2s"), "{error}");
    minio.thaw().unwrap();
    // Whether the line was stored is not known; it is asked for again.
    timeout(BOUND, blobs.append(&log, line)).await.unwrap().unwrap();
    let read = Blobs::read(&blobs, &log, 0, 100).await.unwrap();
    assert!(read.starts_with(b"line 1\nline 2\n") && read.ends_with(b"line 2\n"), "{read:?}");
    minio.freeze().unwrap();
    let thaw = async {
        sleep(Duration::from_millis(700)).await;
        minio.thaw().unwrap();
    };
    let (stored, ()) = tokio::join!(blobs.put(Bytes::from_static(b"waited")), thaw);
    stored.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_there() {
    let (mut minio, _folder) = start();
    minio.crash().unwrap();
    let settings = settings(&minio, minio.port());
    let opening = ObjectBlobs::open(&settings, BYTES_MAX, BYTES_MAX);
    let error = timeout(BOUND, opening).await.unwrap().err().unwrap();
    assert!(is_unavailable(&error), "{error:?}");
    let said = text(&error);
    assert!(said.contains("S3 bucket `capstan` at http://127.0.0.1:"), "{said}");
    assert!(said.to_lowercase().contains("connect"), "{said}");
}

/// A blob of ours that somebody has cut short in the bucket is found out, and can be put again.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Objects::at(format!("file://{}", folder.path().display()));
    let blobs = opened(&settings).await;
    let name = blobs.put(Bytes::from_static(b"whole")).await.unwrap();
    let file = folder.path().join("blobs").join(&name.sha256[..2]).join(&name.sha256);
    for damage in ["who", "WHOLE"] {
        std::fs::write(&file, damage).unwrap();
        let error = blobs.get(&name, None).await.unwrap_err();
        assert!(text(&error).contains("it is damaged"), "{error}");
    }
    std::fs::write(&file, "who").unwrap();
    assert_eq!(blobs.put(Bytes::from_static(b"whole")).await.unwrap(), name);
    assert_eq!(blobs.get(&name, None).await.unwrap(), "whole");
}
