//! A store with something of everything in it.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use shared_model::{ExecutionId, Status};
use shared_ports::documents::Change;
use shared_ports::journal::{Append, Head, HistoryEntry, Kind, RunningMax, StageBody, StageRow};
use shared_ports::{BlobRef, LogName, Ports};

/// Whatever the state is.
pub(crate) fn any(_: &str, state: &[u8], _: &[Vec<u8>]) -> Result<(), String> {
    if state.is_empty() { Err("it is empty".to_owned()) } else { Ok(()) }
}

pub(crate) fn append(id: &str) -> Append {
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
        with: None,
        running_max: None,
        running_max_beyond: RunningMax::default(),
    }
}

pub(crate) fn log(id: &str) -> LogName {
    LogName { execution: id.to_owned(), stage: "a/b<1>".to_owned() }
}

/// Fills a store with executions, documents, a blob and logs.
pub(crate) async fn fill(ports: &Ports, executions: u32) -> BlobRef {
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
pub(crate) async fn assert_same(one: &Ports, other: &Ports, executions: u32, blob: &BlobRef) {
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
