//! Accidents on real processes, drawn from a seed, while pipelines run and people meddle; and whether
//! everything that must hold then holds.
//!
//! A storm has rounds. In each, accidents happen for some minutes; then everything is healed, all that runs
//! must end, and what people saw, what the API tells and what the target knows is compared. Only a round is
//! ever held in memory, and a storm that is ended goes on with the round that it was in.

mod acting;
mod check;
mod doers;
mod faults;
mod guards;
mod history;
mod judge;
mod ledger;
mod messages;
mod plan;
mod proxy;
mod report;
mod resume;
pub mod roles;
mod round;
pub mod schedule;
mod servers;
mod site;
mod users;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};

pub use self::guards::Guard;
pub use self::ledger::Ledger;
use self::resume::State;
pub use self::schedule::Kind;
use self::site::{Shape, Site};
use crate::serve::now;

/// What is wanted.
#[derive(Debug, clap::Args)]
pub struct Storm {
    /// Stages after which it is enough.
    #[arg(long, default_value_t = 20_000)]
    pub stages: u64,
    /// What accidents, pipelines and people are drawn from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The kinds of accidents, all of them unless some are named.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub faults: Vec<Kind>,
    /// Goes on with the storm in the folder, which was ended.
    #[arg(long)]
    pub resume: bool,
    /// The round that it begins with: what went wrong in one is told again without those before it.
    #[arg(long, default_value_t = 0, conflicts_with = "resume")]
    pub round: u64,
    /// Minutes after which it is enough, however few stages there were.
    #[arg(long)]
    pub minutes: Option<u64>,
    /// How long accidents happen in one round, in seconds.
    #[arg(long, default_value_t = 570)]
    pub round_seconds: u64,
    /// Executions that run at once.
    #[arg(long, default_value_t = 60)]
    pub at_once: usize,
    /// The program that ships.
    #[arg(long, default_value = "target/dist/capstan")]
    pub program: PathBuf,
    /// Another version of it, for rolling upgrades.
    #[arg(long)]
    pub previous: Option<PathBuf>,
    /// A guard that is switched off, to see that it is missed.
    #[arg(long, value_enum)]
    pub without: Option<Guard>,
    /// Writes the figures here, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// A folder for everything: a new one, unless it goes on.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// What it came to.
#[derive(Debug)]
pub struct Outcome {
    /// By name, with their units in the names.
    pub figures: Value,
    /// What must not happen and did, in words.
    pub violations: Vec<String>,
}

impl Storm {
    /// Goes over a site of its own, until it is enough or something happened that must not.
    ///
    /// # Errors
    /// What could not be started, or brought back: nothing that the product did.
    pub fn run(&self) -> Result<Outcome> {
        ensure!(self.program.exists(), "no program at {}", self.program.display());
        std::fs::create_dir_all(&self.data_dir)?;
        let folder = self.data_dir.canonicalize()?;
        let mut state = State::of(&folder, self.seed, (!self.resume).then_some(self.round))?;
        std::fs::create_dir_all(folder.join("shared"))?;
        if !faults::mount(&folder)? {
            eprintln!("blobs and logs have no disk of their own here: it is not filled (F12)");
        }
        let shape = Shape {
            program: self.program.canonicalize()?,
            previous: self.previous.clone(),
            folder: folder.clone(),
            without: self.without,
        };
        let site = Site::start(shape, state.store.as_deref())?;
        state.store = Some(site.store_url());
        state.save(&folder)?;
        let violations = self.over(&site, &mut state);
        site.end();
        drop(site);
        let violations = violations?;
        if violations.is_empty() {
            faults::unmount(&folder)?;
        }
        let figures = json!({
            "seed": self.seed, "rounds": state.round,
            "figures": state.tally.figures(), "violations": violations,
        });
        Ok(Outcome { figures, violations })
    }

    fn over(&self, site: &Site, state: &mut State) -> Result<Vec<String>> {
        std::thread::scope(|scope| {
            let keeper = scope.spawn(|| site.keep());
            let rounds = self.rounds(site, state);
            site.end();
            let kept = keeper.join().ok().context("the keeper broke down")?;
            kept.and(rounds)
        })
    }

    fn rounds(&self, site: &Site, state: &mut State) -> Result<Vec<String>> {
        site.calm()?;
        let began = now();
        let enough = self.minutes.map(|minutes| Duration::from_secs(minutes * 60));
        let left = || enough.map(|enough| enough.saturating_sub(began.elapsed()));
        std::thread::scope(|scope| {
            let doers = doers::Doers::start(scope, site);
            while state.tally.stages < self.stages && left() != Some(Duration::ZERO) {
                let length = Duration::from_secs(self.round_seconds);
                let length = left().map_or(length, |left| length.min(left));
                let round = round::Round { storm: self, site, doers: &doers, length };
                let violations = round.run(state)?;
                eprintln!("{}", crate::table::of(&state.tally.figures()));
                if !violations.is_empty() {
                    return Ok(violations);
                }
            }
            Ok(Vec::new())
        })
    }

    /// All kinds that are wanted.
    fn kinds(&self) -> Vec<Kind> {
        let all = || Kind::value_variants().to_vec();
        if self.faults.is_empty() { all() } else { self.faults.clone() }
    }

    /// The command that has the same accidents happen again to the same pipelines.
    fn command(&self, round: u64) -> String {
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let kinds: Vec<_> =
            self.kinds().iter().map(|kind| name(kind.to_possible_value())).collect();
        let without =
            self.without.map(|guard| format!(" --without {}", name(guard.to_possible_value())));
        format!(
            "capstan-loadtest storm --seed {} --round {round} --stages {} --round-seconds {} \
             --at-once {} --faults {}{} --data-dir NEW --program {}",
            self.seed,
            self.stages,
            self.round_seconds,
            self.at_once,
            kinds.join(","),
            without.unwrap_or_default(),
            self.program.display(),
        )
    }
}
