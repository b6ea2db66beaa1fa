use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared_ports::PortError;
use shared_ports::broker::{Consumer, Delivery};

use super::line::{Line, Message};
use crate::memory::lock;

/// Receives from one queue; what it has not acknowledged goes back when it is dropped.
#[derive(Debug)]
pub(super) struct MemoryConsumer {
    line: Arc<Line>,
    number: u64,
    prefetch: usize,
    receives: bool,
    delivered: Mutex<Delivered>,
}

#[derive(Debug, Default)]
struct Delivered {
    last_tag: u64,
    unacknowledged: BTreeMap<u64, Message>,
}

enum Next {
    Here(Delivery),
    Closed,
    Wait,
}

impl MemoryConsumer {
    pub(super) fn new(line: Arc<Line>, prefetch: u16) -> Self {
        let number = line.join();
        let prefetch = usize::from(prefetch);
        Self { line, number, prefetch, receives: true, delivered: Mutex::default() }
    }

    fn try_next(&self) -> Next {
        if !self.receives || self.line.is_closed() {
            return Next::Closed;
        }
        let mut delivered = lock(&self.delivered);
        if delivered.unacknowledged.len() >= self.prefetch {
            return Next::Wait;
        }
        let Some(message) = self.line.pop(self.number) else { return Next::Wait };
        delivered.last_tag += 1;
        let tag = delivered.last_tag;
        delivered.unacknowledged.insert(tag, message.clone());
        let Message { id, body, redelivered } = message;
        Next::Here(Delivery { tag, id, body, redelivered })
    }

    fn settle(&self, tag: u64, doing: &str) -> Result<Message, PortError> {
        lock(&self.delivered).unacknowledged.remove(&tag).ok_or_else(|| PortError::Refused {
            doing: format!("{doing} delivery {tag}"),
            why: "this consumer has no such delivery that is not dealt with yet".to_owned(),
        })
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            let mut changed = pin!(self.line.changed.notified());
            // Listens before it looks, so that nothing that comes in between is missed. Nothing is
            // awaited between taking a message and handing it over, so a cancel loses none.
            changed.as_mut().enable();
            match self.try_next() {
                Next::Here(delivery) => return Some(delivery),
                Next::Closed => return None,
                Next::Wait => changed.await,
            }
        }
    }

    async fn stop_receiving(&mut self) -> Result<(), PortError> {
        self.receives = false;
        self.line.leave(self.number);
        Ok(())
    }

    async fn ack(&self, tag: u64) -> Result<(), PortError> {
        self.settle(tag, "acknowledging")?;
        self.line.changed.notify_waiters();
        Ok(())
    }

    async fn nack(&self, tag: u64) -> Result<(), PortError> {
        let message = self.settle(tag, "giving back")?;
        self.line.give_back(message);
        Ok(())
    }

    async fn reject(&self, tag: u64) -> Result<(), PortError> {
        let Message { id, body: _, redelivered: _ } = self.settle(tag, "setting aside")?;
        tracing::warn!(id, "a message was set aside: nobody can deal with it");
        self.line.set_aside();
        Ok(())
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        let unacknowledged = std::mem::take(&mut lock(&self.delivered).unacknowledged);
        self.line.inherit(unacknowledged.into_values());
        self.line.leave(self.number);
    }
}
