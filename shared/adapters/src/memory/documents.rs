//! Versioned documents in memory, for the simulated world.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use shared_ports::PortError;
use shared_ports::documents::{Change, Changed, Document, Documents};

use crate::memory::lock;

/// Versioned documents in memory: by kind and id, every version, oldest first.
#[derive(Debug, Default)]
pub struct MemoryDocuments {
    versions: Mutex<BTreeMap<(String, String), Vec<Document>>>,
}

#[async_trait]
impl Documents for MemoryDocuments {
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Document>, PortError> {
        let all = lock(&self.versions);
        let newest =
            all.get(&(kind.to_owned(), id.to_owned())).and_then(|versions| versions.last());
        Ok(newest.filter(|newest| !newest.body.is_null()).cloned())
    }

    async fn change(&self, change: Change) -> Result<Changed, PortError> {
        let Change { kind, id, expected, body, by, at } = change;
        let mut all = lock(&self.versions);
        let versions = all.entry((kind.clone(), id.clone())).or_default();
        let newest = versions.last().map_or(0, |newest| newest.version);
        let is_gone = versions.last().is_none_or(|newest| newest.body.is_null());
        if expected != newest && !(expected == 0 && is_gone) {
            return Ok(Changed::Conflict { newest });
        }
        let version = newest + 1;
        let body = body.unwrap_or(Value::Null);
        versions.push(Document { kind, id, version, body, at, by });
        Ok(Changed::Stored(version))
    }

    async fn list(
        &self,
        kind: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Document>, PortError> {
        let all = lock(&self.versions);
        let listed = all
            .range((kind.to_owned(), prefix.to_owned())..)
            .take_while(|((of_kind, id), _)| of_kind == kind && id.starts_with(prefix))
            .filter(|((_, id), _)| after.is_none_or(|after| id.as_str() > after))
            .filter_map(|(_, versions)| versions.last())
            .filter(|newest| !newest.body.is_null());
        Ok(listed.take(limit as usize).cloned().collect())
    }

    async fn history(&self, kind: &str, id: &str, limit: u32) -> Result<Vec<Document>, PortError> {
        let all = lock(&self.versions);
        let versions = all.get(&(kind.to_owned(), id.to_owned()));
        Ok(versions.into_iter().flatten().rev().take(limit as usize).cloned().collect())
    }

    async fn stored_before(
        &self,
        kind: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>, PortError> {
        let all = lock(&self.versions);
        let newest = all.values().filter_map(|versions| versions.last());
        let old = newest.filter(|newest| newest.kind == kind && newest.at < until);
        Ok(old.take(limit as usize).map(|newest| newest.id.clone()).collect())
    }

    async fn forget(&self, kind: &str, ids: &[String]) -> Result<(), PortError> {
        let is_meant = |of_kind: &String, id: &String| of_kind == kind && ids.contains(id);
        lock(&self.versions).retain(|(of_kind, id), _| !is_meant(of_kind, id));
        Ok(())
    }
}
