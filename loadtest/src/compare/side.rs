//! One side of a comparison. Each is a process of its own, so that everything that is below it is what it
//! costs, and nothing else is.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contestant::{Contestant, measure};
use super::dialogue::Dialogue;
use super::ours::Ours;
use super::peer::Peer;
use super::setup;
use super::trial::Trial;
use crate::stand::Shape;

/// How long until everything of one has started.
const START_LIMIT: Duration = Duration::from_secs(300);
/// How much longer a trial may take than what is measured of it.
const TRIAL_LIMIT: Duration = Duration::from_secs(400);

/// The process.
#[derive(Debug, clap::Args)]
pub struct Side {
    /// Whom; ours if nobody is named.
    #[arg(long)]
    peer: Option<Peer>,
    /// A new folder for everything.
    #[arg(long)]
    folder: PathBuf,
    /// The program that ships.
    #[arg(long)]
    program: PathBuf,
    /// Workers of ours.
    #[arg(long)]
    workers: usize,
    /// Attempts that each of them runs at once.
    #[arg(long)]
    slots: u16,
}

#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    trial: Trial,
    duration: Duration,
}

impl Side {
    /// Runs trials until nothing is asked any more. What fails is said, and nothing more is done.
    ///
    /// # Errors
    /// Nobody hears what is said.
    pub fn run(self) -> Result<()> {
        let mut contestant = match self.start() {
            Ok(contestant) => contestant,
            Err(error) => return say(&json!({ "failed": format!("{error:#}") })),
        };
        say(&json!({ "ready": contestant.about() }))?;
        for line in std::io::stdin().lock().lines() {
            let Asked { trial, duration } = serde_json::from_str(&line?)?;
            match measure(&mut *contestant, trial, duration) {
                Ok(figures) => say(&json!({ "figures": figures }))?,
                Err(error) => return say(&json!({ "failed": format!("{error:#}") })),
            }
        }
        Ok(())
    }

    fn start(&self) -> Result<Box<dyn Contestant>> {
        std::fs::create_dir_all(&self.folder)?;
        let Some(peer) = self.peer else { return Ok(Box::new(Ours::start(self.shape())?)) };
        Ok(Box::new(setup::start(peer, &self.folder)?))
    }

    fn shape(&self) -> Shape {
        Shape {
            program: self.program.clone(),
            folder: self.folder.clone(),
            schedulers: 1,
            workers: self.workers,
            slots: self.slots,
            work_ms: 0,
        }
    }
}

fn say(what: &Value) -> Result<()> {
    let mut to = std::io::stdout().lock();
    writeln!(to, "{what}")?;
    Ok(to.flush()?)
}

/// The process, from outside.
pub(super) struct Handle {
    dialogue: Dialogue,
    /// Versions and settings.
    pub(super) about: Value,
}

impl Handle {
    /// Starts one, with more arguments, and waits until it is ready.
    ///
    /// # Errors
    /// What could not be started.
    pub(super) fn start(peer: Option<Peer>, more: &[&str], folder: &Path) -> Result<Self> {
        let name = peer.map_or("capstan", Peer::name);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("compare-side").args(more).arg("--folder").arg(folder.join(name));
        if peer.is_some() {
            command.args(["--peer", name]);
        }
        let mut dialogue = Dialogue::start(name, command, folder)?;
        let about = dialogue.hear(START_LIMIT)?["ready"].take();
        Ok(Self { dialogue, about })
    }

    /// The figures of one trial.
    ///
    /// # Errors
    /// What went wrong there.
    pub(super) fn measure(&mut self, trial: Trial, duration: Duration) -> Result<Value> {
        self.dialogue.tell(&serde_json::to_value(Asked { trial, duration })?)?;
        Ok(self.dialogue.hear(duration + TRIAL_LIMIT)?["figures"].take())
    }
}
