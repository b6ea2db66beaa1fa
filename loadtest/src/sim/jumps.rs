//! Wall clocks that are wrong, and jump: of each process, and of the servers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared_ports::Clock;

use super::chance::Chance;
use super::clock::SimClock;

/// Told apart from the seed's other dice, so that what else it tells stays as it was.
const DICE: u64 = 0x70c5_11e5_0b5e_55ed;
/// Seconds by which a clock is wrong at most.
const SKEW_MAX: u64 = 600;
/// Seconds by which one jumps at most.
const JUMP_MAX: u64 = 3_600;
/// Within so many seconds of its process's life.
const JUMP_WITHIN: u64 = 200;

/// By how much a clock is wrong, and from when on.
#[derive(Debug, Default)]
pub(crate) struct Jumps(Vec<(Duration, SignedDuration)>);

impl Jumps {
    /// Whether clocks of a world are wrong; they are right in two worlds of three.
    pub(crate) fn are_in(seed: u64) -> bool {
        Chance::of(seed ^ DICE).one_in(3)
    }

    /// Those of one clock of a world, from now on.
    pub(crate) fn roll(seed: u64, clock: u64, now: Duration) -> Self {
        if !Self::are_in(seed) {
            return Self::default();
        }
        let chance = Chance::of(seed.rotate_left(29) ^ clock ^ DICE);
        let wrong = |most: u64| {
            let seconds = chance.between(0, 2 * most).cast_signed() - most.cast_signed();
            SignedDuration::from_secs(seconds)
        };
        let skew = chance.one_in(2).then(|| (now, wrong(SKEW_MAX)));
        let jump = chance.one_in(2).then(|| {
            let at = now + Duration::from_secs(chance.between(0, JUMP_WITHIN));
            (at, wrong(JUMP_MAX))
        });
        // Somebody sets it right, as a jump the other way.
        let right = jump.filter(|_| chance.one_in(2)).map(|(at, _)| {
            (at + Duration::from_secs(chance.between(1, JUMP_WITHIN)), SignedDuration::ZERO)
        });
        Self(skew.into_iter().chain(jump).chain(right).collect())
    }

    fn at(&self, now: Duration) -> SignedDuration {
        let past = self.0.iter().rev().find(|(from, _)| *from <= now);
        past.map_or(SignedDuration::ZERO, |(_, wrong)| *wrong)
    }

    /// What a clock shows that is wrong by that much.
    pub(crate) fn shown(&self, clock: &SimClock) -> Timestamp {
        let right = clock.now();
        right.checked_add(self.at(clock.elapsed())).unwrap_or(right)
    }
}

/// The clock of the servers.
pub(crate) struct ServersClock {
    pub(crate) inner: Arc<SimClock>,
    pub(crate) jumps: Jumps,
}

#[async_trait]
impl Clock for ServersClock {
    fn now(&self) -> Timestamp {
        self.jumps.shown(&self.inner)
    }

    fn elapsed(&self) -> Duration {
        self.inner.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }

    fn new_id(&self) -> String {
        self.inner.new_id()
    }
}
