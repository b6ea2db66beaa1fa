//! Guards that can be switched off, around the ports of our own roles: the program that ships has no such
//! switch.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use shared_model::ExecutionId;
use shared_ports::journal::{
    Append, Appended, Head, HistoryEntry, Journal, Kind, Line, Outlived, Query, Size, StageBody,
    Stored, TAKES_ROOM, Version,
};
use shared_ports::{Broker, Consumer, Delivery, Outgoing, PortError, Ports, Queue, WorkerPorts};

use crate::sim::Forger;

/// A guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Guard {
    /// Reports of an older epoch change nothing.
    Epoch,
    /// Only who knows the newest version may store the next one.
    Version,
    /// Executions of a pipeline are counted before another one begins.
    Room,
    /// The key of an effect is the same for each attempt at it.
    EffectKey,
    /// Work that cannot be recognised begins once its claim is in the journal.
    Grant,
}

/// A worker's ports without a guard.
pub(super) fn of_worker(ports: WorkerPorts, without: Option<Guard>) -> WorkerPorts {
    WorkerPorts { broker: broker(ports.broker, without), ..ports }
}

/// A scheduler's ports without a guard.
pub(super) fn of_scheduler(ports: Ports, without: Option<Guard>) -> Ports {
    let journal: Arc<dyn Journal> = match without {
        Some(guard @ (Guard::Version | Guard::Room)) => {
            Arc::new(Open { inner: ports.journal, guard })
        }
        Some(Guard::Epoch | Guard::EffectKey | Guard::Grant) | None => ports.journal,
    };
    Ports { broker: broker(ports.broker, without), journal, ..ports }
}

fn broker(inner: Arc<dyn Broker>, without: Option<Guard>) -> Arc<dyn Broker> {
    match without {
        Some(guard @ (Guard::Epoch | Guard::Grant)) => {
            Arc::new(Forging { inner, guard, forger: Arc::default() })
        }
        Some(Guard::Version | Guard::Room | Guard::EffectKey) | None => inner,
    }
}

/// Makes messages what they would be without a guard.
struct Forging {
    inner: Arc<dyn Broker>,
    guard: Guard,
    forger: Arc<Forger>,
}

#[async_trait]
impl Broker for Forging {
    async fn publish(&self, mut messages: Vec<Outgoing>) -> Result<(), PortError> {
        for message in &mut messages {
            match self.guard {
                Guard::Grant => crate::sim::let_begin(&mut message.body),
                Guard::Epoch | Guard::Version | Guard::Room | Guard::EffectKey => {
                    self.forger.forge(&mut message.body);
                }
            }
        }
        self.inner.publish(messages).await
    }

    async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Box<dyn Consumer>, PortError> {
        let (inner, forger) =
            (self.inner.consume(queue, prefetch).await?, Arc::clone(&self.forger));
        let forges = self.guard == Guard::Epoch;
        Ok(Box::new(ForgingConsumer { inner, forger, forges }))
    }

    async fn depth(&self, queue: &Queue) -> Result<u64, PortError> {
        self.inner.depth(queue).await
    }

    async fn set_aside(&self) -> Result<u64, PortError> {
        self.inner.set_aside().await
    }
}

struct ForgingConsumer {
    inner: Box<dyn Consumer>,
    forger: Arc<Forger>,
    forges: bool,
}

#[async_trait]
impl Consumer for ForgingConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let mut delivery = self.inner.next().await?;
        if self.forges {
            self.forger.forge(&mut delivery.body);
        }
        Some(delivery)
    }

    async fn stop_receiving(&mut self) -> Result<(), PortError> {
        self.inner.stop_receiving().await
    }

    async fn ack(&self, tag: u64) -> Result<(), PortError> {
        self.inner.ack(tag).await
    }

    async fn nack(&self, tag: u64) -> Result<(), PortError> {
        self.inner.nack(tag).await
    }

    async fn reject(&self, tag: u64) -> Result<(), PortError> {
        self.inner.reject(tag).await
    }
}

/// A journal that takes what it should refuse.
struct Open {
    inner: Arc<dyn Journal>,
    guard: Guard,
}

#[async_trait]
impl Journal for Open {
    async fn append(&self, mut batch: Vec<Append>) -> Result<Vec<Appended>, PortError> {
        for append in &mut batch {
            if self.guard == Guard::Room {
                append.running_max = None;
            } else if append.expected > 0
                && let Some(stored) = self.inner.load(&append.execution).await?
            {
                append.expected = stored.version;
            }
        }
        self.inner.append(batch).await
    }

    async fn load(&self, execution: &ExecutionId) -> Result<Option<Stored>, PortError> {
        self.inner.load(execution).await
    }

    async fn bodies(
        &self,
        execution: &ExecutionId,
        indexes: &[u32],
    ) -> Result<Vec<StageBody>, PortError> {
        self.inner.bodies(execution, indexes).await
    }

    async fn unfinished(
        &self,
        after: Option<&ExecutionId>,
        limit: u32,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        self.inner.unfinished(after, limit).await
    }

    async fn search(&self, query: &Query) -> Result<Vec<(ExecutionId, Head)>, PortError> {
        if self.guard == Guard::Room && query.statuses == TAKES_ROOM {
            return Ok(Vec::new());
        }
        self.inner.search(query).await
    }

    async fn history(
        &self,
        execution: &ExecutionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, HistoryEntry)>, PortError> {
        self.inner.history(execution, after, limit).await
    }

    async fn remove(
        &self,
        executions: &[(ExecutionId, Version)],
        at: Timestamp,
    ) -> Result<Vec<bool>, PortError> {
        self.inner.remove(executions, at).await
    }

    async fn removed(&self, until: Timestamp, limit: u32) -> Result<Vec<ExecutionId>, PortError> {
        self.inner.removed(until, limit).await
    }

    async fn cleared(&self, executions: &[ExecutionId]) -> Result<(), PortError> {
        self.inner.cleared(executions).await
    }

    async fn next_line(&self, kind: Kind, after: Option<&Line>) -> Result<Option<Line>, PortError> {
        self.inner.next_line(kind, after).await
    }

    async fn outlived(
        &self,
        line: &Line,
        outlived: &Outlived,
    ) -> Result<Vec<(ExecutionId, Version)>, PortError> {
        self.inner.outlived(line, outlived).await
    }

    async fn size(&self) -> Result<Size, PortError> {
        self.inner.size().await
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.inner.ready().await
    }
}
