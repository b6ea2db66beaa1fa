//! Applications and pipelines as people save them: versioned documents behind the names and rules of
//! Front50 (reference §2, §6.3).
//!
//! A pipeline is stored under its id, so that its history survives renames and moves. Its name is
//! claimed by a document of its own, `application/name` in lower case, whose optimistic version
//! decides between two who want one name at the same time.

mod applications;
mod difference;
mod error;
mod operations;
mod pipelines;
mod templates;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use shared_model::{Limits, Object};
use shared_ports::documents::{Change, Changed, Document};
use shared_ports::{Clock, Documents, PortError, Ports};

pub use self::error::LibraryError;
pub use self::operations::Operation;
pub(crate) use self::operations::forget_tasks;
pub use self::templates::Version;

use crate::Registry;

/// Documents of one kind that are read at a time.
const PAGE: u32 = 500;
/// Documents of one kind that one listing holds.
const LISTED_MAX: usize = 50_000;

/// What people saved.
#[derive(Clone)]
pub struct Library {
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    registry: Arc<Registry>,
    limits: Limits,
}

impl Library {
    /// A library on these ports; documents are checked against the registry.
    pub(crate) fn new(ports: &Ports, registry: Arc<Registry>, limits: Limits) -> Self {
        Self {
            documents: Arc::clone(&ports.documents),
            clock: Arc::clone(&ports.clock),
            registry,
            limits,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Stores a version, if nobody stored another one meanwhile.
    async fn store(
        &self,
        (kind, id): (&str, &str),
        expected: u64,
        body: Option<Object>,
        by: &str,
    ) -> Result<(), LibraryError> {
        let change = Change {
            kind: kind.to_owned(),
            id: id.to_owned(),
            expected,
            body: body.map(Value::Object),
            by: by.to_owned(),
            at: self.now(),
        };
        match self.documents.change(change).await? {
            Changed::Stored(_) => Ok(()),
            Changed::Conflict { .. } => Err(LibraryError::Conflict {
                why: format!("{kind} `{id}` was changed by somebody else; read it and try again"),
            }),
        }
    }

    /// Every document of a kind whose id begins so.
    async fn all(&self, kind: &str, prefix: &str) -> Result<Vec<Document>, PortError> {
        let mut found: Vec<Document> = Vec::new();
        loop {
            let after = found.last().map(|last| last.id.clone());
            let page = self.documents.list(kind, prefix, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            found.extend(page);
            if is_last || found.len() >= LISTED_MAX {
                return Ok(found);
            }
        }
    }
}

/// The object of a document; empty if it is none.
fn object(document: &Document) -> Object {
    document.body.as_object().cloned().unwrap_or_default()
}

/// A text of an object; empty if it is absent or no text.
fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
