//! Processes that stand still for a while, and calls that take their time.

use std::time::Duration;

use tokio::time::Instant;

use super::chance::{Chance, Weather};
use super::setting::{Fault, Setting};

/// Told apart from the seed's other dice, so that what else it tells stays as it was.
const STOP_DICE: u64 = 0x5709_9ed0_5eed_0001;
const DELAY_DICE: u64 = 0xde1a_7ed0_ca11_0002;
/// Within so many seconds of its life a process stands still, for how many.
const STOP_WITHIN: u64 = 200;
const STOP_SECONDS: (u64, u64) = (5, 45);
/// Calls of which one is slow, in this world or that, and for how many milliseconds at most.
const CALLS: (u64, u64) = (2, 30);
const DELAY_MAX: u64 = 3_000;

/// Where many are, at least one of so many is.
const OFTEN: u64 = 8;

/// How slow one process is.
pub(crate) struct Slowness {
    /// From when on it stands still, and until when.
    stopped: Option<(Instant, Instant)>,
    calls: Option<Calls>,
}

/// Calls of which some are slow.
struct Calls {
    /// Of how many one is.
    of: u64,
    chance: Chance,
    weather: Weather,
}

impl Slowness {
    /// That of one process of a world, from now on. Processes stand still in one world of three, calls are
    /// slow in every other.
    pub(crate) fn roll(seed: u64, process: u64, weather: &Weather, setting: &Setting) -> Self {
        let dice = |dice: u64| Chance::of(seed.rotate_left(23) ^ process ^ dice);
        let stops = setting.has(Fault::Stops) && Chance::of(seed ^ STOP_DICE).one_in(3);
        let (slows, of) = calls_of(seed, setting);
        let calls = || Calls { of, chance: dice(DELAY_DICE), weather: weather.clone() };
        Self {
            stopped: stops.then(|| stopped(&dice(STOP_DICE), weather)).flatten(),
            calls: slows.then(calls),
        }
    }

    /// Returns once the process goes on.
    pub(crate) async fn stands_still(&self) {
        if let Some((from, until)) = self.stopped
            && from <= Instant::now()
        {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Takes the time that a call takes, or what comes back of it.
    pub(crate) async fn delay(&self) {
        let Some(Calls { of, chance, weather }) = &self.calls else { return };
        if weather.is_calm() || !chance.one_in(*of) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(chance.between(1, DELAY_MAX))).await;
    }
}

/// Whether calls are slow in a world, and of how many one is.
fn calls_of(seed: u64, setting: &Setting) -> (bool, u64) {
    let world = Chance::of(seed ^ DELAY_DICE);
    let slows = setting.has(Fault::Delays) && world.one_in(2);
    (slows, world.between(CALLS.0, CALLS.1))
}

/// Whether many calls take their time in a world.
pub(crate) fn is_slow(seed: u64, setting: &Setting) -> bool {
    let (slows, of) = calls_of(seed, setting);
    slows && of <= OFTEN
}

/// Every other process stands still once, if the storm is not over by then.
fn stopped(chance: &Chance, weather: &Weather) -> Option<(Instant, Instant)> {
    let from = Instant::now() + Duration::from_secs(chance.between(0, STOP_WITHIN));
    let (least, most) = STOP_SECONDS;
    let until = from + Duration::from_secs(chance.between(least, most));
    (chance.one_in(2) && weather.is_stormy_at(from)).then_some((from, until))
}
