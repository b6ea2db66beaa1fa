use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use shared_adapters::memory::MemoryDocuments;
use shared_ports::PortError;
use shared_ports::conformance::{Subject, documents::documents};
use shared_ports::documents::{Change, Changed, Document, Documents};

use crate::assert_caught;

#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    /// Takes every change for one of the newest version.
    Expected,
    /// Keeps the newest version alone.
    History,
    /// Lists what begins with the prefix in any case.
    Prefix,
}

struct Broken {
    documents: MemoryDocuments,
    breaks: Breaks,
}

#[tokio::test]
async fn documents_whose_last_edit_wins() {
    let expected =
        ["a_change_of_an_older_version_is_refused", "of_several_changes_at_once_one_is_stored"];
    fails(Breaks::Expected, &expected).await;
}

#[tokio::test]
async fn documents_without_a_past() {
    fails(Breaks::History, &["every_version_is_kept"]).await;
}

#[tokio::test]
async fn documents_listed_by_case() {
    fails(Breaks::Prefix, &["lists_go_by_kind_and_prefix_in_order"]).await;
}

async fn fails(breaks: Breaks, expected: &[&str]) {
    let new = async || {
        let documents = MemoryDocuments::default();
        Subject::<dyn Documents>::new(Arc::new(Broken { documents, breaks }))
    };
    assert_caught(&documents().failures(new).await, expected);
}

#[async_trait]
impl Documents for Broken {
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Document>, PortError> {
        self.documents.get(kind, id).await
    }

    async fn change(&self, mut change: Change) -> Result<Changed, PortError> {
        if self.breaks == Breaks::Expected {
            let newest = self.documents.history(&change.kind, &change.id, 1).await?;
            change.expected = newest.first().map_or(0, |newest| newest.version);
        }
        self.documents.change(change).await
    }

    async fn list(
        &self,
        kind: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Document>, PortError> {
        if self.breaks == Breaks::Prefix {
            let mut all = self.documents.list(kind, "", after, limit).await?;
            all.retain(|document| document.id.to_lowercase().starts_with(&prefix.to_lowercase()));
            return Ok(all);
        }
        self.documents.list(kind, prefix, after, limit).await
    }

    async fn history(&self, kind: &str, id: &str, limit: u32) -> Result<Vec<Document>, PortError> {
        let limit = if self.breaks == Breaks::History { limit.min(1) } else { limit };
        self.documents.history(kind, id, limit).await
    }

    async fn stored_before(
        &self,
        kind: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>, PortError> {
        self.documents.stored_before(kind, until, limit).await
    }

    async fn forget(&self, kind: &str, ids: &[String]) -> Result<(), PortError> {
        self.documents.forget(kind, ids).await
    }
}
