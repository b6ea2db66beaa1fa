//! The data folder: whose it is, what is wrong with it, what a crash left in it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use shared_adapters::{Config, Embedded, FolderBlobs, Guard, OpenError, open};
use shared_model::Capability;
use shared_ports::broker::{Outgoing, Queue};
use shared_ports::{Blobs, LogName, PortError, Ports};
use sqlx::{ConnectOptions, SqliteConnection};

#[tokio::test]
async fn a_folder_is_made_for_its_owner_alone() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("not/there/yet");
    let (_ports, guard) = open(&Config::embedded(&folder)).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let expected = if entry.file_type().unwrap().is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&entry.path()), expected, "{:?}", entry.file_name());
    }
    guard.close().await.unwrap();
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (ports, guard) = embedded(folder.path()).await;
    let error = refusal(folder.path()).await;
    let expected = format!(
        "data folder `{}` is in use by process {}; wait until that ends, or choose another data \
         folder",
        folder.path().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    guard.close().await.unwrap();
    let (_again, guard) = embedded(folder.path()).await;
    // Whoever still has the old ports cannot write past the new owner.
    let answer = ports.documents.change(change()).await;
    assert!(matches!(answer, Err(PortError::Refused { .. })), "{answer:?}");
    guard.close().await.unwrap();
}

#[tokio::test]
async fn a_dropped_guard_lets_go_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    drop(embedded(folder.path()).await);
    for _ in 0..500 {
        if let Ok((_, guard)) = open(&Config::embedded(folder.path())).await {
            return guard.close().await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it is still held");
}

#[tokio::test]
async fn what_was_handed_in_before_closing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (ports, guard) = embedded(folder.path()).await;
    let handed_in = tokio::join!(ports.documents.change(change()), guard.close());
    handed_in.0.unwrap();
    handed_in.1.unwrap();
    let (ports, _guard) = embedded(folder.path()).await;
    assert!(ports.documents.get("pipeline", "p").await.unwrap().is_some());
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    embedded(folder.path()).await.1.close().await.unwrap();
    let mut connection = database(folder.path()).await;
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (7, 'newer', '', TRUE, X'00', 0)")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let error = refusal(folder.path()).await;
    let expected = format!(
        "database `{}` has schema version 7, and this version of capstan knows only up to 4; use \
         the version that wrote it, or a newer one",
        folder.path().join("capstan.db").display()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_changed_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    embedded(folder.path()).await.1.close().await.unwrap();
    let mut connection = database(folder.path()).await;
    sqlx::query("UPDATE _sqlx_migrations SET checksum = X'00'")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let error = refusal(folder.path()).await;
    assert!(matches!(error, OpenError::Schema { .. }), "{error:?}");
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capstan.db");
    std::fs::write(&file, "this is no database, however long it is".repeat(1000)).unwrap();
    let error = refusal(folder.path()).await;
    let expected = format!(
        "database `{}` is damaged: error returned from database: (code: 26) file is not a \
         database; put back a copy of it, or move it away to begin anew",
        file.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_file_in_the_folders_place_is_refused() {
    let above = tempfile::tempdir().unwrap();
    let file = above.path().join("file");
    std::fs::write(&file, "").unwrap();
    for place in [file.clone(), file.join("below")] {
        let error = refusal(&place).await;
        assert!(matches!(error, OpenError::NotAFolder { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_a_crash_left_of_a_chunk_is_no_part_of_the_log() {
    let whole = b"line 1\nline 2\n";
    let frame_bytes = 12 + 7;
    for cut in 1..frame_bytes {
        let folder = tempfile::tempdir().unwrap();
        let (ports, guard) = embedded(folder.path()).await;
        for chunk in ["line 1\n", "line 2\n", "line 3\n"] {
            ports.blobs.append(&log(), Bytes::from(chunk)).await.unwrap();
        }
        guard.close().await.unwrap();
        let file = std::fs::File::options().write(true).open(log_file(folder.path())).unwrap();
        file.set_len(3 * frame_bytes - cut).unwrap();
        let (ports, _guard) = embedded(folder.path()).await;
        assert_eq!(ports.blobs.read(&log(), 0, 100).await.unwrap(), &whole[..], "{cut} cut off");
        ports.blobs.append(&log(), Bytes::from("new\n")).await.unwrap();
        assert_eq!(ports.blobs.read(&log(), 14, 100).await.unwrap(), "new\n");
    }
}

#[tokio::test]
async fn a_damaged_blob_is_refused_and_mended_by_putting_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let (ports, _guard) = embedded(folder.path()).await;
    let name = ports.blobs.put(Bytes::from("content")).await.unwrap();
    let file = folder.path().join("blobs").join(&name.sha256[..2]).join(&name.sha256);
    std::fs::write(&file, "c0ntent").unwrap();
    for range in [None, Some((2, 4))] {
        let error = ports.blobs.get(&name, range).await.unwrap_err();
        assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("the file is damaged"), "{error}");
    }
    ports.blobs.put(Bytes::from("content")).await.unwrap();
    assert_eq!(ports.blobs.get(&name, None).await.unwrap(), "content");
}

#[tokio::test]
async fn what_a_crash_left_of_a_blob_is_swept_away() {
    let folder = tempfile::tempdir().unwrap();
    embedded(folder.path()).await.1.close().await.unwrap();
    let incoming = folder.path().join("blobs/incoming");
    std::fs::write(incoming.join("0"), "half a bl").unwrap();
    let (_ports, _guard) = embedded(folder.path()).await;
    assert_eq!(std::fs::read_dir(&incoming).unwrap().count(), 0);
}

#[tokio::test]
async fn limits_are_named_when_they_are_hit() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::Embedded(Embedded {
        queue_len_max: 3,
        blob_bytes_max: 10,
        log_bytes_max: 10,
        ..Embedded::new(folder.path())
    });
    let (ports, _guard) = open(&config).await.unwrap();
    let error = ports.blobs.put(Bytes::from("eleven byte")).await.unwrap_err();
    assert!(error.to_string().contains("`blob_bytes_max` is 10"), "{error}");
    ports.blobs.append(&log(), Bytes::from("12345678")).await.unwrap();
    let error = ports.blobs.append(&log(), Bytes::from("901")).await.unwrap_err();
    assert!(error.to_string().contains("`log_bytes_max` is 10"), "{error}");
    ports.blobs.append(&log(), Bytes::from("90")).await.unwrap();
    publish(&ports, &["a", "b"]).await.unwrap();
    let error = publish(&ports, &["c", "d"]).await.unwrap_err();
    assert!(matches!(error, PortError::Unavailable { .. }), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("`queue_len_max` of 3"), "{cause}");
    assert_eq!(ports.broker.depth(&queue()).await.unwrap(), 2, "all or none is sent");
    publish(&ports, &["a", "b", "c"]).await.unwrap();
}

async fn publish(ports: &Ports, ids: &[&str]) -> Result<(), PortError> {
    let message = |id: &&str| Outgoing { queue: queue(), id: (*id).to_owned(), body: Bytes::new() };
    ports.broker.publish(ids.iter().map(message).collect()).await
}

fn queue() -> Queue {
    Queue::Ready(Capability::new("wait"))
}

async fn embedded(folder: &Path) -> (Ports, Guard) {
    open(&Config::embedded(folder)).await.unwrap()
}

async fn refusal(folder: &Path) -> OpenError {
    match open(&Config::embedded(folder)).await {
        Ok(_) => panic!("{} was opened", folder.display()),
        Err(error) => error,
    }
}

async fn database(folder: &Path) -> SqliteConnection {
    let file = folder.join("capstan.db");
    sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

fn change() -> shared_ports::documents::Change {
    shared_ports::documents::Change {
        kind: "pipeline".to_owned(),
        id: "p".to_owned(),
        expected: 0,
        body: Some(serde_json::json!({"name": "p"})),
        by: "someone".to_owned(),
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn log() -> LogName {
    LogName { execution: "e".to_owned(), stage: "1".to_owned() }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("logs/e/1.log")
}

#[tokio::test]
async fn several_processes_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let share = || FolderBlobs::share(&folder.path().join("shared"), 1_000, 1_000).unwrap();
    let (one, other, reader) = (share(), share(), share());
    assert!(reader.read(&log(), 0, 100).await.unwrap().is_empty());
    let mut expected = Vec::new();
    for turn in 0..5 {
        for (blobs, name) in [(&one, "one"), (&other, "other")] {
            let line = format!("{name} {turn}\n");
            blobs.append(&log(), Bytes::from(line.clone())).await.unwrap();
            expected.extend(line.into_bytes());
            assert_eq!(reader.read(&log(), 0, 1_000).await.unwrap(), expected);
        }
    }
    let blob = one.put(Bytes::from("bytes")).await.unwrap();
    assert_eq!(other.put(Bytes::from("bytes")).await.unwrap(), blob);
    assert_eq!(reader.get(&blob, None).await.unwrap(), "bytes");
    // One that begins leaves alone what others are writing.
    let incoming = folder.path().join("shared/blobs/incoming/another");
    std::fs::write(&incoming, "half a bl").unwrap();
    drop(share());
    assert!(incoming.exists());
    other.remove(&[], Some(&log().execution)).await.unwrap();
    assert!(reader.read(&log(), 0, 100).await.unwrap().is_empty());
    one.append(&log(), Bytes::from("anew")).await.unwrap();
    assert_eq!(reader.read(&log(), 0, 100).await.unwrap(), "anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_appends_at_once_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let append = |number: usize| {
        let blobs = FolderBlobs::share(folder.path(), 1_000, 1_000_000).unwrap();
        async move {
            for turn in 0..100 {
                let line = format!("{number} {turn}\n");
                blobs.append(&log(), Bytes::from(line)).await.unwrap();
            }
        }
    };
    let mut writers: tokio::task::JoinSet<()> = (0..4).map(append).collect();
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    let reader = FolderBlobs::share(folder.path(), 1_000, 1_000_000).unwrap();
    let text = reader.read(&log(), 0, 1_000_000).await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert_eq!(text.lines().count(), 400);
    for number in 0..4 {
        let begin = format!("{number} ");
        let turns =
            text.lines().filter_map(|line| line.strip_prefix(&begin)?.parse::<usize>().ok());
        assert!(turns.eq(0..100), "{number}");
    }
}
