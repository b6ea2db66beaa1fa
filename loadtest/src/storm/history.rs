//! What people asked for and saw in a round: written down as it happens, so that a load test that is ended
//! can go on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::ledger::{Line, What};
use super::site::lock;
use super::users::add_line;

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Asked {
    /// An execution was asked for.
    Submit { number: u64, meddled: bool },
    /// It was promised.
    Accepted { number: u64, id: String },
    /// It was refused, by somebody who should not have.
    Refused { number: u64, answer: String },
    /// It was not there though it was promised.
    Missing { number: u64 },
    /// Something was done to it, and answered.
    Act { number: u64, act: String, at: u64, answered: u64, status: u16 },
    /// It was seen to have ended.
    Ended { number: u64, status: String },
    /// It may run again.
    Reopened { number: u64 },
}

/// An execution as far as people know.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) id: Option<String>,
    pub(super) meddled: bool,
    /// How it was last seen to have ended.
    pub(super) ended: Option<String>,
    /// Everything that was asked of it and seen.
    pub(super) story: Vec<Asked>,
}

/// The record of a round.
pub(super) struct Record {
    file: PathBuf,
    /// Where the round begins in the ledger.
    pub(super) ledger_from: u64,
    known: Mutex<BTreeMap<u64, Known>>,
    turn: AtomicUsize,
}

impl Record {
    /// What is in a file; nothing if there is none.
    pub(super) fn open_file(file: PathBuf, ledger_from: u64) -> Result<Self> {
        let text = if file.exists() { std::fs::read_to_string(&file)? } else { String::new() };
        let (known, turn) = (Mutex::default(), AtomicUsize::new(0));
        let record = Self { file, ledger_from, known, turn };
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        for line in whole {
            record.note(&serde_json::from_str(line).context("no record of a round")?);
        }
        Ok(record)
    }

    /// Writes something down.
    pub(super) fn asked(&self, asked: &Asked) -> Result<()> {
        add_line(&self.file, &serde_json::to_string(asked)?)?;
        self.note(asked);
        Ok(())
    }

    fn note(&self, asked: &Asked) {
        let number = match asked {
            Asked::Submit { number, .. }
            | Asked::Accepted { number, .. }
            | Asked::Refused { number, .. }
            | Asked::Missing { number }
            | Asked::Act { number, .. }
            | Asked::Ended { number, .. }
            | Asked::Reopened { number } => *number,
        };
        let mut known = lock(&self.known);
        let one = known.entry(number).or_default();
        match asked {
            Asked::Submit { meddled, .. } => one.meddled = *meddled,
            Asked::Accepted { id, .. } => one.id = Some(id.clone()),
            Asked::Ended { status, .. } => one.ended = Some(status.clone()),
            Asked::Reopened { .. } => one.ended = None,
            Asked::Refused { .. } | Asked::Missing { .. } | Asked::Act { .. } => {}
        }
        one.story.push(asked.clone());
    }

    pub(super) fn ended(&self, number: u64, status: &str) -> Result<()> {
        self.asked(&Asked::Ended { number, status: status.to_owned() })
    }

    pub(super) fn reopen(&self, number: u64) {
        // Not to be known is not to be missed: it is looked at again.
        drop(self.asked(&Asked::Reopened { number }));
    }

    pub(super) fn id(&self, number: u64) -> Option<String> {
        lock(&self.known).get(&number)?.id.clone()
    }

    /// Those that were promised and not seen to have ended.
    pub(super) fn open(&self) -> Vec<(u64, String)> {
        let known = lock(&self.known);
        let open = known.iter().filter(|(_, one)| one.ended.is_none());
        open.filter_map(|(number, one)| Some((*number, one.id.clone()?))).collect()
    }

    pub(super) fn all(&self) -> BTreeMap<u64, Known> {
        lock(&self.known).clone()
    }

    /// Counts requests.
    pub(super) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::SeqCst)
    }

    /// The newest run of a stage that the target knows of.
    pub(super) fn newest_run(&self, folder: &Path, id: &str, stage: &str) -> Result<u32> {
        let lines = Line::read(&folder.join("ledger"), self.ledger_from)?;
        let of_it = lines.iter().filter(|line| line.execution == id && line.what == What::Began);
        let runs = of_it.filter(|line| line.stage.to_string() == stage).map(|line| line.run);
        Ok(runs.max().unwrap_or(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("round-0");
        let record = Record::open_file(file.clone(), 0).unwrap();
        record.asked(&Asked::Submit { number: 1, meddled: true }).unwrap();
        record.asked(&Asked::Submit { number: 2, meddled: false }).unwrap();
        record.asked(&Asked::Accepted { number: 2, id: "e".into() }).unwrap();
        assert_eq!(record.open(), [(2, "e".to_owned())]);
        record.ended(2, "SUCCEEDED").unwrap();
        let again = Record::open_file(file, 0).unwrap();
        assert_eq!(again.open(), []);
        let known = again.all();
        assert!(known[&1].meddled && known[&1].id.is_none());
        assert_eq!(known[&2].ended.as_deref(), Some("SUCCEEDED"));
        again.reopen(2);
        assert_eq!(again.open(), [(2, "e".to_owned())]);
    }
}
