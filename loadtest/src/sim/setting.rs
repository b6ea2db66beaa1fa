//! What is not as a seed alone has it: protections that are switched off, accidents that do not happen,
//! a world that is smaller.

use std::collections::BTreeSet;
use std::time::Duration;

/// Something that is switched off, to show that the world notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mutation {
    /// Nothing: the product as it is.
    #[default]
    None,
    /// Leases are granted to everybody who asks, and never lost.
    LeasesAlwaysGranted,
    /// Reports count whoever sends them: the engine sees the newest epoch on each.
    EpochIgnored,
    /// Work that cannot be recognised begins before its claim is in the journal.
    GrantNotAwaited,
    /// Workers cannot tell how long a message has lain: whatever comes begins.
    AgeIgnored,
    /// Stage types do not look for what an earlier attempt did.
    EffectsNotLookedUp,
    /// Nobody counts the executions of a pipeline when one of them begins.
    RoomNotCounted,
    /// They are counted before one begins, and not in the transaction in which it does: two schedulers
    /// begin one each in the same moment.
    RoomNotHeld,
    /// The journal appends whatever version it was decided on.
    VersionIgnored,
    /// Whoever loads what has ended is told that it runs, so that the engine takes what comes late.
    EndIgnored,
    /// A scheduler is not told that another one receives its shard's reports by now, and goes on as its
    /// owner.
    LossUnheard,
}

impl Mutation {
    /// All of them, with the names by which a command line calls them.
    pub const NAMED: [(&str, Self); 10] = [
        ("leases-always-granted", Self::LeasesAlwaysGranted),
        ("epoch-ignored", Self::EpochIgnored),
        ("grant-not-awaited", Self::GrantNotAwaited),
        ("age-ignored", Self::AgeIgnored),
        ("effects-not-looked-up", Self::EffectsNotLookedUp),
        ("room-not-counted", Self::RoomNotCounted),
        ("room-not-held", Self::RoomNotHeld),
        ("version-ignored", Self::VersionIgnored),
        ("end-ignored", Self::EndIgnored),
        ("loss-unheard", Self::LossUnheard),
    ];
}

/// A kind of accident, or of what people do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Messages are lost, doubled and late.
    Messages,
    /// Calls of the broker fail, and connections to it break.
    Connections,
    /// The store fails before it stores, and after.
    Store,
    /// Leases cannot be reached.
    Leases,
    /// Blobs cannot be reached.
    Blobs,
    /// Processes die, or are asked to stop.
    Deaths,
    /// Wall clocks are wrong, and jump.
    Clocks,
    /// The store of the leases comes back empty.
    LeasesForgotten,
    /// The broker comes back empty.
    QueuesForgotten,
    /// Processes stand still for a while, and go on.
    Stops,
    /// Calls take their time.
    Delays,
    /// People start many executions of one pipeline at once.
    Crowds,
    /// People cancel.
    Cancels,
    /// People pause, skip, restart, end by force, edit.
    Meddling,
    /// People delete.
    Deletes,
}

impl Fault {
    /// All of them, with the names by which a command line calls them.
    pub const NAMED: [(&str, Self); 15] = [
        ("messages", Self::Messages),
        ("connections", Self::Connections),
        ("store", Self::Store),
        ("leases", Self::Leases),
        ("blobs", Self::Blobs),
        ("deaths", Self::Deaths),
        ("clocks", Self::Clocks),
        ("leases-forgotten", Self::LeasesForgotten),
        ("queues-forgotten", Self::QueuesForgotten),
        ("stops", Self::Stops),
        ("delays", Self::Delays),
        ("crowds", Self::Crowds),
        ("cancels", Self::Cancels),
        ("meddling", Self::Meddling),
        ("deletes", Self::Deletes),
    ];
    /// Those that came later than the seeds that are kept from before: without them such a seed tells what
    /// it told.
    pub const LATER: [Self; 7] = [
        Self::Clocks,
        Self::LeasesForgotten,
        Self::QueuesForgotten,
        Self::Stops,
        Self::Delays,
        Self::Crowds,
        Self::Deletes,
    ];
}

/// How a seed's world differs from what the seed alone says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setting {
    /// What is switched off of the product.
    pub mutation: Mutation,
    /// What does not happen.
    pub without: BTreeSet<Fault>,
    /// Pipelines at most.
    pub plans_max: Option<usize>,
    /// Stages of each at most.
    pub stages_max: Option<usize>,
    /// How long accidents happen at most.
    pub storm_max: Option<Duration>,
}

impl Setting {
    /// As the seed says, but for what is switched off.
    pub fn mutated(mutation: Mutation) -> Self {
        Self { mutation, ..Self::default() }
    }

    /// As the seed says, without some accidents.
    pub fn without(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { without: faults.into_iter().collect(), ..Self::default() }
    }

    /// Whether something may happen.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        !self.without.contains(&fault)
    }
}
