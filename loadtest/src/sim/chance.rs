//! Dice, and how long they are thrown against the product.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared_ports::PortError;
use tokio::time::Instant;

use super::setting::{Fault, Setting};

/// Dice of one seed; clones throw the same dice on.
#[derive(Clone)]
pub(crate) struct Chance(Arc<Mutex<ChaCha8Rng>>);

impl Chance {
    pub(crate) fn of(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// A number from `low` to below `high`.
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(low..high)
    }

    /// True once in `times`.
    pub(crate) fn one_in(&self, times: u64) -> bool {
        self.between(0, times) == 0
    }
}

/// Accidents happen until the storm is over: from then on everything must come to an end.
#[derive(Clone)]
pub(crate) struct Weather {
    pub(crate) chance: Chance,
    calm_from: Instant,
    /// Whether the accidents of this part of it happen at all.
    happens: bool,
}

impl Weather {
    pub(crate) fn new(chance: Chance, storm: Duration) -> Self {
        Self { chance, calm_from: Instant::now() + storm, happens: true }
    }

    /// The part of it that is one kind of accident.
    pub(crate) fn of(&self, fault: Fault, setting: &Setting) -> Self {
        Self { happens: setting.has(fault), ..self.clone() }
    }

    pub(crate) fn is_calm(&self) -> bool {
        Instant::now() >= self.calm_from
    }

    /// Whether the storm goes on at that time.
    pub(crate) fn is_stormy_at(&self, at: Instant) -> bool {
        at < self.calm_from
    }

    /// Returns once the storm is over.
    pub(crate) async fn calm(&self) {
        tokio::time::sleep_until(self.calm_from).await;
    }

    /// Whether an accident happens that happens once in `times`. Dice are thrown for what does not happen,
    /// too, so that the rest goes on as before.
    pub(crate) fn strikes(&self, times: u64) -> bool {
        !self.is_calm() && self.chance.one_in(times) && self.happens
    }

    /// Whether something that is decided elsewhere may happen now.
    pub(crate) fn may_strike(&self) -> bool {
        self.happens && !self.is_calm()
    }

    /// An error before anything was done, once in `times`.
    pub(crate) fn fail(&self, times: u64, doing: &str) -> Result<(), PortError> {
        if !self.strikes(times) {
            return Ok(());
        }
        Err(PortError::Unavailable { doing: doing.to_owned(), source: "the weather".into() })
    }
}
