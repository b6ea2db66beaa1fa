use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use shared_ports::broker::Outgoing;
use tokio::sync::Notify;

use crate::memory::lock;

/// The messages of one queue that wait.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: Mutex<Waiting>,
    /// Whether one consumer at a time receives.
    one_receives: bool,
    set_aside: AtomicU64,
    /// Told about everything that may let a consumer go on.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    ids: BTreeSet<String>,
    /// Who receives, in the order in which they came.
    consumers: VecDeque<u64>,
    last_consumer: u64,
    closed: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: Bytes,
    pub(super) redelivered: bool,
}

impl Line {
    pub(super) fn new(one_receives: bool) -> Self {
        Self { one_receives, ..Self::default() }
    }

    /// Adds a consumer; [`Line::leave`] takes it away.
    pub(super) fn join(&self) -> u64 {
        let mut waiting = lock(&self.waiting);
        waiting.last_consumer += 1;
        let consumer = waiting.last_consumer;
        waiting.consumers.push_back(consumer);
        consumer
    }

    pub(super) fn leave(&self, consumer: u64) {
        lock(&self.waiting).consumers.retain(|other| *other != consumer);
        self.changed.notify_waiters();
    }

    /// Counts a message that nobody can deal with. It is not kept: the journal knows of it.
    pub(super) fn set_aside(&self) {
        self.set_aside.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    pub(super) fn set_aside_len(&self) -> u64 {
        self.set_aside.load(Ordering::Relaxed)
    }

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

    /// The next message, if it is the consumer's turn.
    pub(super) fn pop(&self, consumer: u64) -> Option<Message> {
        let mut waiting = lock(&self.waiting);
        if self.one_receives && waiting.consumers.front() != Some(&consumer) {
            return None;
        }
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
