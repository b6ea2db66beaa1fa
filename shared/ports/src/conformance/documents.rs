//! The suite of [`Documents`].

use serde_json::{Value, json};

use super::samples::{awkward, instant};
use super::suite::suite;
use super::{Durable, Subject, Suite};
use crate::documents::{Change, Changed, Document, Documents};

/// Every [`Documents`] passes this.
pub fn documents() -> Suite<Subject<dyn Documents>> {
    suite!("documents":
        a_document_reads_back_as_it_was_stored,
        versions_count_up_from_one,
        a_change_of_an_older_version_is_refused,
        of_several_changes_at_once_one_is_stored,
        a_deleted_document_is_gone_and_its_history_stays,
        a_deleted_document_may_be_stored_again,
        every_version_is_kept,
        lists_go_by_kind_and_prefix_in_order,
        prefixes_are_texts_and_not_patterns,
    )
}

/// Every [`Documents`] that keeps what it holds passes this too.
pub fn durable_documents() -> Suite<Durable<dyn Documents>> {
    suite!("durable documents": what_was_acknowledged_is_there_after_reopening)
}

async fn a_document_reads_back_as_it_was_stored(subject: Subject<dyn Documents>) {
    let documents = subject.port;
    assert_eq!(documents.get("pipeline", "p").await.expect("reading"), None);
    let stored = documents.change(change("p", 0, Some(awkward()))).await.expect("storing");
    assert_eq!(stored, Changed::Stored(1));
    let read = documents.get("pipeline", "p").await.expect("reading").expect("it is stored");
    let expected = Document {
        kind: "pipeline".to_owned(),
        id: "p".to_owned(),
        version: 1,
        body: awkward(),
        at: instant(0),
        by: "someone".to_owned(),
    };
    assert_eq!(read, expected);
    assert_eq!(read.body.to_string(), awkward().to_string(), "keys keep their order");
    assert_eq!(documents.get("application", "p").await.expect("reading"), None);
}

async fn versions_count_up_from_one(subject: Subject<dyn Documents>) {
    let documents = subject.port;
    for version in 1..=5 {
        let stored = documents.change(change("p", version - 1, Some(json!(version)))).await;
        assert_eq!(stored.expect("storing"), Changed::Stored(version));
        assert_eq!(body(&*documents, "p").await, Some(json!(version)));
    }
}

async fn a_change_of_an_older_version_is_refused(subject: Subject<dyn Documents>) {
    let documents = subject.port;
    for expected in 0..2 {
        let stored = documents.change(change("p", expected, Some(json!(expected)))).await;
        assert_eq!(stored.expect("storing"), Changed::Stored(expected + 1));
    }
    for expected in [0, 1, 3, 99] {
        for text in [Some(json!("overwritten")), None] {
            let refused = documents.change(change("p", expected, text)).await.expect("asking");
            assert_eq!(refused, Changed::Conflict { newest: 2 }, "made from {expected}");
        }
    }
    assert_eq!(body(&*documents, "p").await, Some(json!(1)));
    assert_eq!(versions(&*documents, "p").await, [2, 1]);
    let refused = documents.change(change("new", 1, Some(json!(1)))).await.expect("asking");
    assert_eq!(refused, Changed::Conflict { newest: 0 });
    assert_eq!(body(&*documents, "new").await, None);
}

async fn of_several_changes_at_once_one_is_stored(subject: Subject<dyn Documents>) {
    let documents = subject.port;
    for round in 0..5 {
        let changes = (0..10).map(|n| documents.change(change("p", round, Some(json!(n)))));
        let answers = futures::future::join_all(changes).await;
        let mut stored = Vec::new();
        for (n, answer) in answers.into_iter().enumerate() {
            match answer.expect("asking") {
                Changed::Stored(version) => stored.push((n, version)),
                Changed::Conflict { newest } => assert_eq!(newest, round + 1),
            }
        }
        assert_eq!(stored.len(), 1, "stored {stored:?}");
        assert_eq!(stored[0].1, round + 1);
        assert_eq!(body(&*documents, "p").await, Some(json!(stored[0].0)));
    }
}

async fn a_deleted_document_is_gone_and_its_history_stays(subject: Subject<dyn Documents>) {
    let documents = subject.port;
    documents.change(change("p", 0, Some(json!(1)))).await.expect("storing");
    let deleted = documents.change(change("p", 1, None)).await.expect("deleting");
    assert_eq!(deleted, Changed::Stored(2));
    assert_eq!(body(&*documents, "p").await, None);
    assert_eq!(list(&*documents, "", None, 10).await, [""; 0]);
    let history = documents.history("pipeline", "p", 10).await.expect("reading");
    let bodies: Vec<&Value> = history.iter().map(|document| &document.body).collect();
    assert_eq!(bodies, [&Value::Null, &json!(1)]);
}

async fn a_deleted_document_may_be_stored_again(subject: Subject<dyn Documents>) {
    let documents = subject.port;
    for (expected, text, version) in [
        (0, Some(json!(1)), 1),
        (1, None, 2),
        // Who does not find it has no version to name.
        (0, Some(json!(3)), 3),
        (3, None, 4),
        (4, Some(json!(5)), 5),
    ] {
        let stored = documents.change(change("p", expected, text.clone())).await.expect("asking");
        assert_eq!(stored, Changed::Stored(version));
        assert_eq!(body(&*documents, "p").await, text);
    }
    let refused = documents.change(change("p", 0, Some(json!(6)))).await.expect("asking");
    assert_eq!(refused, Changed::Conflict { newest: 5 });
}

async fn every_version_is_kept(subject: Subject<dyn Documents>) {
    let documents = subject.port;
    for version in 0..4 {
        let change = Change {
            by: format!("user {version}"),
            at: instant(i64::try_from(version).unwrap_or_default()),
            ..change("p", version, Some(json!({"n": version})))
        };
        documents.change(change).await.expect("storing");
    }
    documents.change(change("q", 0, Some(json!("another")))).await.expect("storing");
    let history = documents.history("pipeline", "p", 3).await.expect("reading");
    let read: Vec<_> =
        history.iter().map(|kept| (kept.version, &kept.body, kept.by.as_str(), kept.at)).collect();
    let bodies = [json!({"n": 3}), json!({"n": 2}), json!({"n": 1})];
    let expected = [
        (4, &bodies[0], "user 3", instant(3)),
        (3, &bodies[1], "user 2", instant(2)),
        (2, &bodies[2], "user 1", instant(1)),
    ];
    assert_eq!(read, expected, "newest first, three of four");
    assert_eq!(documents.history("pipeline", "unknown", 3).await.expect("reading"), []);
}

async fn lists_go_by_kind_and_prefix_in_order(subject: Subject<dyn Documents>) {
    let documents = subject.port;
    for id in ["shop/b", "shop/a", "shop", "shop/c", "shopping", "tea", "Shop/d", "shop0"] {
        documents.change(change(id, 0, Some(json!(id)))).await.expect("storing");
    }
    let other = Change { kind: "application".to_owned(), ..change("shop/z", 0, Some(json!(1))) };
    documents.change(other).await.expect("storing");
    assert_eq!(list(&*documents, "shop/", None, 10).await, ["shop/a", "shop/b", "shop/c"]);
    assert_eq!(list(&*documents, "shop/", None, 2).await, ["shop/a", "shop/b"]);
    assert_eq!(list(&*documents, "shop/", Some("shop/a"), 10).await, ["shop/b", "shop/c"]);
    assert_eq!(list(&*documents, "shop/", Some("shop/c"), 10).await, [""; 0]);
    let all = ["Shop/d", "shop", "shop/a", "shop/b", "shop/c", "shop0", "shopping", "tea"];
    assert_eq!(list(&*documents, "", None, 100).await, all);
    assert_eq!(list(&*documents, "", Some("shop/c"), 2).await, ["shop0", "shopping"]);
    assert_eq!(list(&*documents, "unknown", None, 10).await, [""; 0]);
}

async fn prefixes_are_texts_and_not_patterns(subject: Subject<dyn Documents>) {
    let documents = subject.port;
    for id in ["a%", "a%b", "a_b", "axb", "é", "éa", "ê", "a\u{10ffff}", "b"] {
        documents.change(change(id, 0, Some(json!(id)))).await.expect("storing");
    }
    assert_eq!(list(&*documents, "a%", None, 10).await, ["a%", "a%b"]);
    assert_eq!(list(&*documents, "a_", None, 10).await, ["a_b"]);
    assert_eq!(list(&*documents, "é", None, 10).await, ["é", "éa"]);
    assert_eq!(list(&*documents, "a\u{10ffff}", None, 10).await, ["a\u{10ffff}"]);
}

async fn what_was_acknowledged_is_there_after_reopening(subject: Durable<dyn Documents>) {
    subject.port.change(change("p", 0, Some(awkward()))).await.expect("storing");
    subject.port.change(change("q", 0, Some(json!(1)))).await.expect("storing");
    subject.port.change(change("q", 1, None)).await.expect("deleting");
    drop(subject.port);
    let again = subject.reopen.await;
    assert_eq!(body(&*again.port, "p").await, Some(awkward()));
    assert_eq!(body(&*again.port, "q").await, None);
    assert_eq!(versions(&*again.port, "q").await, [2, 1]);
    let stored = again.port.change(change("p", 1, Some(json!(2)))).await.expect("storing");
    assert_eq!(stored, Changed::Stored(2));
}

fn change(id: &str, expected: u64, body: Option<Value>) -> Change {
    Change {
        kind: "pipeline".to_owned(),
        id: id.to_owned(),
        expected,
        body,
        by: "someone".to_owned(),
        at: instant(0),
    }
}

async fn body(documents: &dyn Documents, id: &str) -> Option<Value> {
    documents.get("pipeline", id).await.expect("reading").map(|document| document.body)
}

async fn versions(documents: &dyn Documents, id: &str) -> Vec<u64> {
    let history = documents.history("pipeline", id, 100).await.expect("reading");
    history.iter().map(|document| document.version).collect()
}

async fn list(
    documents: &dyn Documents,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Vec<String> {
    let listed = documents.list("pipeline", prefix, after, limit).await.expect("listing");
    listed.into_iter().map(|document| document.id).collect()
}
