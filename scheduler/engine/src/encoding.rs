//! State ↔ bytes: one row for the execution, one per stage, each behind a format version (D12).

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared_model::{ExecutionId, Limits, Status};

use crate::event::StageIndex;
use crate::execution::{Cancel, Execution, Head, StartRule};
use crate::stage::Stage;

/// The newest format; every older one is still read. 2 knows tasks that wait for another execution,
/// 3 those that watch for somebody; else they are as 1. With 4 the execution's own row knows how it
/// begins and who held it, and rows of stages whether they were removed. Each row is written in the
/// oldest format that can hold it, so that during an upgrade, and after the way back, the version
/// before can read it.
const FORMAT: u8 = 4;
/// The last format in which the execution's own row was an [`OldHead`].
const OLD: u8 = 3;

/// The execution's own row up to format 3.
#[derive(Serialize, Deserialize)]
struct OldHead {
    status: Status,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    canceled: Option<Cancel>,
    verdict: Option<Status>,
    fails_at_end: bool,
    dispatches: u64,
}

impl From<OldHead> for Head {
    fn from(old: OldHead) -> Self {
        let OldHead { status, start_time, end_time, canceled, verdict, fails_at_end, dispatches } =
            old;
        Self {
            status,
            start_time,
            end_time,
            canceled,
            verdict,
            fails_at_end,
            dispatches,
            ..Self::default()
        }
    }
}

impl OldHead {
    /// The same row, if nothing of it is new.
    fn of(head: &Head) -> Option<Self> {
        let Head {
            status,
            start_time,
            end_time,
            canceled,
            verdict,
            fails_at_end,
            dispatches,
            start_rule,
            pause,
        } = head.clone();
        (start_rule == StartRule::default() && pause.is_none()).then_some(Self {
            status,
            start_time,
            end_time,
            canceled,
            verdict,
            fails_at_end,
            dispatches,
        })
    }
}

/// Why stored state cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It was written by a newer version.
    #[error(
        "it was written in format {found}, this version reads up to {FORMAT}; run the newer version"
    )]
    Newer {
        /// The format.
        found: u8,
    },
    /// It is damaged.
    #[error("it is damaged: {why}")]
    Damaged {
        /// Where it breaks.
        why: String,
    },
}

impl Execution {
    /// The execution's own row.
    pub fn encode_head(&self) -> Vec<u8> {
        match OldHead::of(&self.head) {
            Some(old) => encode(OLD, &old),
            None => encode(FORMAT, &self.head),
        }
    }

    /// One stage's row.
    pub fn encode_stage(&self, stage: StageIndex) -> Vec<u8> {
        encode_stage(self.stage(stage))
    }

    /// Puts an execution together from its rows, stages in the order of their indexes.
    ///
    /// # Errors
    /// [`DecodeError`] if a row is damaged or was written by a newer version.
    pub fn decode(
        id: &ExecutionId,
        head: &[u8],
        stages: &[impl AsRef<[u8]>],
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let head: Head = match head.first() {
            Some(1..=OLD) => decode::<OldHead>(head)?.into(),
            Some(_) | None => decode(head)?,
        };
        let stages = stages.iter().map(|row| decode_stage(row.as_ref()));
        let stages: Result<Vec<Stage>, _> = stages.collect();
        let stages = stages?;
        let count = stages.len();
        let known = |index: &StageIndex| (*index as usize) < count;
        let parents = stages.iter().filter_map(|stage| stage.synthetic());
        let edges_known = stages.iter().all(|stage| stage.requires.iter().all(known));
        if !edges_known || !parents.map(|synthetic| synthetic.parent).all(|parent| known(&parent)) {
            return Err(DecodeError::Damaged { why: "a stage row is missing".into() });
        }
        Ok(Self::assemble(id.clone(), limits, head, stages))
    }
}

/// Up to format 3 nothing was ever removed.
fn decode_stage(row: &[u8]) -> Result<Stage, DecodeError> {
    match row.first() {
        Some(1..=OLD) => decode(&[row, &[0]].concat()),
        Some(_) | None => decode(row),
    }
}

/// Whether a stage was removed is the last byte of its row.
fn encode_stage(stage: &Stage) -> Vec<u8> {
    let mut row = encode(FORMAT, stage);
    if row.last() == Some(&0) {
        row.pop();
        row[0] = OLD;
    }
    row
}

fn encode(format: u8, value: &impl Serialize) -> Vec<u8> {
    // Postcard refuses only types of unknown length, of which the state has none.
    postcard::to_extend(value, vec![format]).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(row: &[u8]) -> Result<T, DecodeError> {
    match row.split_first() {
        Some((1..=FORMAT, rest)) => postcard::from_bytes(rest)
            .map_err(|error| DecodeError::Damaged { why: error.to_string() }),
        Some((&found, _)) if found > FORMAT => Err(DecodeError::Newer { found }),
        Some((found, _)) => {
            Err(DecodeError::Damaged { why: format!("there is no format {found}") })
        }
        None => Err(DecodeError::Damaged { why: "the row is empty".into() }),
    }
}
