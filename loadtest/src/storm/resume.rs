//! What is known of a storm between its rounds, so that it can go on after it was ended.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const FILE: &str = "storm.json";

/// Everything up to the present round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct State {
    pub(super) seed: u64,
    /// The present round, from 0.
    pub(super) round: u64,
    /// Where the present round begins in the ledger, in bytes.
    pub(super) ledger_from: u64,
    /// Where the store is; text, for it holds a password of the storm's own.
    pub(super) store: Option<String>,
    pub(super) tally: Tally,
}

/// What was counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tally {
    pub(super) executions: u64,
    /// Those that nobody was promised, and that are there.
    pub(super) unpromised: u64,
    pub(super) stages: u64,
    pub(super) effects: u64,
    /// Work that began again after it had begun.
    pub(super) begun_again: u64,
    /// Effects that were asked for again, and were known.
    pub(super) known_effects: u64,
    pub(super) cancels: u64,
    pub(super) pauses: u64,
    pub(super) restarts: u64,
    pub(super) edits: u64,
    pub(super) accidents: BTreeMap<String, u64>,
    /// Answers of 500 and above.
    pub(super) failures: u64,
    /// Processes that ended though nobody ended them.
    pub(super) ended_by_themselves: u64,
    /// Messages that were set aside.
    pub(super) set_aside: u64,
    pub(super) seconds: u64,
    /// The longest time from calm to the end of everything.
    pub(super) longest_end_seconds: u64,
}

impl Tally {
    /// Adds what was counted in a round; what is set aside stays where it is, and is counted anew.
    pub(super) fn add(&mut self, round: &Self) {
        self.executions += round.executions;
        self.unpromised += round.unpromised;
        self.stages += round.stages;
        self.effects += round.effects;
        self.begun_again += round.begun_again;
        self.known_effects += round.known_effects;
        self.cancels += round.cancels;
        self.pauses += round.pauses;
        self.restarts += round.restarts;
        self.edits += round.edits;
        self.set_aside = round.set_aside;
    }

    /// The figures by name.
    pub(super) fn figures(&self) -> Value {
        json!({
            "executions": self.executions,
            "executions that nobody was promised": self.unpromised,
            "stages": self.stages, "effects": self.effects,
            "work begun again": self.begun_again,
            "effects asked for again, and known": self.known_effects,
            "people": {
                "cancels": self.cancels, "pauses": self.pauses, "restarts": self.restarts,
                "edits": self.edits,
            },
            "accidents": self.accidents,
            "answers of 500 and above": self.failures,
            "processes that ended by themselves": self.ended_by_themselves,
            "messages set aside": self.set_aside,
            "seconds": self.seconds,
            "from calm to the end of everything, seconds at most": self.longest_end_seconds,
        })
    }
}

impl State {
    /// What an earlier storm left in a folder, if it is to go on; else a new one, where there is none, from a
    /// round on.
    pub(super) fn of(folder: &Path, seed: u64, round: Option<u64>) -> Result<Self> {
        let file = folder.join(FILE);
        if let Some(round) = round {
            let is_new = !file.exists();
            ensure!(is_new, "{} has a storm; go on with --resume", folder.display());
            return Ok(Self { seed, round, ..Self::default() });
        }
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("no storm to go on with in {}", folder.display()))?;
        let state: Self = serde_json::from_str(&text)?;
        ensure!(state.seed == seed, "that storm has the seed {}, not {seed}", state.seed);
        Ok(state)
    }

    /// Writes it down, whole or not at all.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let (file, new) = (folder.join(FILE), folder.join("storm.json.new"));
        std::fs::write(&new, serde_json::to_string_pretty(self)?)?;
        Ok(std::fs::rename(new, file)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_goes_on_only_as_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert!(State::of(at, 1, None).is_err(), "there is none");
        let mut state = State::of(at, 1, Some(0)).unwrap();
        state.round = 3;
        state.save(at).unwrap();
        assert!(State::of(at, 1, Some(0)).is_err(), "it would be overwritten");
        assert!(State::of(at, 2, None).is_err(), "it has another seed");
        let again = State::of(at, 1, None).unwrap();
        assert_eq!(again.round, 3);
    }
}
