//! The least that any engine on these servers does: each stage is a persistent message to a worker in a
//! quorum queue and one back, confirmed and acknowledged, and of every batch of ends that is at hand one
//! commit in PostgreSQL before what follows is sent. No API, no documents, no leases, no retries; scheduler and
//! worker are one process, and one thread beside those of the client library.

mod pump;
mod scheduler;
mod shape;
mod worker;

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use lapin::{Connection, ConnectionProperties};
use serde::Deserialize;
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor};
use tokio::sync::mpsc;

use self::pump::Pump;
use self::scheduler::{Ended, Scheduler};
pub(super) use self::shape::Shape;
use self::worker::Worker;
use crate::stand::working::tell;

/// Pairs of queues, each with a scheduler, a worker and a session in PostgreSQL: one queue keeps one core
/// of RabbitMQ busy at most.
const LANES: usize = 4;
/// A row for each end that is known, and one for each execution that began.
const JOURNAL: &str = "CREATE TABLE journal (execution bigint NOT NULL, stage int NOT NULL)";

/// The floor.
#[derive(Debug, clap::Args)]
pub struct Floor {
    /// RabbitMQ.
    #[arg(long)]
    amqp: String,
    /// PostgreSQL.
    #[arg(long)]
    postgres: String,
    /// Where it is said what was done.
    #[arg(long)]
    ledger: PathBuf,
}

/// What it is told, in lines.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Begin { shape: Shape, at_once: usize, prefix: String },
    End {},
}

/// What a scheduler is told.
#[derive(Debug, Clone)]
enum Turn {
    /// So many executions at once, named from a number on.
    Begin {
        shape: Shape,
        at_once: usize,
        first: u64,
    },
    End,
}

impl Floor {
    /// Works until nothing is told to it any more.
    ///
    /// # Errors
    /// A server cannot be reached, or refuses something.
    pub async fn run(self) -> Result<()> {
        let mut store = PgConnection::connect(&self.postgres).await?;
        store.execute(JOURNAL).await?;
        let [receiving, sending] = [self.connect().await?, self.connect().await?];
        let (answers, answered) = mpsc::channel(LANES);
        let (mut turns, mut schedulers, mut workers) = (Vec::new(), Vec::new(), Vec::new());
        let lines = tell(&self.ledger)?;
        for lane in 0..LANES {
            let [tasks, ends] = [format!("floor.tasks.{lane}"), format!("floor.ends.{lane}")];
            let (told, orders) = mpsc::channel(1);
            turns.push(told);
            let pump = Pump::open(&receiving, &sending, &ends, &tasks).await?;
            let store = PgConnection::connect(&self.postgres).await?;
            schedulers.push(Scheduler::new(pump, store, orders, answers.clone()).run());
            let pump = Pump::open(&receiving, &sending, &tasks, &ends).await?;
            workers.push(Worker::new(pump, lines.clone()).run());
        }
        say(&json!({ "ready": {} }))?;
        tokio::select! {
            done = conduct(store, &turns, answered) => done,
            failed = try_join_all(schedulers) => failed.map(drop),
            failed = try_join_all(workers) => failed.map(drop),
        }
    }

    async fn connect(&self) -> Result<Connection> {
        Ok(Connection::connect(&self.amqp, ConnectionProperties::default()).await?)
    }
}

/// Hands on what is told, and says what it came to.
async fn conduct(
    mut store: PgConnection,
    turns: &[mpsc::Sender<Turn>],
    mut answered: mpsc::Receiver<Vec<Ended>>,
) -> Result<()> {
    let mut orders = orders();
    let mut stages = 0;
    while let Some(order) = orders.recv().await {
        match order? {
            Order::Begin { shape, at_once, prefix } => {
                stages = shape.stages();
                store.execute("TRUNCATE journal").await?;
                let prefix: u64 = prefix.parse().context("a prefix is a number here")?;
                for (lane, turn) in turns.iter().enumerate() {
                    let first = prefix << 40 | (lane as u64) << 32;
                    let at_once = at_once / LANES + usize::from(lane < at_once % LANES);
                    turn.send(Turn::Begin { shape, at_once, first }).await?;
                }
            }
            Order::End {} => {
                let mut executions = Vec::new();
                for turn in turns {
                    turn.send(Turn::End).await?;
                }
                for _ in turns {
                    executions.extend(answered.recv().await.context("a scheduler is gone")?);
                }
                count(&mut store, executions.len() * (stages + 1)).await?;
                say(&json!({ "executions": executions }))?;
            }
        }
    }
    Ok(())
}

/// Whether the journal has so many rows.
async fn count(store: &mut PgConnection, expected: usize) -> Result<()> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM journal").fetch_one(store).await?;
    ensure!(count == i64::try_from(expected)?, "the journal has {count} rows of {expected}");
    Ok(())
}

/// What is told on the standard input.
fn orders() -> mpsc::Receiver<Result<Order>> {
    let (sender, orders) = mpsc::channel(1);
    std::thread::spawn(move || {
        let order = |line: std::io::Result<String>| Ok(serde_json::from_str(&line?)?);
        let lines = std::io::stdin().lock().lines();
        lines.map(order).map(|order| sender.blocking_send(order)).all(|sent| sent.is_ok())
    });
    orders
}

fn say(what: &serde_json::Value) -> Result<()> {
    let mut to = std::io::stdout().lock();
    writeln!(to, "{what}")?;
    Ok(to.flush()?)
}
