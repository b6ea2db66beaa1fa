//! Which accidents happen when: data, drawn from a seed, so that a run can be told again.

use std::time::Duration;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::proxy::Weather;

/// Seconds from one accident to the next.
const PAUSE_SECONDS: std::ops::RangeInclusive<u64> = 2..=20;
/// Accidents at once.
const AT_ONCE_MAX: usize = 3;
/// Everything is healed within that.
pub(super) const LASTS_MAX: Duration = Duration::from_secs(60);
/// Processes of a role that are ever there at once.
pub(super) const SCHEDULERS_MAX: u8 = 3;
pub(super) const WORKERS_MAX: u8 = 4;

/// A kind of accident, as the command line calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// A scheduler or worker is killed.
    #[value(name = "F1")]
    F1,
    /// A scheduler or worker stands still for 5 to 45 seconds.
    #[value(name = "F2")]
    F2,
    /// Schedulers or workers become more, or fewer, politely.
    #[value(name = "F3")]
    F3,
    /// RabbitMQ is killed.
    #[value(name = "F4")]
    F4,
    /// RabbitMQ stands still for 18 seconds.
    #[value(name = "F5")]
    F5,
    /// RabbitMQ is stopped and started.
    #[value(name = "F6")]
    F6,
    /// Every queue of RabbitMQ is purged, or one deleted.
    #[value(name = "F7")]
    F7,
    /// RabbitMQ has no memory left for 20 seconds.
    #[value(name = "F8")]
    F8,
    /// Redis is killed, emptied, or full.
    #[value(name = "F9")]
    F9,
    /// Redis comes back without its last second.
    #[value(name = "F10")]
    F10,
    /// PostgreSQL is killed, stays away, or is slow.
    #[value(name = "F11")]
    F11,
    /// The disk of the blobs and logs is full.
    #[value(name = "F12")]
    F12,
    /// The network of one process breaks: connections are reset, one direction is held, chunks are late,
    /// everything takes half a second, or 64 kbit/s is all there is.
    #[value(name = "F13")]
    F13,
    /// The clock of one process is off by minutes, and jumps by an hour.
    #[value(name = "F14")]
    F14,
    /// Messages come again, in another order; also those of long ago.
    #[value(name = "F15")]
    F15,
    /// The target fails, hangs, or acts and says nothing.
    #[value(name = "F16")]
    F16,
    /// Each process is replaced in its turn, by the other version where there is one.
    #[value(name = "F17")]
    F17,
    /// People meddle with everything.
    #[value(name = "F18")]
    F18,
}

/// A sort of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Schedulers.
    Scheduler,
    /// Workers.
    Worker,
}

/// What a process is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// RabbitMQ.
    Broker,
    /// Redis.
    Redis,
    /// PostgreSQL, which only schedulers know.
    Store,
}

/// How the target behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mood {
    /// As it should.
    Well,
    /// It refuses, and does nothing.
    Fails,
    /// It does nothing, and does not answer.
    Hangs,
    /// It acts, and does not answer.
    Silent,
}

/// What happens. Processes are counted, and a number beyond the last one means one of them all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Kill { role: Role, which: u8 },
    Freeze { role: Role, which: u8 },
    Scale { role: Role, to: u8 },
    BrokerKill,
    BrokerFreeze,
    BrokerRestart,
    QueuesPurge,
    QueueDelete { which: u8 },
    BrokerAlarm,
    RedisKill,
    RedisEmpty,
    RedisFull,
    RedisForgets,
    StoreKill,
    StoreSlow,
    DiskFull,
    Network { role: Role, which: u8, link: Link, weather: Weather },
    Clock { role: Role, which: u8, minutes: i16, jump_minutes: i16 },
    Repeat { of_long_ago: bool },
    Target(Mood),
    Roll,
    Meddling,
}

/// What an accident happens to: never two at one thing at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Process(Role, u8),
    Processes,
    Broker,
    Redis,
    Store,
    Disk,
    Target,
    People,
}

impl Subject {
    fn is_in_the_way_of(self, other: Self) -> bool {
        let pair = [self, other];
        let is_process = |one: Self| matches!(one, Self::Process(..) | Self::Processes);
        self == other || (pair.contains(&Self::Processes) && pair.into_iter().all(is_process))
    }
}

impl Fault {
    pub(super) fn subject(self) -> Subject {
        match self {
            Self::Kill { role, which }
            | Self::Freeze { role, which }
            | Self::Network { role, which, .. }
            | Self::Clock { role, which, .. } => Subject::Process(role, which),
            Self::Scale { .. } | Self::Roll => Subject::Processes,
            Self::BrokerKill
            | Self::BrokerFreeze
            | Self::BrokerRestart
            | Self::QueuesPurge
            | Self::QueueDelete { .. }
            | Self::BrokerAlarm
            | Self::Repeat { .. } => Subject::Broker,
            Self::RedisKill | Self::RedisEmpty | Self::RedisFull | Self::RedisForgets => {
                Subject::Redis
            }
            Self::StoreKill | Self::StoreSlow => Subject::Store,
            Self::DiskFull => Subject::Disk,
            Self::Target(_) => Subject::Target,
            Self::Meddling => Subject::People,
        }
    }
}

/// An accident: what, when in its round, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accident {
    /// Since the round began.
    pub at: Duration,
    /// Until it is healed.
    pub lasts: Duration,
    /// Of which kind.
    pub kind: Kind,
    /// What.
    pub fault: Fault,
}

impl Accident {
    fn ends(&self) -> Duration {
        self.at + self.lasts
    }
}

/// The accidents of a round that is `length` long: equal for equal arguments, in order, all of them healed
/// by its end.
pub fn of_round(seed: u64, round: u64, kinds: &[Kind], length: Duration) -> Vec<Accident> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    dice.set_stream(round);
    let (mut accidents, mut at) = (Vec::<Accident>::new(), Duration::ZERO);
    loop {
        at += Duration::from_secs(dice.random_range(PAUSE_SECONDS));
        let Some(kind) = kinds.choose(&mut dice).copied() else { return accidents };
        let (fault, seconds) = draw(kind, &mut dice);
        let lasts = Duration::from_secs(seconds).min(LASTS_MAX);
        if at >= length {
            return accidents;
        }
        let mut open = accidents.iter().filter(|earlier| earlier.ends() > at);
        let is_free = open.clone().count() < AT_ONCE_MAX
            && !open.any(|one| one.fault.subject().is_in_the_way_of(fault.subject()));
        if is_free && at + lasts <= length {
            accidents.push(Accident { at, lasts, kind, fault });
        }
    }
}

/// What of its kind, and for how many seconds.
fn draw(kind: Kind, dice: &mut ChaCha8Rng) -> (Fault, u64) {
    let role = if dice.random() { Role::Scheduler } else { Role::Worker };
    let count = match role {
        Role::Scheduler => SCHEDULERS_MAX,
        Role::Worker => WORKERS_MAX,
    };
    let which = dice.random_range(0..count);
    let one_of = |dice: &mut ChaCha8Rng, faults: &[Fault]| {
        faults.choose(dice).copied().unwrap_or(Fault::Meddling)
    };
    match kind {
        Kind::F1 => (Fault::Kill { role, which }, dice.random_range(0..10)),
        Kind::F2 => (Fault::Freeze { role, which }, dice.random_range(5..=45)),
        Kind::F3 => (Fault::Scale { role, to: dice.random_range(1..=count) }, 5),
        Kind::F4 => (Fault::BrokerKill, dice.random_range(0..10)),
        Kind::F5 => (Fault::BrokerFreeze, 18),
        Kind::F6 => (Fault::BrokerRestart, dice.random_range(0..10)),
        Kind::F7 => {
            let which = dice.random();
            (one_of(dice, &[Fault::QueuesPurge, Fault::QueueDelete { which }]), 1)
        }
        Kind::F8 => (Fault::BrokerAlarm, 20),
        Kind::F9 => {
            let faults = [Fault::RedisKill, Fault::RedisEmpty, Fault::RedisFull];
            (one_of(dice, &faults), dice.random_range(0..15))
        }
        Kind::F10 => (Fault::RedisForgets, 2),
        Kind::F11 => {
            let fault = one_of(dice, &[Fault::StoreKill, Fault::StoreSlow]);
            (fault, dice.random_range(1..30))
        }
        Kind::F12 => (Fault::DiskFull, dice.random_range(5..20)),
        Kind::F13 => network(role, which, dice),
        Kind::F14 => {
            let minutes = if dice.random() { 10 } else { -10 };
            let jump_minutes = if dice.random() { 60 } else { -60 };
            (Fault::Clock { role, which, minutes, jump_minutes }, dice.random_range(10..40))
        }
        Kind::F15 => (Fault::Repeat { of_long_ago: dice.random() }, dice.random_range(3..10)),
        Kind::F16 => {
            let moods = [Mood::Fails, Mood::Hangs, Mood::Silent];
            let mood = moods.choose(dice).copied().unwrap_or(Mood::Fails);
            (Fault::Target(mood), dice.random_range(3..15))
        }
        Kind::F17 => (Fault::Roll, 10),
        Kind::F18 => (Fault::Meddling, dice.random_range(10..30)),
    }
}

fn network(role: Role, which: u8, dice: &mut ChaCha8Rng) -> (Fault, u64) {
    let links: &[Link] = match role {
        Role::Scheduler => &[Link::Broker, Link::Redis, Link::Store],
        Role::Worker => &[Link::Broker, Link::Redis],
    };
    let link = links.choose(dice).copied().unwrap_or(Link::Broker);
    let weather = Weather::BAD.choose(dice).copied().unwrap_or(Weather::Reset);
    let lasts = if weather == Weather::Reset { 1 } else { 30 };
    (Fault::Network { role, which, link, weather }, lasts)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(600);

    #[test]
    fn equal_seeds_draw_equal_accidents_and_rounds_differ() {
        let of = |seed, round| of_round(seed, round, Kind::value_variants(), LENGTH);
        assert_eq!(of(7, 3), of(7, 3));
        assert_ne!(of(7, 3), of(7, 4));
        assert_ne!(of(7, 3), of(8, 3));
    }

    #[test]
    fn few_at_once_none_at_one_thing_and_all_are_healed() {
        for seed in 0..50 {
            let accidents = of_round(seed, 0, Kind::value_variants(), LENGTH);
            assert!(accidents.len() > 15, "{seed}: {}", accidents.len());
            for (at, one) in accidents.iter().enumerate() {
                assert!(one.lasts <= LASTS_MAX && one.ends() <= LENGTH, "{one:?}");
                let open: Vec<_> =
                    accidents[..at].iter().filter(|other| other.ends() > one.at).collect();
                assert!(open.len() < AT_ONCE_MAX, "{one:?} beside {open:?}");
                let subject = one.fault.subject();
                let is_clear = |other: &&Accident| !other.fault.subject().is_in_the_way_of(subject);
                assert!(open.iter().all(is_clear), "{one:?} beside {open:?}");
            }
        }
    }

    #[test]
    fn every_kind_is_drawn_and_no_other_than_was_asked_for() {
        for kind in Kind::value_variants() {
            let accidents = of_round(1, 0, &[*kind], LENGTH);
            assert!(!accidents.is_empty(), "{kind:?}");
            assert!(accidents.iter().all(|one| one.kind == *kind));
        }
        assert!(of_round(1, 0, &[], LENGTH).is_empty());
    }
}
