//! Knows what follows, and writes down what happened before it goes on.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc;

use super::Turn;
use super::pump::Pump;
use super::shape::{Next, Shape, Stage};
use crate::stand::working::nanoseconds;

const STORE: &str = "INSERT INTO journal SELECT * FROM unnest($1::bigint[], $2::int[])";
/// The stage of the row that says that an execution began.
const BEGAN: i32 = -1;

/// An execution that has ended: its name, and when it began and ended by the machine's clock.
#[derive(Debug, Serialize)]
pub(super) struct Ended(String, u64, u64);

pub(super) struct Scheduler {
    pump: Pump,
    store: PgConnection,
    turns: mpsc::Receiver<Turn>,
    answers: mpsc::Sender<Vec<Ended>>,
    shape: Shape,
    next: u64,
    is_over: bool,
    running: BTreeMap<u64, Running>,
    ended: Vec<Ended>,
}

struct Running {
    began: u64,
    /// Branches that have not ended.
    left: u32,
}

/// What one batch comes to.
#[derive(Default)]
struct Batch {
    executions: Vec<i64>,
    stages: Vec<i32>,
    ended: Vec<u64>,
    next: Vec<Stage>,
}

impl Batch {
    fn write(&mut self, execution: u64, stage: i32) -> Result<()> {
        self.executions.push(i64::try_from(execution)?);
        self.stages.push(stage);
        Ok(())
    }
}

impl Scheduler {
    pub(super) fn new(
        pump: Pump,
        store: PgConnection,
        turns: mpsc::Receiver<Turn>,
        answers: mpsc::Sender<Vec<Ended>>,
    ) -> Self {
        let (running, ended) = (BTreeMap::new(), Vec::new());
        let shape = Shape::Chain(0);
        Self { pump, store, turns, answers, shape, next: 0, is_over: true, running, ended }
    }

    pub(super) async fn run(mut self) -> Result<()> {
        loop {
            tokio::select! {
                turn = self.turns.recv() => self.turn(turn.context("nobody conducts")?).await?,
                stages = self.pump.receive() => self.go_on(&stages?).await?,
            }
        }
    }

    async fn turn(&mut self, turn: Turn) -> Result<()> {
        match turn {
            Turn::Begin { shape, at_once, first } => {
                (self.shape, self.next, self.is_over) = (shape, first, false);
                let mut batch = Batch::default();
                for _ in 0..at_once {
                    self.begin(&mut batch)?;
                }
                self.carry_out(batch).await
            }
            Turn::End => {
                self.is_over = true;
                self.answer_if_over().await
            }
        }
    }

    async fn go_on(&mut self, stages: &[Stage]) -> Result<()> {
        let mut batch = Batch::default();
        for stage in stages {
            batch.write(stage.execution, i32::try_from(stage.number)?)?;
            self.advance(*stage, &mut batch)?;
        }
        self.carry_out(batch).await?;
        self.answer_if_over().await
    }

    fn advance(&mut self, stage: Stage, batch: &mut Batch) -> Result<()> {
        let (execution, shape) = (stage.execution, self.shape);
        let running = self.running.get_mut(&execution).context("a stage of nothing that runs")?;
        match shape.after(stage.number) {
            Next::Stages(from, to) => {
                batch.next.extend((from..to).map(|number| shape.stage(execution, number)));
            }
            Next::Join(join) => {
                running.left = running.left.checked_sub(1).context("a branch ended twice")?;
                batch.next.extend((running.left == 0).then(|| shape.stage(execution, join)));
            }
            Next::End => {
                batch.ended.push(execution);
                if !self.is_over {
                    self.begin(batch)?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, batch: &mut Batch) -> Result<()> {
        let (execution, left) = (self.next, self.shape.branches());
        self.next += 1;
        self.running.insert(execution, Running { began: nanoseconds(), left });
        batch.write(execution, BEGAN)?;
        batch.next.push(self.shape.stage(execution, 0));
        Ok(())
    }

    /// One commit, and then the messages.
    async fn carry_out(&mut self, batch: Batch) -> Result<()> {
        let Batch { executions, stages, ended, next } = batch;
        let stored = sqlx::query(STORE).bind(executions).bind(stages);
        stored.execute(&mut self.store).await?;
        for execution in ended {
            let running = self.running.remove(&execution).context("it ended twice")?;
            self.ended.push(Ended(execution.to_string(), running.began, nanoseconds()));
        }
        self.pump.send(&next).await
    }

    async fn answer_if_over(&mut self) -> Result<()> {
        if self.is_over && self.running.is_empty() {
            // Not again for what arrives late.
            self.is_over = false;
            self.answers.send(std::mem::take(&mut self.ended)).await?;
        }
        Ok(())
    }
}
