//! Whether two schedulers go on owning one shard, by what they say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// For how long two may both own one: the first may be in a long turn.
const BOTH_MAX: Duration = Duration::from_secs(10);
/// How long what one says holds.
const HOLDS: Duration = Duration::from_secs(1);

/// What the schedulers said.
#[derive(Default)]
pub(crate) struct Owners(Mutex<State>);

#[derive(Default)]
struct State {
    said: BTreeMap<String, Said>,
    found: BTreeSet<String>,
}

/// What one said last.
#[derive(Default)]
struct Said {
    at: Duration,
    /// Its shards, and since when.
    owns: BTreeMap<u64, Duration>,
}

impl Owners {
    /// A scheduler says which shards it owns.
    pub(crate) fn said(&self, name: &str, body: &str, now: Duration) {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let owns = body["owns"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        let owns: BTreeSet<u64> = owns.collect();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = state.said.entry(name.to_owned()).or_default();
        // Whoever was silent owned nothing for others meanwhile.
        if now > said.at + HOLDS {
            said.owns.clear();
        }
        said.at = now;
        said.owns.retain(|shard, _| owns.contains(shard));
        for shard in owns {
            said.owns.entry(shard).or_insert(now);
        }
        let found = state.both(name, now);
        state.found.extend(found);
    }

    /// Shards that two owned for long, with their names.
    pub(crate) fn found(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).found.clone()
    }
}

impl State {
    fn both(&self, name: &str, now: Duration) -> Vec<String> {
        let Some(mine) = self.said.get(name) else { return Vec::new() };
        let others =
            self.said.iter().filter(|(other, said)| *other != name && said.at + HOLDS > now);
        let both = others.flat_map(|(other, said)| {
            let since = |(shard, theirs): (&u64, &Duration)| {
                mine.owns.get(shard).map(|mine| (*shard, (*mine).max(*theirs)))
            };
            let shared = said.owns.iter().filter_map(since);
            let long = shared.filter(|(_, since)| now >= *since + BOTH_MAX);
            long.map(|(shard, _)| format!("shard {shard}: {name} and {other}")).collect::<Vec<_>>()
        });
        both.collect()
    }
}
