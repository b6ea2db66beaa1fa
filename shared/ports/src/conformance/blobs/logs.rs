use bytes::Bytes;
use futures::future::join;

use super::{Blobs, LogName};
use crate::conformance::Subject;

const CHUNK_BYTES: usize = 1000;

pub(super) async fn chunks_keep_their_order(subject: Subject<dyn Blobs>) {
    let (blobs, log) = (subject.port, log("e", "1"));
    let mut expected = Vec::new();
    for number in 0..50 {
        let chunk = format!("line {number}\n");
        append(&*blobs, &log, chunk.as_bytes()).await;
        expected.extend_from_slice(chunk.as_bytes());
        assert_eq!(all(&*blobs, &log).await, expected, "what is acknowledged is read");
    }
    append(&*blobs, &log, b"").await;
    assert_eq!(all(&*blobs, &log).await, expected);
}

pub(super) async fn a_log_is_read_from_anywhere(subject: Subject<dyn Blobs>) {
    let (blobs, log) = (subject.port, log("e", "1"));
    for chunk in ["ab", "c", "defg", "hi"] {
        append(&*blobs, &log, chunk.as_bytes()).await;
    }
    let text = b"abcdefghi";
    for offset in 0..12 {
        for bytes_max in 0..12 {
            let read = blobs.read(&log, offset as u64, bytes_max).await.expect("reading");
            let rest = text.get(offset..).unwrap_or_default();
            let expected = &rest[..rest.len().min(bytes_max)];
            assert_eq!(read, expected, "{bytes_max} bytes from {offset}");
        }
    }
    assert_eq!(blobs.read(&log, u64::MAX, usize::MAX).await.expect("reading"), "");
}

pub(super) async fn a_log_that_nobody_wrote_is_empty(subject: Subject<dyn Blobs>) {
    assert_eq!(all(&*subject.port, &log("unknown", "1")).await, "");
}

pub(super) async fn logs_do_not_mix(subject: Subject<dyn Blobs>) {
    let blobs = subject.port;
    let logs = [log("e", "1"), log("e", "2"), log("f", "1"), log("e", "1<1"), log("e1", "")];
    for (number, log) in logs.iter().enumerate() {
        append(&*blobs, log, number.to_string().as_bytes()).await;
    }
    for (number, log) in logs.iter().enumerate() {
        assert_eq!(all(&*blobs, log).await, number.to_string(), "{log:?}");
    }
}

pub(super) async fn names_stay_in_their_place(subject: Subject<dyn Blobs>) {
    let blobs = subject.port;
    let long = "é".repeat(125);
    let names = [
        "..",
        ".",
        "../../x",
        "/etc/passwd",
        "a/b",
        "a%2fb",
        "a\\b",
        "a\0b",
        " ",
        "%",
        "日本",
        "line\nbreak",
        "$(reboot)",
        "A",
        "a",
        &long,
        &long[2..],
    ];
    for stage in names {
        append(&*blobs, &log("e", stage), stage.as_bytes()).await;
        append(&*blobs, &log(stage, "s"), stage.as_bytes()).await;
    }
    for stage in names {
        assert_eq!(all(&*blobs, &log("e", stage)).await, stage.as_bytes(), "{stage:?}");
        assert_eq!(all(&*blobs, &log(stage, "s")).await, stage.as_bytes(), "{stage:?}");
    }
    // Whoever joins them without a thought takes these for one.
    append(&*blobs, &log("x/y", "z"), b"1").await;
    append(&*blobs, &log("x", "y/z"), b"2").await;
    assert_eq!(all(&*blobs, &log("x/y", "z")).await, "1");
    blobs.remove(&[], Some("..")).await.expect("removing");
    assert_eq!(all(&*blobs, &log("e", "a")).await, "a");
    assert_eq!(all(&*blobs, &log("..", "s")).await, "");
}

pub(super) async fn a_reader_never_sees_part_of_a_chunk(subject: Subject<dyn Blobs>) {
    let (blobs, log) = (subject.port, log("e", "1"));
    let write = async {
        for number in 0..40 {
            append(&*blobs, &log, &[number; CHUNK_BYTES]).await;
        }
    };
    let read = async {
        let mut seen = 0;
        while seen < 40 * CHUNK_BYTES {
            let read = all(&*blobs, &log).await;
            assert_eq!(read.len() % CHUNK_BYTES, 0, "part of a chunk");
            for (number, chunk) in (0u8..).zip(read.chunks(CHUNK_BYTES)) {
                assert!(chunk.iter().all(|byte| *byte == number), "chunk {number} is another");
            }
            assert!(read.len() >= seen, "the log got shorter");
            seen = read.len();
            tokio::task::yield_now().await;
        }
    };
    join(write, read).await;
}

pub(super) async fn appends_at_once_are_all_kept(subject: Subject<dyn Blobs>) {
    let (blobs, log) = (subject.port, log("e", "1"));
    let chunks: Vec<Vec<u8>> = (0..20).map(|number| vec![number; CHUNK_BYTES]).collect();
    futures::future::join_all(chunks.iter().map(|chunk| append(&*blobs, &log, chunk))).await;
    let read = all(&*blobs, &log).await;
    let mut found: Vec<Vec<u8>> = read.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect();
    found.sort();
    assert_eq!(found, chunks);
}

pub(super) async fn logs_go_with_their_execution(subject: Subject<dyn Blobs>) {
    let blobs = subject.port;
    for (execution, stage) in [("e", "1"), ("e", "2"), ("f", "1")] {
        append(&*blobs, &log(execution, stage), b"line").await;
    }
    for _ in 0..2 {
        blobs.remove(&[], Some("e")).await.expect("removing");
        assert_eq!(all(&*blobs, &log("e", "1")).await, "");
        assert_eq!(all(&*blobs, &log("e", "2")).await, "");
        assert_eq!(all(&*blobs, &log("f", "1")).await, "line");
    }
    append(&*blobs, &log("e", "1"), b"again").await;
    assert_eq!(all(&*blobs, &log("e", "1")).await, "again");
}

pub(super) fn log(execution: &str, stage: &str) -> LogName {
    LogName { execution: execution.to_owned(), stage: stage.to_owned() }
}

pub(super) async fn append(blobs: &dyn Blobs, log: &LogName, chunk: &[u8]) {
    blobs.append(log, Bytes::copy_from_slice(chunk)).await.expect("appending");
}

pub(super) async fn all(blobs: &dyn Blobs, log: &LogName) -> Bytes {
    blobs.read(log, 0, usize::MAX).await.expect("reading")
}
