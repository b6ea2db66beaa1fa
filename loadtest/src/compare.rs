//! Others beside us: the same work on what people would use in our place, on the same machine in the same
//! minutes.

mod contestant;
mod dialogue;
mod floor;
mod machine;
mod ours;
mod packages;
mod peer;
mod ratio;
mod scripted;
mod servers;
mod setup;
mod side;
mod trial;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

pub use self::floor::Floor;
pub use self::peer::Peer;
use self::ratio::Rounds;
use self::side::Handle;
pub use self::side::Side;
use self::trial::Trial;
pub use self::trial::Workload;

/// What is compared.
#[derive(Debug, clap::Args)]
pub struct Compare {
    /// With whom.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Peer::value_variants().to_vec())]
    peers: Vec<Peer>,
    /// In what.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Workload::value_variants().to_vec())]
    workloads: Vec<Workload>,
    /// How often each side is measured; they take turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds that are measured of each turn.
    #[arg(long, default_value_t = 5)]
    duration_seconds: u64,
    /// The program that ships, built in the profile `dist`.
    #[arg(long, default_value = "target/dist/capstan")]
    program: PathBuf,
    /// Workers of ours.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Attempts that each of them runs at once.
    #[arg(long, default_value_t = 64)]
    slots: u16,
    /// Writes the figures here, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// A new folder for everything.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

/// What it came to.
pub struct Outcome {
    /// Everything, for programs.
    pub figures: Value,
    /// The machine, and the versions and settings of everybody.
    pub about: Value,
    /// The ratios, for people.
    pub table: String,
    /// With whom it could not be compared, and why.
    pub failed: Vec<String>,
}

/// One peer beside us.
struct Beside {
    about: Value,
    trials: Vec<Rounds>,
}

impl Compare {
    /// Starts ours once, and each peer in its turn. One that cannot be had is told, and the others go on.
    ///
    /// # Errors
    /// Ours does not start, or the folder cannot be written to.
    pub fn run(&self) -> Result<Outcome> {
        ensure!(self.rounds > 0, "no rounds, no figures");
        std::fs::create_dir_all(&self.data_dir)
            .with_context(|| format!("failed to make {}", self.data_dir.display()))?;
        let machine = machine::describe(&self.data_dir)?;
        let mut ours = self.start(None)?;
        let (mut peers, mut lines, mut failed) = (Map::new(), Vec::new(), Vec::new());
        let mut about = json!({ "machine": machine, "ours": ours.about });
        for peer in &self.peers {
            let name = peer.name();
            match self.beside(*peer, &mut ours) {
                Ok(beside) => {
                    beside.trials.iter().for_each(|trial| lines.extend(trial.lines(name)));
                    peers.insert(name.to_owned(), beside.to_json());
                    about[name] = beside.about;
                }
                Err(error) => failed.push(format!("{name}: {error:#}")),
            }
        }
        let figures = json!({
            "machine": about["machine"],
            "rounds": self.rounds,
            "seconds of each": self.duration_seconds,
            "ours": about["ours"],
            "beside": peers,
            "failed": failed,
        });
        Ok(Outcome { about, table: ratio::table(&lines), figures, failed })
    }

    fn start(&self, peer: Option<Peer>) -> Result<Handle> {
        let program = self.program.display().to_string();
        let (workers, slots) = (self.workers.to_string(), self.slots.to_string());
        let more = ["--program", &program, "--workers", &workers, "--slots", &slots];
        Handle::start(peer, &more, &self.data_dir)
    }

    /// Ours, theirs, ours, theirs, for each thing that is measured.
    fn beside(&self, peer: Peer, ours: &mut Handle) -> Result<Beside> {
        packages::get(peer, &mut |line| eprintln!("{line}"))?;
        let mut theirs = self.start(Some(peer))?;
        let mut trials = Vec::new();
        for trial in self.workloads.iter().flat_map(|workload| workload.trials()) {
            eprintln!("{} beside {}", trial.name(), peer.name());
            trials.push(self.take_turns(*trial, ours, &mut theirs)?);
        }
        Ok(Beside { about: theirs.about.take(), trials })
    }

    fn take_turns(&self, trial: Trial, ours: &mut Handle, theirs: &mut Handle) -> Result<Rounds> {
        let duration = Duration::from_secs(self.duration_seconds);
        let mut rounds = Rounds { trial, ours: Vec::new(), theirs: Vec::new() };
        for _ in 0..self.rounds {
            rounds.ours.push(ours.measure(trial, duration)?);
            rounds.theirs.push(theirs.measure(trial, duration)?);
        }
        Ok(rounds)
    }
}

impl Beside {
    fn to_json(&self) -> Value {
        let trial = |rounds: &Rounds| (rounds.trial.name().to_owned(), rounds.to_json());
        let trials: Map<_, _> = self.trials.iter().map(trial).collect();
        json!({ "about": self.about, "workloads": trials })
    }
}
