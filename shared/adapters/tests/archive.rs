//! Backups of a data folder that is in use, and what is in the way of restoring them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use shared_adapters::archive::{ArchiveError, backup, check_file, check_store, restore};
use shared_adapters::{Config, open};
use shared_model::{ExecutionId, Status};
use shared_ports::documents::Change;
use shared_ports::journal::{Append, Head, HistoryEntry, Kind, StageBody, StageRow};
use shared_ports::{BlobRef, LogName, Ports};

/// Whatever the state is.
fn any(_: &str, state: &[u8], _: &[Vec<u8>]) -> Result<(), String> {
    if state.is_empty() { Err("it is empty".to_owned()) } else { Ok(()) }
}

fn append(id: &str) -> Append {
    let head = Head {
        kind: Kind::Pipeline,
        application: "Shop".to_owned(),
        name: "release".to_owned(),
        pipeline_config_id: None,
        status: Status::Running,
        build_time: Timestamp::UNIX_EPOCH,
        start_time: None,
        end_time: None,
        state: Bytes::from_static(&[0, 255, 7]),
    };
    let body = StageBody::default();
    let stage = |index| StageRow { index, state: Bytes::from(vec![index as u8]), body: None };
    let entry = HistoryEntry {
        at: Timestamp::UNIX_EPOCH,
        stage: Some("1".to_owned()),
        kind: "begun".to_owned(),
        text: "it's \"begun\"\n".to_owned(),
    };
    Append {
        execution: ExecutionId::new(id),
        expected: 0,
        head,
        document: Some(json!({"id": id, "ä": [1, null]})),
        stages: vec![StageRow { body: Some(body), ..stage(0) }, stage(1)],
        history: vec![entry.clone(), entry],
    }
}

fn log(id: &str) -> LogName {
    LogName { execution: id.to_owned(), stage: "a/b<1>".to_owned() }
}

/// Fills a store with executions, documents, a blob and logs.
async fn fill(ports: &Ports, executions: u32) -> BlobRef {
    for number in 0..executions {
        let id = format!("execution {number:03}");
        ports.journal.append(vec![append(&id)]).await.unwrap();
        ports.blobs.append(&log(&id), Bytes::from(format!("line of {id}\n"))).await.unwrap();
    }
    let long = vec![b'x'; 3_000_000];
    ports.blobs.append(&log("execution 000"), Bytes::from(long)).await.unwrap();
    let lost = log("of nobody");
    ports.blobs.append(&lost, Bytes::from_static(b"no execution has it")).await.unwrap();
    for (expected, body) in [(0, Some(json!({"v": 1}))), (1, Some(json!({"v": 2})))] {
        let (kind, id, by) = ("pipeline".to_owned(), "p".to_owned(), "me".to_owned());
        let change = Change { kind, id, expected, body, by, at: Timestamp::UNIX_EPOCH };
        ports.documents.change(change).await.unwrap();
    }
    ports.blobs.put(Bytes::from_static(b"a blob")).await.unwrap()
}

/// What is in one store is in the other.
async fn assert_same(one: &Ports, other: &Ports, executions: u32, blob: &BlobRef) {
    for number in 0..executions {
        let id = ExecutionId::new(format!("execution {number:03}"));
        let stored = one.journal.load(&id).await.unwrap();
        assert!(stored.is_some());
        assert_eq!(stored, other.journal.load(&id).await.unwrap());
        let bodies = one.journal.bodies(&id, &[]).await.unwrap();
        assert_eq!(bodies, other.journal.bodies(&id, &[]).await.unwrap());
        let history = one.journal.history(&id, 0, 10).await.unwrap();
        assert_eq!(history, other.journal.history(&id, 0, 10).await.unwrap());
        let name = log(id.as_str());
        let text = one.blobs.read(&name, 0, usize::MAX).await.unwrap();
        assert_eq!(text, other.blobs.read(&name, 0, usize::MAX).await.unwrap());
    }
    let versions = one.documents.history("pipeline", "p", 10).await.unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(versions, other.documents.history("pipeline", "p", 10).await.unwrap());
    assert_eq!(other.blobs.get(blob, None).await.unwrap(), "a blob");
    let unfinished = other.journal.unfinished(None, 1000).await.unwrap();
    assert_eq!(unfinished.len(), executions as usize);
}

fn config(folder: &Path, name: &str) -> Config {
    Config::embedded(folder.join(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_and_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (config(folder.path(), "first"), config(folder.path(), "second"));
    let (ports, guard) = open(&first).await.unwrap();
    let blob = fill(&ports, 40).await;
    let file = folder.path().join("backup");
    let made = backup(&first, &file).await.unwrap();
    assert_eq!((made.executions, made.documents, made.blobs, made.logs), (40, 1, 1, 40));
    assert_eq!(check_file(&file, &any).await.unwrap(), made);
    assert_eq!(check_store(&first, &any).await.unwrap(), made);
    assert_eq!(restore(&second, &file, &any).await.unwrap(), made);
    let (again, restored) = open(&second).await.unwrap();
    assert_same(&ports, &again, 40, &blob).await;
    // It goes on from there.
    let id = ExecutionId::new("execution 007");
    let next = Append { expected: 1, document: None, stages: Vec::new(), ..append(id.as_str()) };
    again.journal.append(vec![next]).await.unwrap();
    assert_eq!(again.journal.load(&id).await.unwrap().unwrap().version, 2);
    again.blobs.append(&log(id.as_str()), Bytes::from_static(b"more\n")).await.unwrap();
    let text = again.blobs.read(&log(id.as_str()), 0, 100).await.unwrap();
    assert_eq!(text, "line of execution 007\nmore\n");
    guard.close().await.unwrap();
    restored.close().await.unwrap();
    // Nobody has it open, and a backup changes nothing.
    assert_eq!(check_store(&first, &any).await.unwrap(), made);
    assert_eq!(backup(&first, &file).await.unwrap(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_said_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (config(folder.path(), "first"), config(folder.path(), "second"));
    let file = folder.path().join("backup");
    let said = backup(&first, &file).await.unwrap_err().to_string();
    assert!(said.contains("there is no store in data folder"), "{said}");
    let (ports, guard) = open(&first).await.unwrap();
    fill(&ports, 3).await;
    backup(&first, &file).await.unwrap();
    let said = restore(&first, &file, &any).await.unwrap_err().to_string();
    assert!(said.contains("is in use by process"), "{said}");
    guard.close().await.unwrap();
    let said = restore(&first, &file, &any).await.unwrap_err().to_string();
    assert!(said.contains("is not empty: it has rows in `execution`"), "{said}");
    let refuse = |id: &str, _: &[u8], _: &[Vec<u8>]| {
        if id.ends_with('1') { Err("no state of ours".to_owned()) } else { Ok(()) }
    };
    let said = restore(&second, &file, &refuse).await.unwrap_err().to_string();
    assert!(said.contains("execution `execution 001`: no state of ours"), "{said}");
    let whole = std::fs::read(&file).unwrap();
    for len in [whole.len() / 3, whole.len() - 40] {
        std::fs::write(&file, &whole[..len]).unwrap();
        let error = restore(&second, &file, &any).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
    }
    std::fs::write(&file, b"text").unwrap();
    let error = restore(&second, &file, &any).await.unwrap_err();
    assert!(matches!(error, ArchiveError::NotOne { .. }), "{error}");
    assert!(!folder.path().join("second").exists(), "nothing was made");
    std::fs::write(&file, &whole).unwrap();
    restore(&second, &file, &any).await.unwrap();
    let damaged = folder.path().join("first/blobs");
    let blob = name_of_the_only(&damaged);
    std::fs::write(&blob, b"b blob").unwrap();
    let said = check_store(&first, &any).await.unwrap_err().to_string();
    assert!(said.contains("the file is damaged"), "{said}");
}

fn name_of_the_only(blobs: &Path) -> std::path::PathBuf {
    let folders = std::fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().path());
    let folder = folders.into_iter().find(|path| !path.ends_with("incoming")).unwrap();
    std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}
