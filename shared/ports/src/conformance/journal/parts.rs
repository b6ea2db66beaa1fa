use bytes::Bytes;
use futures::future::join;
use serde_json::json;

use super::{append, bodies, history, is_refused, load, store};
use crate::conformance::Subject;
use crate::conformance::samples::{awkward, body, creation, entry, id, stage, step};
use crate::journal::{Append, Journal, StageBody, StageRow};

pub(super) async fn only_the_stages_that_changed_are_written(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    store(&*journal, creation("e")).await;
    let state = Bytes::from_static(b"state alone");
    let state_alone = StageRow { index: 0, state: state.clone(), body: None };
    store(&*journal, Append { stages: vec![state_alone], ..step("e", 1) }).await;
    assert_eq!(load(&*journal, "e").await.stages, [state.clone(), stage(1, "second").state]);
    assert_eq!(bodies(&*journal, "e", &[]).await, [body("first"), body("second")]);
    let more = vec![stage(2, "third"), stage(1, "changed")];
    store(&*journal, Append { stages: more, ..step("e", 2) }).await;
    let states = [state, stage(1, "changed").state, stage(2, "third").state];
    assert_eq!(load(&*journal, "e").await.stages, states);
    assert_eq!(bodies(&*journal, "e", &[]).await, [body("first"), body("changed"), body("third")]);
}

pub(super) async fn a_document_stays_until_it_is_replaced(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    store(&*journal, creation("e")).await;
    store(&*journal, step("e", 1)).await;
    assert_eq!(load(&*journal, "e").await.document, awkward());
    store(&*journal, Append { document: Some(json!({"new": 1})), ..step("e", 2) }).await;
    assert_eq!(load(&*journal, "e").await.document, json!({"new": 1}));
}

pub(super) async fn bodies_come_in_the_order_asked_for(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let stages = (0..5).map(|index| stage(index, &index.to_string())).collect();
    store(&*journal, Append { stages, ..creation("e") }).await;
    store(&*journal, creation("f")).await;
    for indexes in [&[4, 0, 2][..], &[3], &[1, 1, 0], &[]] {
        let asked = if indexes.is_empty() { &[0, 1, 2, 3, 4][..] } else { indexes };
        let expected: Vec<_> = asked.iter().map(|index| body(&index.to_string())).collect();
        assert_eq!(bodies(&*journal, "e", indexes).await, expected, "{indexes:?}");
    }
}

pub(super) async fn a_body_that_was_never_stored_is_empty(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let bare = StageRow { body: None, ..stage(0, "bare") };
    store(&*journal, Append { stages: vec![bare, stage(1, "x")], ..creation("e") }).await;
    assert_eq!(bodies(&*journal, "e", &[]).await, [StageBody::default(), body("x")]);
    assert_eq!(bodies(&*journal, "e", &[0]).await, [StageBody::default()]);
}

pub(super) async fn many_stages_are_kept_in_order(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let stages: Vec<StageRow> = (0..1200).rev().map(|index| stage(index, "one of many")).collect();
    let entries = (0..300).map(|number| entry(&number.to_string())).collect();
    store(&*journal, Append { stages, history: entries, ..creation("e") }).await;
    let states: Vec<Bytes> = (0..1200).map(|index| stage(index, "one of many").state).collect();
    assert_eq!(load(&*journal, "e").await.stages, states);
    let all: Vec<u32> = (0..1200).collect();
    assert_eq!(bodies(&*journal, "e", &all).await.len(), 1200);
    let texts: Vec<String> =
        history(&*journal, "e").await.into_iter().map(|(_, entry)| entry.text).collect();
    assert_eq!(texts, (0..300).map(|number| number.to_string()).collect::<Vec<_>>());
}

pub(super) async fn what_is_not_there_is_refused(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    store(&*journal, Append { stages: Vec::new(), ..creation("empty") }).await;
    store(&*journal, creation("e")).await;
    assert_eq!(bodies(&*journal, "empty", &[]).await, []);
    for (execution, indexes) in
        [("e", &[2][..]), ("e", &[0, u32::MAX]), ("unknown", &[0]), ("unknown", &[])]
    {
        let answer = journal.bodies(&id(execution), indexes).await;
        assert!(is_refused(&answer), "{execution} {indexes:?}: {answer:?}");
    }
    assert_eq!(history(&*journal, "unknown").await, []);
}

pub(super) async fn history_is_numbered_and_read_in_pages(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    let entries = |texts: &[&str]| texts.iter().map(|text| entry(text)).collect();
    let quiet = Append { history: Vec::new(), ..creation("e") };
    append(&*journal, vec![quiet, creation("f")]).await;
    store(&*journal, Append { history: entries(&["a", "b"]), ..step("e", 1) }).await;
    store(&*journal, Append { history: entries(&["c", "d", "e"]), ..step("e", 2) }).await;
    let all = [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")];
    for (after, limit, expected) in
        [(0, 10, &all[..]), (0, 2, &all[..2]), (2, 2, &all[2..4]), (4, 10, &all[4..]), (5, 1, &[])]
    {
        let read = journal.history(&id("e"), after, limit).await.expect("reading history");
        let expected: Vec<_> =
            expected.iter().map(|(number, text)| (*number, entry(text))).collect();
        assert_eq!(read, expected, "{limit} after {after}");
    }
}

/// Head, stages and document of one load belong together, whatever is appended meanwhile.
pub(super) async fn a_load_is_of_one_version(subject: Subject<dyn Journal>) {
    let journal = subject.port;
    store(&*journal, creation("e")).await;
    let write = async {
        for version in 1..60 {
            let state = Bytes::from(format!("head after {version}"));
            let stages =
                (0..2).map(|index| StageRow { index, state: state.clone(), body: None }).collect();
            let document = Some(json!(format!("head after {version}")));
            store(&*journal, Append { stages, document, ..step("e", version) }).await;
        }
    };
    let read = async {
        let mut version = 1;
        while version < 60 {
            let stored = load(&*journal, "e").await;
            assert!(stored.version >= version, "it went back to {}", stored.version);
            version = stored.version;
            if version > 1 {
                let state = &stored.head.state;
                assert_eq!(*state, Bytes::from(format!("head after {}", version - 1)));
                assert!(stored.stages.iter().all(|stage| stage == state), "version {version}");
                let document = stored.document.as_str().map(str::as_bytes);
                assert_eq!(document, Some(&state[..]), "version {version}");
            }
            tokio::task::yield_now().await;
        }
    };
    join(write, read).await;
}
