//! Who is beside us.

use super::floor::Shape;
use super::trial::Trial;
use crate::workload::graph::Graph;

/// A peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Peer {
    /// Celery, on RabbitMQ and Redis.
    Celery,
    /// BullMQ, on Redis.
    Bullmq,
    /// Restate; stages are steps within a service.
    Restate,
    /// Restate; each stage is a call of a service.
    RestateCalls,
    /// Temporal, its dev server on SQLite.
    Temporal,
    /// The least that any engine on RabbitMQ and PostgreSQL has to do.
    Floor,
}

impl Peer {
    /// As arguments and figures call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Celery => "celery",
            Self::Bullmq => "bullmq",
            Self::Restate => "restate",
            Self::RestateCalls => "restate-calls",
            Self::Temporal => "temporal",
            Self::Floor => "floor",
        }
    }

    /// How durable it is, and what it works with.
    pub(super) fn settings(self) -> &'static str {
        match self {
            Self::Celery => {
                "classic durable queue, persistent messages, publisher confirms, late acknowledgements; \
                 results in Redis, AOF synced each second; prefork, a process for each core"
            }
            Self::Bullmq => {
                "Redis, AOF synced each second, nothing waits for it; one worker of concurrency 64"
            }
            Self::Restate => "one node, its log synced; a step is `ctx.run` in one service process",
            Self::RestateCalls => {
                "one node, its log synced; each stage is a call of a service, all in one process"
            }
            Self::Temporal => "dev server, SQLite in a file, one worker; each stage is an activity",
            Self::Floor => {
                "quorum queues, persistent messages, publisher confirms, manual acknowledgements; one \
                 commit in a PostgreSQL that syncs for each batch of ends"
            }
        }
    }

    /// Executions at once: as many as it takes until more of them add nothing, or one.
    pub(super) fn at_once(self, trial: Trial) -> usize {
        match (trial, self) {
            (Trial::Chain10Alone | Trial::Noop1 | Trial::Fan100, _) => 1,
            (Trial::Chain10, Self::Celery | Self::Temporal) => 32,
            (Trial::Chain10, Self::Bullmq) => 64,
            (Trial::Chain10, Self::Restate | Self::RestateCalls) => 128,
            (Trial::Chain10, Self::Floor) => 1_000,
        }
    }

    /// The stages of one execution. A fan of the others has no stage before its branches: not each of them
    /// can express that.
    pub(super) fn stages(self, trial: Trial) -> usize {
        let stages = trial.graph().len();
        match (trial.graph(), self) {
            (Graph::Fan { .. }, Self::Floor) => stages,
            (Graph::Fan { .. }, _) => stages - 1,
            (Graph::Chain { .. } | Graph::Layers { .. } | Graph::Diamonds { .. }, _) => stages,
        }
    }
}

/// What whoever submits is told of an execution.
pub(super) fn shape(trial: Trial) -> Shape {
    match trial {
        Trial::Chain10 | Trial::Chain10Alone => Shape::Chain(10),
        Trial::Noop1 => Shape::Chain(1),
        Trial::Fan100 => Shape::Fan(100),
    }
}
