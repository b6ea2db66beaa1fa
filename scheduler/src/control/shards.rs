//! Which executions are this scheduler's (D7, D17). Executions hash to shards; a shard is whose
//! consumer receives its reports, and moves when schedulers come and go. Owning is for speed: the
//! journal's versions decide whenever two believe that they own an execution.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_model::ExecutionId;
use xxhash_rust::xxh3::xxh3_64;

/// How long a shard is kept at least: by then what is said of a scheduler that died has vanished.
const HELD_MIN: Duration = Duration::from_millis(1_500);
/// How often somebody looks whether a shard is received by anybody.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The same, while schedulers do not hear each other.
const BLIND_LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Several schedulers on one store.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// Its name, unique among all schedulers that ever live.
    pub name: String,
    /// Into how many shards executions are divided, where nothing is stored about that yet.
    pub shards: u16,
    /// How long all of them must have been able to read references to long texts before any are
    /// written: so long an older version can be gone back to.
    pub references_after: Duration,
}

/// Another scheduler that lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) name: String,
    /// The shards that it owns.
    pub(crate) owns: BTreeSet<u16>,
    /// Whether it reads rows whose long texts lie elsewhere.
    #[serde(default)]
    pub(crate) takes_out: bool,
    /// Whether it reads several reports in one message.
    #[serde(default)]
    pub(crate) reads_joined: bool,
}

/// The other schedulers that live; `None` while nothing can be heard of them.
pub(crate) type Peers = Option<Vec<Peer>>;

/// A part of all executions: so many shards of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) held: usize,
    pub(crate) of: usize,
}

impl Default for Part {
    fn default() -> Self {
        Self::ALL
    }
}

impl Part {
    pub(crate) const ALL: Self = Self { held: 1, of: 1 };

    /// That part of a number, and one at least.
    pub(crate) fn of(self, all: usize) -> usize {
        (all * self.held).div_ceil(self.of.max(1)).clamp(1, all.max(1))
    }
}

/// The shards, and which of them are owned here.
#[derive(Debug)]
pub(crate) struct Shards {
    count: u16,
    /// `None` for the only scheduler of a store: it owns everything.
    name: Option<String>,
    held: BTreeMap<u16, Held>,
    next_look: Duration,
}

#[derive(Debug)]
struct Held {
    since: Duration,
    /// Whether it is known which executions are in it.
    is_listed: bool,
}

impl Shards {
    /// Of the only scheduler of a store.
    pub(crate) fn alone() -> Self {
        Self { count: 1, name: None, held: BTreeMap::new(), next_look: Duration::ZERO }
    }

    /// Of one of several schedulers.
    pub(crate) fn shared(name: &str, count: u16) -> Self {
        Self { count: count.max(1), name: Some(name.to_owned()), ..Self::alone() }
    }

    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.name.is_some()
    }

    /// The part of all executions that are owned here.
    pub(crate) fn part(&self) -> Part {
        match self.is_shared() {
            true => Part { held: self.held.len(), of: usize::from(self.count) },
            false => Part::ALL,
        }
    }

    /// The shard of an execution.
    pub(crate) fn of(&self, id: &ExecutionId) -> u16 {
        of(id, self.count)
    }

    /// Whether an execution is this scheduler's.
    pub(crate) fn own(&self, id: &ExecutionId) -> bool {
        self.name.is_none() || self.held.contains_key(&self.of(id))
    }

    /// The shards that are owned here.
    pub(crate) fn held(&self) -> BTreeSet<u16> {
        self.held.keys().copied().collect()
    }

    /// Something of this shard was received: it is owned here from now on. Whether that is new.
    pub(crate) fn gain(&mut self, shard: u16, now: Duration) -> bool {
        if self.name.is_none() || self.held.contains_key(&shard) {
            return false;
        }
        self.held.insert(shard, Held { since: now, is_listed: false });
        true
    }

    /// It is not received here any more. Whether it was.
    pub(crate) fn lose(&mut self, shard: u16) -> bool {
        self.held.remove(&shard).is_some()
    }

    /// Whether executions of some shards are not known yet.
    pub(crate) fn has_unlisted(&self) -> bool {
        self.held.values().any(|held| !held.is_listed)
    }

    /// Says which shards' executions are not known yet, and that they are from now on.
    pub(crate) fn take_unlisted(&mut self) -> BTreeSet<u16> {
        let new = self.held.iter_mut().filter(|(_, held)| !held.is_listed);
        new.map(|(shard, held)| {
            held.is_listed = true;
            *shard
        })
        .collect()
    }

    /// Shards that another scheduler should own: give them up, and ring them so that the next one
    /// knows.
    pub(crate) fn to_yield(&self, peers: &Peers, now: Duration) -> Vec<u16> {
        let (Some(name), Some(peers)) = (&self.name, peers) else { return Vec::new() };
        let ripe = self.held.iter().filter(|(_, held)| now >= held.since + HELD_MIN);
        let foreign = ripe.filter(|(shard, _)| wanted(**shard, name, peers) != name);
        foreign.map(|(shard, _)| *shard).collect()
    }

    /// Shards to ring now, since nobody seems to own them; they are told once in a while only.
    pub(crate) fn take_orphans(&mut self, peers: &Peers, now: Duration) -> Vec<u16> {
        let Some(name) = self.name.clone() else { return Vec::new() };
        if now < self.next_look {
            return Vec::new();
        }
        self.next_look = now + peers.as_ref().map_or(BLIND_LOOK_INTERVAL, |_| LOOK_INTERVAL);
        let is_orphan = |shard: &u16| {
            let Some(peers) = peers else { return true };
            wanted(*shard, &name, peers) == name
                && !peers.iter().any(|peer| peer.owns.contains(shard))
        };
        (0..self.count).filter(|shard| !self.held.contains_key(shard)).filter(is_orphan).collect()
    }
}

/// The shard of an execution, the same for every scheduler and version.
pub(super) fn of(id: &ExecutionId, count: u16) -> u16 {
    let place = xxh3_64(id.as_str().as_bytes()) % u64::from(count.max(1));
    u16::try_from(place).unwrap_or_default()
}

/// Who should own a shard: rendezvous hashing moves as few as can be when somebody comes or goes.
fn wanted<'a>(shard: u16, me: &'a str, peers: &'a [Peer]) -> &'a str {
    let all = peers.iter().map(|peer| peer.name.as_str()).chain([me]);
    let weight = |name: &str| (xxh3_64(format!("{shard}/{name}").as_bytes()), name.to_owned());
    all.max_by_key(|name| weight(name)).unwrap_or(me)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: u16 = 64;

    fn peer(name: &str, owns: &[u16]) -> Peer {
        let owns = owns.iter().copied().collect();
        Peer { name: name.to_owned(), owns, takes_out: true, reads_joined: true }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Who should own what, where these live.
    fn division(names: &[&str]) -> Vec<String> {
        let peers: Vec<Peer> = names[1..].iter().map(|name| peer(name, &[])).collect();
        (0..COUNT).map(|shard| wanted(shard, names[0], &peers).to_owned()).collect()
    }

    #[test]
    fn the_shard_of_an_execution_never_changes() {
        let found = ["a", "01K0ZZ", "e-17"].map(|id| of(&ExecutionId::new(id), COUNT));
        assert_eq!(found, [31, 10, 44], "stored state depends on it");
    }

    #[test]
    fn shards_are_spread_and_few_move() {
        let three = division(&["a", "b", "c"]);
        for name in ["a", "b", "c"] {
            let count = three.iter().filter(|owner| *owner == name).count();
            assert!((12..=32).contains(&count), "{name} has {count} of 64");
        }
        assert_eq!(division(&["b", "c", "a"]), three, "everybody comes to the same");
        for (shard, owner) in division(&["a", "b"]).iter().enumerate() {
            let before = &three[shard];
            assert!(owner == before || before == "c", "only what c had moves");
        }
    }

    #[test]
    fn who_is_alone_owns_everything_and_never_rings() {
        let mut shards = Shards::alone();
        assert!(shards.own(&ExecutionId::new("e")));
        assert!(!shards.gain(0, at(0)) && !shards.has_unlisted());
        assert!(shards.take_orphans(&Some(vec![]), at(9_000)).is_empty());
    }

    #[test]
    fn a_shard_is_owned_from_its_first_message_on() {
        let mut shards = Shards::shared("a", COUNT);
        let id = ExecutionId::new("e");
        assert!(!shards.own(&id));
        assert!(shards.gain(shards.of(&id), at(0)) && !shards.gain(shards.of(&id), at(1)));
        assert!(shards.own(&id));
        assert_eq!(shards.take_unlisted(), BTreeSet::from([shards.of(&id)]));
        assert!(!shards.has_unlisted());
        assert!(shards.lose(shards.of(&id)) && !shards.own(&id));
    }

    #[test]
    fn what_another_should_own_is_given_up_once_it_was_held_for_a_while() {
        let mut shards = Shards::shared("a", COUNT);
        let peers = Some(vec![peer("b", &[])]);
        assert!((0..COUNT).all(|shard| shards.gain(shard, at(0))));
        assert!(shards.to_yield(&peers, at(1_000)).is_empty(), "not yet");
        assert!(shards.to_yield(&None, at(9_000)).is_empty(), "nobody is heard");
        let given = shards.to_yield(&peers, at(9_000));
        assert!((16..=48).contains(&given.len()), "{}", given.len());
    }

    #[test]
    fn whoever_should_own_what_nobody_owns_looks_at_it_now_and_then() {
        let mut a = Shards::shared("a", COUNT);
        let mut b = Shards::shared("b", COUNT);
        let of_a = a.take_orphans(&Some(vec![peer("b", &[])]), at(0));
        let of_b = b.take_orphans(&Some(vec![peer("a", &[])]), at(0));
        let all: BTreeSet<u16> = of_a.iter().chain(&of_b).copied().collect();
        assert_eq!((all.len(), of_a.len() + of_b.len()), (64, 64), "each by one of them");
        assert!(a.take_orphans(&Some(vec![peer("b", &[])]), at(100)).is_empty(), "too soon");
        let owned = Some(vec![peer("b", &of_a)]);
        assert!(a.take_orphans(&owned, at(1_000)).is_empty(), "somebody owns them");
        assert_eq!(a.take_orphans(&None, at(9_000)).len(), 64, "all, while nobody is heard");
    }
}
