//! Backups of a data folder that is in use, and what is in the way of restoring them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scene;

use std::path::Path;

use bytes::Bytes;
use shared_adapters::archive::{ArchiveError, backup, check_file, check_store, restore};
use shared_adapters::{Config, open};
use shared_model::ExecutionId;
use shared_ports::journal::Append;

use scene::{any, append, assert_same, fill, log};

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
