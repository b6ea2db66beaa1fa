//! What the entries of a backup hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_ports::BlobRef;

use super::file::Piece;
use super::shelf::LogPlace;
use crate::sql::copy::Columns;

/// The format that this version writes, and the newest that it reads.
pub(super) const FORMAT: u64 = 1;
const HEADER: &str = "capstan.json";
const END: &str = "end.json";

/// The first entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u64,
    /// The version of the product that made it.
    pub(super) made_by: String,
    /// Where the store was.
    pub(super) store: String,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Executions.
    pub executions: u64,
    /// Documents, in their newest version.
    pub documents: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Blobs.
    pub blobs: u64,
    /// Logs.
    pub logs: u64,
    /// Bytes of blobs and logs.
    pub bytes: u64,
}

/// Rows by table.
pub(super) type Batch = BTreeMap<String, Vec<Columns>>;

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Header(Header),
    /// Whole executions, with everything of theirs.
    Executions(Batch),
    /// Documents and their versions.
    Documents(Batch),
    Blob(BlobRef, Vec<u8>),
    /// A piece of a log and where in it that begins.
    Log(LogPlace, u64, Vec<u8>),
    End(Summary),
}

impl Summary {
    /// Counts an entry.
    pub(super) fn count(&mut self, entry: &Entry) {
        match entry {
            Entry::Executions(batch) | Entry::Documents(batch) => {
                let rows = |table: &str| batch.get(table).map_or(0, |rows| rows.len() as u64);
                self.executions += rows("execution");
                self.documents += rows("document");
                self.rows += batch.values().map(|rows| rows.len() as u64).sum::<u64>();
            }
            Entry::Blob(_, bytes) => {
                self.blobs += 1;
                self.bytes += bytes.len() as u64;
            }
            Entry::Log(_, at, bytes) => {
                self.logs += u64::from(*at == 0);
                self.bytes += bytes.len() as u64;
            }
            Entry::Header(_) | Entry::End(_) => {}
        }
    }
}

impl Entry {
    /// As it is written; `number` tells rows apart.
    pub(super) fn write(self, number: u64) -> serde_json::Result<Piece> {
        let (name, bytes) = match self {
            Self::Header(header) => (HEADER.to_owned(), serde_json::to_vec(&header)?),
            Self::Executions(batch) => {
                (format!("executions/{number:06}.json"), serde_json::to_vec(&batch)?)
            }
            Self::Documents(batch) => {
                (format!("documents/{number:06}.json"), serde_json::to_vec(&batch)?)
            }
            Self::Blob(name, bytes) => (format!("blobs/{}", name.sha256), bytes),
            Self::Log(log, at, bytes) => {
                (format!("logs/{}/{}/{at}", log.execution, log.stage), bytes)
            }
            Self::End(summary) => (END.to_owned(), serde_json::to_vec(&summary)?),
        };
        Ok(Piece { name, bytes })
    }

    /// What was written; says why it is none.
    pub(super) fn read(piece: Piece) -> Result<Self, String> {
        let Piece { name, bytes } = piece;
        let json = |error: serde_json::Error| error.to_string();
        let parts: Vec<&str> = name.split('/').collect();
        match &parts[..] {
            [HEADER] => Ok(Self::Header(serde_json::from_slice(&bytes).map_err(json)?)),
            ["executions", _] => {
                Ok(Self::Executions(serde_json::from_slice(&bytes).map_err(json)?))
            }
            ["documents", _] => Ok(Self::Documents(serde_json::from_slice(&bytes).map_err(json)?)),
            ["blobs", sha256] => {
                let name = BlobRef { sha256: (*sha256).to_owned(), bytes: bytes.len() as u64 };
                Ok(Self::Blob(name, bytes))
            }
            ["logs", execution, stage, at] => {
                let at = at.parse().map_err(|_| "it names no byte".to_owned())?;
                let is_plain = |name: &str| !name.is_empty() && !name.starts_with('.');
                if !is_plain(execution) || !is_plain(stage) {
                    return Err("it names no log".to_owned());
                }
                let (execution, stage) = ((*execution).to_owned(), (*stage).to_owned());
                Ok(Self::Log(LogPlace { execution, stage }, at, bytes))
            }
            [END] => Ok(Self::End(serde_json::from_slice(&bytes).map_err(json)?)),
            _ => Err("this version knows no such entry".to_owned()),
        }
    }
}
