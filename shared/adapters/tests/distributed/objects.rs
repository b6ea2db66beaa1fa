//! Blobs and logs in the test stack's MinIO, each test under a prefix of its own.

use std::sync::Arc;
use tokio::time::Instant;

use bytes::Bytes;
use shared_adapters::{ObjectBlobs, Objects};
use shared_ports::conformance::{self, Durable, Subject};
use shared_ports::{BlobRef, Blobs, LogName};
use shared_testkit::env;

use crate::{is_refused, own_name, text};

pub(crate) const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A place of its own in a bucket.
pub(crate) fn at(endpoint: &str, bucket: &str, keys: (&str, &str)) -> Objects {
    Objects::at(format!("s3://{bucket}/{}", own_name()))
        .option("endpoint", endpoint)
        .option("allow_http", "true")
        .option("region", "us-east-1")
        .option("access_key_id", keys.0)
        .option("secret_access_key", keys.1)
}

fn settings() -> Objects {
    let (access, secret) = env::s3_keys();
    at(&env::s3_endpoint(), &env::s3_bucket(), (&access, &secret))
}

pub(crate) async fn opened(settings: &Objects) -> ObjectBlobs {
    ObjectBlobs::open(settings, BYTES_MAX, BYTES_MAX).await.unwrap()
}

pub(crate) fn log(execution: &str) -> LogName {
    LogName { execution: execution.to_owned(), stage: "1".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn minio_passes_the_suite() {
    let new = async || {
        let port: Arc<dyn Blobs> = Arc::new(opened(&settings()).await);
        Subject::new(port)
    };
    conformance::blobs::blobs().pass(new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn minio_passes_the_suite_of_what_is_kept() {
    let new = async || {
        let settings = settings();
        let port: Arc<dyn Blobs> = Arc::new(opened(&settings).await);
        let reopen = Box::pin(async move {
            let port: Arc<dyn Blobs> = Arc::new(opened(&settings).await);
            Subject::new(port)
        });
        Durable { port, reopen }
    };
    conformance::blobs::durable_blobs().pass(new).await;
}

/// Two workers write to one log: what is each one's stays in order, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn two_workers_append_to_one_log() {
    let settings = settings();
    let (one, other, reader) =
        (opened(&settings).await, opened(&settings).await, opened(&settings).await);
    let log = log("e");
    let begun = Instant::now();
    let write = async |blobs: &ObjectBlobs, name: &str| {
        for number in 0..30 {
            let line = format!("{name} {number}\n");
            blobs.append(&log, Bytes::from(line)).await.unwrap();
        }
    };
    // The second pair writes the same lines at the same time: equal chunks are not one chunk.
    tokio::join!(write(&one, "a"), write(&other, "b"), write(&one, "same"), write(&other, "same"));
    println!("120 chunks of four writers took {:?}", begun.elapsed());
    let text = Blobs::read(&reader, &log, 0, usize::MAX).await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    for name in ["a", "b"] {
        let expected: Vec<String> = (0..30).map(|number| format!("{name} {number}")).collect();
        let found: Vec<&str> = text.lines().filter(|line| line.starts_with(name)).collect();
        assert_eq!(found, expected);
    }
    for number in 0..30 {
        let line = format!("same {number}");
        assert_eq!(text.lines().filter(|found| *found == line).count(), 2, "{line}");
    }
    assert_eq!(text.lines().count(), 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_on_costs_little_however_long_the_log_is() {
    let settings = settings();
    let (writer, reader) = (opened(&settings).await, opened(&settings).await);
    let log = log("e");
    let chunk = Bytes::from(vec![b'x'; 1000]);
    let begun = Instant::now();
    for _ in 0..1200 {
        writer.append(&log, chunk.clone()).await.unwrap();
    }
    println!("1200 appends one after the other took {:?}", begun.elapsed());
    let begun = Instant::now();
    let end = Blobs::read(&reader, &log, 1_199_500, usize::MAX).await.unwrap();
    println!("the end of a log that was not known: {:?}", begun.elapsed());
    assert_eq!(end.len(), 500);
    for round in 0..20 {
        writer.append(&log, Bytes::from(format!("{round:03}"))).await.unwrap();
        let begun = Instant::now();
        let read = Blobs::read(&reader, &log, 1_200_000 + 3 * round, usize::MAX).await.unwrap();
        assert_eq!(read, format!("{round:03}").as_bytes());
        if round % 5 == 0 {
            println!("the next line: {:?}", begun.elapsed());
        }
    }
    // Another process takes it away.
    writer.remove(&[], Some("e")).await.unwrap();
    assert_eq!(Blobs::read(&reader, &log, 0, usize::MAX).await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_long_blob_only_the_range_is_read() {
    let blobs = opened(&settings()).await;
    let bytes: Vec<u8> = (0..8_000_000u32).map(|number| (number % 251) as u8).collect();
    let name = blobs.put(Bytes::from(bytes.clone())).await.unwrap();
    let range = (7_000_000, 7_000_100);
    let read = blobs.get(&name, Some(range)).await.unwrap();
    assert_eq!(read, &bytes[7_000_000..7_000_100]);
    assert_eq!(blobs.get(&name, Some((7_999_990, u64::MAX))).await.unwrap().len(), 10);
    assert_eq!(blobs.get(&name, Some((9_000_000, 9_000_001))).await.unwrap(), "");
    assert_eq!(blobs.get(&name, None).await.unwrap(), bytes);
    let other_length = BlobRef { bytes: name.bytes + 1, ..name.clone() };
    assert!(is_refused(&blobs.get(&other_length, Some(range)).await.unwrap_err()));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_kept() {
    let blobs = ObjectBlobs::open(&settings(), 1000, 1000).await.unwrap();
    let error = blobs.put(Bytes::from(vec![0; 1001])).await.unwrap_err();
    assert!(is_refused(&error) && text(&error).contains("`blob_bytes_max` is 1000"), "{error}");
    let log = log("e");
    blobs.append(&log, Bytes::from(vec![0; 900])).await.unwrap();
    let error = blobs.append(&log, Bytes::from(vec![0; 101])).await.unwrap_err();
    assert!(is_refused(&error) && text(&error).contains("`log_bytes_max` is 1000"), "{error}");
    blobs.append(&log, Bytes::from(vec![0; 100])).await.unwrap();
}

async fn refused(settings: &Objects) -> String {
    let error = ObjectBlobs::open(settings, BYTES_MAX, BYTES_MAX).await.err().unwrap();
    assert!(is_refused(&error), "{error:?}");
    text(&error)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said() {
    let (access, secret) = env::s3_keys();
    let (endpoint, bucket) = (env::s3_endpoint(), env::s3_bucket());
    let said = refused(&at(&endpoint, "no-such-bucket", (&access, &secret))).await;
    assert!(said.contains("there is no such bucket; make it"), "{said}");
    assert!(said.contains("S3 bucket `no-such-bucket` at http://127.0.0.1:"), "{said}");
    let said = refused(&at(&endpoint, &bucket, (&access, "pa55word"))).await;
    assert!(said.contains("the secret key is wrong") && !said.contains("pa55word"), "{said}");
    let said = refused(&at(&endpoint, &bucket, ("nobody", &secret))).await;
    assert!(said.contains("the access key is not known there"), "{said}");
    assert!(!said.contains(&secret), "{said}");
    let mut plain = at(&endpoint, &bucket, (&access, &secret));
    plain.options.remove("allow_http");
    let said = refused(&plain).await;
    assert!(said.contains("or set `allow_http`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_of_another_version_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Objects::at(format!("file://{}", folder.path().display()));
    drop(opened(&settings).await);
    std::fs::write(folder.path().join("capstan.json"), "{\"layout\":7}").unwrap();
    let said = refused(&settings).await;
    assert!(said.contains("the layout there is 7, and this version of capstan knows 1"), "{said}");
    std::fs::write(folder.path().join("capstan.json"), "whatever").unwrap();
    let said = refused(&settings).await;
    assert!(said.contains("somebody else uses that name"), "{said}");
}
