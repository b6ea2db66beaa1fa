use super::{append, bodies, history, load, store, unfinished};
use crate::conformance::Durable;
use crate::conformance::samples::{body, creation, entry, step};
use crate::journal::{Appended, Journal};

pub(super) async fn what_was_acknowledged_is_there_after_reopening(subject: Durable<dyn Journal>) {
    store(&*subject.port, creation("e")).await;
    store(&*subject.port, step("e", 1)).await;
    store(&*subject.port, creation("f")).await;
    let before = load(&*subject.port, "e").await;
    drop(subject.port);
    let again = subject.reopen.await;
    assert_eq!(load(&*again.port, "e").await, before);
    assert_eq!(bodies(&*again.port, "e", &[]).await, [body("first"), body("second")]);
    assert_eq!(history(&*again.port, "e").await, [(1, entry("created"))]);
    assert_eq!(unfinished(&*again.port, None, 10).await, ["e", "f"]);
    let answers = append(&*again.port, vec![step("e", 1), step("e", 2), creation("f")]).await;
    let conflict = |found| Appended::Conflict { found };
    assert_eq!(answers, [conflict(2), Appended::Stored(3), conflict(1)]);
}
