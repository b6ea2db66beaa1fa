//! Queues in memory. They die with the process; the scheduler refills them from the journal.

mod consumer;
mod line;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared_ports::PortError;
use shared_ports::broker::{Broker, Consumer, Outgoing, Queue};

use self::consumer::MemoryConsumer;
use self::line::Line;
use crate::memory::lock;

/// Queues in memory, first in, first out.
///
/// A message whose id still waits in its queue is not queued twice, so that sending again after
/// an error, or to be sure, does not make queues longer. When the broker is dropped, its
/// consumers end.
#[derive(Debug)]
pub struct MemoryBroker {
    queue_len_max: usize,
    lines: Mutex<BTreeMap<Queue, Arc<Line>>>,
    /// Held while messages are counted and queued, so that two who publish at once keep the limit.
    publishing: Mutex<()>,
}

/// A queue has no room for more messages.
#[derive(Debug, thiserror::Error)]
#[error(
    "{queue:?} has {waiting} messages waiting, {more} more would exceed its limit `queue_len_max` \
     of {queue_len_max}; its consumers are too slow or absent"
)]
struct QueueFull {
    queue: Queue,
    waiting: usize,
    more: usize,
    queue_len_max: usize,
}

impl MemoryBroker {
    /// Queues in which at most `queue_len_max` messages wait each.
    pub fn new(queue_len_max: usize) -> Self {
        Self { queue_len_max, lines: Mutex::default(), publishing: Mutex::default() }
    }

    fn line(&self, queue: &Queue) -> Arc<Line> {
        let mut lines = lock(&self.lines);
        if let Some(line) = lines.get(queue) {
            return Arc::clone(line);
        }
        let line = Arc::new(Line::new(matches!(queue, Queue::Reports(_))));
        lines.insert(queue.clone(), Arc::clone(&line));
        line
    }

    fn check_room(
        &self,
        queue: &Queue,
        line: &Line,
        messages: &[Outgoing],
    ) -> Result<(), QueueFull> {
        let waiting = line.len();
        let more = messages.iter().filter(|message| !line.has(&message.id)).count();
        if waiting + more <= self.queue_len_max {
            return Ok(());
        }
        let queue_len_max = self.queue_len_max;
        Err(QueueFull { queue: queue.clone(), waiting, more, queue_len_max })
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), PortError> {
        let mut by_queue = BTreeMap::<Queue, Vec<Outgoing>>::new();
        for message in messages {
            by_queue.entry(message.queue.clone()).or_default().push(message);
        }
        let _publishing = lock(&self.publishing);
        for (queue, messages) in &by_queue {
            self.check_room(queue, &self.line(queue), messages).map_err(|full| {
                let doing = format!("publishing {} messages", messages.len());
                PortError::Unavailable { doing, source: Box::new(full) }
            })?;
        }
        for (queue, messages) in by_queue {
            self.line(&queue).push(messages);
        }
        Ok(())
    }

    async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Box<dyn Consumer>, PortError> {
        Ok(Box::new(MemoryConsumer::new(self.line(queue), prefetch)))
    }

    async fn depth(&self, queue: &Queue) -> Result<u64, PortError> {
        let line = lock(&self.lines).get(queue).map(Arc::clone);
        Ok(line.map_or(0, |line| line.len() as u64))
    }

    async fn set_aside(&self) -> Result<u64, PortError> {
        Ok(lock(&self.lines).values().map(|line| line.set_aside_len()).sum())
    }
}

impl Drop for MemoryBroker {
    fn drop(&mut self) {
        for line in lock(&self.lines).values() {
            line.close();
        }
    }
}
