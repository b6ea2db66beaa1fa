use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;
use shared_ports::broker::Outgoing;
use tokio::sync::Notify;

use crate::memory::lock;

/// The messages of one queue that wait.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: Mutex<Waiting>,
    /// Told about everything that may let a consumer go on.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    ids: BTreeSet<String>,
    closed: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: Bytes,
    pub(super) redelivered: bool,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        lock(&self.waiting).messages.len()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        lock(&self.waiting).ids.contains(id)
    }

    pub(super) fn push(&self, messages: Vec<Outgoing>) {
        let mut waiting = lock(&self.waiting);
        for Outgoing { queue: _, id, body } in messages {
            if waiting.ids.insert(id.clone()) {
                waiting.messages.push_back(Message { id, body, redelivered: false });
            }
        }
        drop(waiting);
        self.changed.notify_waiters();
    }

    pub(super) fn pop(&self) -> Option<Message> {
        let mut waiting = lock(&self.waiting);
        let message = waiting.messages.pop_front()?;
        waiting.ids.remove(&message.id);
        Some(message)
    }

    /// Takes a message back that a consumer refused: behind the others, so that one that nobody
    /// can deal with does not hold up the rest.
    pub(super) fn give_back(&self, message: Message) {
        let mut waiting = lock(&self.waiting);
        if waiting.ids.insert(message.id.clone()) {
            waiting.messages.push_back(Message { redelivered: true, ..message });
        }
        drop(waiting);
        self.changed.notify_waiters();
    }

    /// Takes back what a consumer had when it was dropped: before the others, in order.
    pub(super) fn inherit(&self, messages: impl DoubleEndedIterator<Item = Message>) {
        let mut waiting = lock(&self.waiting);
        for message in messages.rev() {
            if waiting.ids.insert(message.id.clone()) {
                waiting.messages.push_front(Message { redelivered: true, ..message });
            }
        }
        drop(waiting);
        self.changed.notify_waiters();
    }

    pub(super) fn close(&self) {
        lock(&self.waiting).closed = true;
        self.changed.notify_waiters();
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.waiting).closed
    }
}
