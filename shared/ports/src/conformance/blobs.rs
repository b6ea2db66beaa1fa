//! The suite of [`Blobs`].

mod logs;

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::Timestamp;

use super::suite::suite;
use super::{Durable, Subject, Suite};
use crate::PortError;
use crate::blobs::{BlobRef, Blobs, LogName, Uses};

/// Every [`Blobs`] passes this.
pub fn blobs() -> Suite<Subject<dyn Blobs>> {
    suite!("blobs":
        bytes_are_named_by_what_they_are,
        putting_again_changes_nothing,
        several_put_the_same_at_once,
        a_range_is_clipped,
        what_is_not_there_is_refused,
        what_is_removed_is_gone_and_may_be_put_again,
        a_sweep_keeps_what_was_put_since_and_counts_it,
        a_sweep_keeps_what_is_in_use,
        logs::chunks_keep_their_order,
        logs::a_log_is_read_from_anywhere,
        logs::a_log_that_nobody_wrote_is_empty,
        logs::logs_do_not_mix,
        logs::names_stay_in_their_place,
        logs::a_reader_never_sees_part_of_a_chunk,
        logs::appends_at_once_are_all_kept,
        logs::logs_go_with_their_execution,
    )
}

/// Every [`Blobs`] that keeps what it holds passes this too.
pub fn durable_blobs() -> Suite<Durable<dyn Blobs>> {
    suite!("durable blobs": what_was_acknowledged_is_there_after_reopening)
}

async fn bytes_are_named_by_what_they_are(subject: Subject<dyn Blobs>) {
    let blobs = subject.port;
    for (bytes, sha256) in [
        (&b"abc"[..], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ] {
        let name = put(&*blobs, bytes).await;
        assert_eq!(name, BlobRef { sha256: sha256.to_owned(), bytes: bytes.len() as u64 });
        assert_eq!(get(&*blobs, &name).await, bytes);
    }
    let large = vec![0xa5; 3_000_000];
    let name = put(&*blobs, &large).await;
    assert_eq!(get(&*blobs, &name).await, large);
}

async fn a_sweep_keeps_what_was_put_since_and_counts_it(subject: Subject<dyn Blobs>) {
    let blobs = subject.port;
    let names = [put(&*blobs, b"one").await, put(&*blobs, b"another").await];
    let log = LogName { execution: "e".to_owned(), stage: "1".to_owned() };
    blobs.append(&log, Bytes::from_static(b"a line")).await.expect("appending");
    let kept = blobs.sweep(Timestamp::UNIX_EPOCH).await.expect("sweeping");
    assert_eq!((kept.blobs, kept.blob_bytes), (2, 10));
    // With whatever stands around it.
    assert!(kept.log_bytes >= 6, "{kept:?}");
    assert_eq!(get(&*blobs, &names[0]).await, "one");
    assert_eq!(get(&*blobs, &names[1]).await, "another");
}

async fn a_sweep_keeps_what_is_in_use(subject: Subject<dyn Blobs>) {
    struct Only(String);
    #[async_trait::async_trait]
    impl Uses for Only {
        async fn in_use(&self, of: &[String]) -> Result<BTreeSet<String>, PortError> {
            Ok(of.iter().filter(|name| **name == self.0).cloned().collect())
        }
    }
    let blobs = subject.port;
    let used = put(&*blobs, b"used").await;
    let other = put(&*blobs, b"not used").await;
    let far: Timestamp = "2200-01-01T00:00:00Z".parse().expect("an instant");
    let kept = blobs.sweep_unused(far, &Only(used.sha256.clone())).await.expect("sweeping");
    assert_eq!(get(&*blobs, &used).await, "used");
    // A store without a clock keeps the other one, and says so.
    let is_left = blobs.get(&other, None).await.is_ok();
    assert_eq!(kept.blobs, 1 + u64::from(is_left));
}

async fn putting_again_changes_nothing(subject: Subject<dyn Blobs>) {
    let blobs = subject.port;
    let name = put(&*blobs, b"twice").await;
    assert_eq!(put(&*blobs, b"twice").await, name);
    assert_eq!(get(&*blobs, &name).await, "twice");
}

async fn several_put_the_same_at_once(subject: Subject<dyn Blobs>) {
    let blobs = subject.port;
    let bytes = vec![7; 200_000];
    let names = futures::future::join_all((0..8).map(|_| put(&*blobs, &bytes))).await;
    for name in &names {
        assert_eq!(name, &names[0]);
        assert_eq!(get(&*blobs, name).await, bytes);
    }
}

async fn a_range_is_clipped(subject: Subject<dyn Blobs>) {
    let blobs = subject.port;
    let name = put(&*blobs, b"0123456789").await;
    for (start, end, expected) in [
        (0, 10, "0123456789"),
        (2, 5, "234"),
        (8, 20, "89"),
        (0, u64::MAX, "0123456789"),
        (10, 12, ""),
        (u64::MAX - 1, u64::MAX, ""),
        (5, 5, ""),
        (7, 3, ""),
    ] {
        let read = blobs.get(&name, Some((start, end))).await.expect("reading");
        assert_eq!(read, expected.as_bytes(), "{start}..{end}");
    }
}

async fn what_is_not_there_is_refused(subject: Subject<dyn Blobs>) {
    let blobs = subject.port;
    let name = put(&*blobs, b"here").await;
    let unknown = BlobRef { sha256: "0".repeat(64), bytes: 4 };
    let of_other_length = BlobRef { bytes: 5, ..name.clone() };
    let outside = BlobRef { sha256: "../../etc/passwd".to_owned(), bytes: 4 };
    let shouted = BlobRef { sha256: name.sha256.to_uppercase(), bytes: 4 };
    for wrong in [unknown, of_other_length, outside, shouted] {
        let read = blobs.get(&wrong, None).await;
        assert!(matches!(read, Err(PortError::Refused { .. })), "{wrong:?}: {read:?}");
    }
}

async fn what_is_removed_is_gone_and_may_be_put_again(subject: Subject<dyn Blobs>) {
    let blobs = subject.port;
    let (gone, kept) = (put(&*blobs, b"gone").await, put(&*blobs, b"kept").await);
    for _ in 0..2 {
        blobs.remove(std::slice::from_ref(&gone), None).await.expect("removing");
        assert!(blobs.get(&gone, None).await.is_err());
        assert_eq!(get(&*blobs, &kept).await, "kept");
    }
    assert_eq!(put(&*blobs, b"gone").await, gone);
    assert_eq!(get(&*blobs, &gone).await, "gone");
}

async fn what_was_acknowledged_is_there_after_reopening(subject: Durable<dyn Blobs>) {
    let log = logs::log("e", "1");
    let name = put(&*subject.port, b"kept").await;
    logs::append(&*subject.port, &log, b"line 1\n").await;
    logs::append(&*subject.port, &log, b"line 2\n").await;
    drop(subject.port);
    let reopened = subject.reopen.await;
    let again = &reopened.port;
    assert_eq!(get(&**again, &name).await, "kept");
    assert_eq!(logs::all(&**again, &log).await, "line 1\nline 2\n");
    logs::append(&**again, &log, b"line 3\n").await;
    assert_eq!(logs::all(&**again, &log).await, "line 1\nline 2\nline 3\n");
}

async fn put(blobs: &dyn Blobs, bytes: &[u8]) -> BlobRef {
    blobs.put(Bytes::copy_from_slice(bytes)).await.expect("storing")
}

async fn get(blobs: &dyn Blobs, name: &BlobRef) -> Bytes {
    blobs.get(name, None).await.expect("reading")
}
