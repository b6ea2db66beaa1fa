//! Capstan: a scheduler that ships, workers whose stages do nothing, and their servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::contestant::{Contestant, Execution};
use super::servers;
use super::trial::Trial;
use crate::serve::http::Connection;
use crate::serve::{follow_to_end, submit};
use crate::stand::working::nanoseconds;
use crate::stand::{Ledger, Shape, Stand};
use crate::workload::load::{Load, Pace, Work};

/// Executions at once where as many as are carried.
const AT_ONCE: usize = 1_000;
const SETTINGS: &str = "quorum queues, persistent messages, publisher confirms, manual acknowledgements; \
    every step committed to a PostgreSQL that syncs; Redis for leases; 1,000 executions at once";

pub(super) struct Ours {
    stand: Stand,
    shape: Shape,
    running: Option<Running>,
}

enum Running {
    /// So many at once; ended once the work of the last stage is done.
    Load(Load),
    /// One at a time, each followed until the API says that it has ended.
    Followed { is_over: Arc<AtomicBool>, client: JoinHandle<Result<Vec<Execution>>> },
}

impl Ours {
    pub(super) fn start(shape: Shape) -> Result<Self> {
        Ok(Self { stand: Stand::start(shape.clone())?, shape, running: None })
    }

    fn follow(&self, trial: Trial) -> Running {
        let is_over = Arc::new(AtomicBool::new(false));
        let address = self.stand.address(0).to_owned();
        let document = trial.graph().document(0).to_string();
        let told = Arc::clone(&is_over);
        let one_by_one = move || {
            let (mut connection, mut executions) = (Connection::open(&address)?, Vec::new());
            while !told.load(Ordering::SeqCst) {
                let began = nanoseconds();
                let id = submit(&mut connection, &document)?;
                follow_to_end(&address, &id)?;
                executions.push(Execution { id, began, ended: Some(nanoseconds()) });
            }
            Ok(executions)
        };
        Running::Followed { is_over, client: std::thread::spawn(one_by_one) }
    }
}

impl Contestant for Ours {
    fn about(&self) -> Value {
        let program = self.shape.program.display().to_string();
        json!({
            "versions": {
                "capstan": servers::printed(&program, &["--version"]),
                "rabbitmq": servers::rabbitmq(&self.stand.rabbitmq),
                "redis": servers::redis(&self.stand.redis),
                "postgres": servers::postgres(&self.stand.postgres),
            },
            "settings": SETTINGS,
            "schedulers": self.shape.schedulers,
            "workers": self.shape.workers,
            "slots of each": self.shape.slots,
        })
    }

    fn ledger(&self) -> &Ledger {
        &self.stand.ledger
    }

    /// It is this process.
    fn load(&self) -> Vec<u32> {
        Vec::new()
    }

    fn stages(&self, trial: Trial) -> usize {
        trial.graph().len()
    }

    fn begin(&mut self, trial: Trial) -> Result<()> {
        let load = |at_once| {
            let work = Work { graph: trial.graph(), stage_bytes: 0 };
            Running::Load(Load::start(&self.stand, Pace::AtOnce(at_once), work))
        };
        self.running = Some(match trial {
            Trial::Chain10 => load(AT_ONCE),
            Trial::Chain10Alone | Trial::Fan100 => load(1),
            Trial::Noop1 => self.follow(trial),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<Vec<Execution>> {
        match self.running.take().context("nothing runs")? {
            Running::Load(load) => {
                let ended = load.end(&self.stand)?;
                ensure!(ended.repeated == 0, "{} stages were worked on twice", ended.repeated);
                let seen = ended.submissions.into_iter();
                let execution = |one: crate::workload::load::Submission| Execution {
                    id: one.id,
                    began: one.intended,
                    ended: None,
                };
                Ok(seen.map(execution).collect())
            }
            Running::Followed { is_over, client } => {
                is_over.store(true, Ordering::SeqCst);
                client.join().map_err(|_| anyhow!("a client broke down"))?
            }
        }
    }
}
