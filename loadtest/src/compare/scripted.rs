//! A peer: its servers, its workers, and a client that submits when it is told to.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared_testkit::stack::{PostgresServer, RabbitMq, Redis};

use super::contestant::{Contestant, Execution};
use super::dialogue::Dialogue;
use super::peer::{Peer, shape};
use super::servers;
use super::trial::Trial;
use crate::stand::Ledger;
use crate::stand::process::Process;

/// How long until the client has seen one execution end, and so that workers work.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// How long what runs may take to end.
const END_LIMIT: Duration = Duration::from_secs(300);

/// They end with it.
pub(super) struct Scripted {
    // Ended before what they use.
    client: Dialogue,
    _processes: Vec<Process>,
    _servers: Servers,
    ledger: Ledger,
    peer: Peer,
    /// What the client says of itself.
    versions: Map<String, Value>,
    trials: usize,
}

/// Those that a peer needs.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) rabbitmq: Option<RabbitMq>,
    pub(super) redis: Option<Redis>,
    pub(super) postgres: Option<PostgresServer>,
}

impl Servers {
    fn versions(&self) -> Map<String, Value> {
        let each = [
            ("rabbitmq", self.rabbitmq.as_ref().and_then(servers::rabbitmq)),
            ("redis", self.redis.as_ref().and_then(servers::redis)),
            ("postgres", self.postgres.as_ref().and_then(servers::postgres)),
        ];
        let known = each.into_iter().filter_map(|(name, version)| Some((name, version?)));
        known.map(|(name, version)| (name.to_owned(), version.into())).collect()
    }
}

/// What the client answers once everything has ended: of each execution its name, and when it was
/// submitted and had ended, in nanoseconds of the machine's clock.
#[derive(Deserialize)]
struct Ended {
    executions: Vec<(String, u64, u64)>,
}

impl Scripted {
    /// Waits until the client is ready.
    ///
    /// # Errors
    /// It is not, and what it says about that.
    pub(super) fn of(
        peer: Peer,
        ledger: Ledger,
        servers: Servers,
        processes: Vec<Process>,
        mut client: Dialogue,
    ) -> Result<Self> {
        let said = client.hear(READY_LIMIT)?;
        let own = said["ready"].as_object().context("it did not say that it is ready")?;
        let versions = servers.versions().into_iter().chain(own.clone()).collect();
        Ok(Self {
            client,
            _processes: processes,
            _servers: servers,
            ledger,
            peer,
            versions,
            trials: 0,
        })
    }
}

/// Where the workers of a peer say what they did.
pub(super) fn ledger(folder: &Path) -> Result<Ledger> {
    Ledger::listen(&folder.join("ledger"))
}

impl Contestant for Scripted {
    fn about(&self) -> Value {
        json!({
            "versions": self.versions,
            "settings": self.peer.settings(),
            "executions at once": self.peer.at_once(Trial::Chain10),
        })
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn load(&self) -> Vec<u32> {
        match self.peer {
            // It is the scheduler and the worker, too.
            Peer::Floor => Vec::new(),
            Peer::Celery | Peer::Bullmq | Peer::Restate | Peer::RestateCalls | Peer::Temporal => {
                vec![self.client.pid()]
            }
        }
    }

    fn stages(&self, trial: Trial) -> usize {
        self.peer.stages(trial)
    }

    fn begin(&mut self, trial: Trial) -> Result<()> {
        self.trials += 1;
        let at_once = self.peer.at_once(trial);
        let prefix = self.trials.to_string();
        let order = json!({ "shape": shape(trial), "at_once": at_once, "prefix": prefix });
        self.client.tell(&json!({ "begin": order }))
    }

    fn end(&mut self) -> Result<Vec<Execution>> {
        self.client.tell(&json!({ "end": {} }))?;
        let ended: Ended = serde_json::from_value(self.client.hear(END_LIMIT)?)?;
        ensure!(!ended.executions.is_empty(), "nothing was submitted");
        let execution = |(id, began, ended)| Execution { id, began, ended: Some(ended) };
        Ok(ended.executions.into_iter().map(execution).collect())
    }
}
