//! Receives from one queue, on a channel of its own.
//!
//! What is dealt with is written down, and a task tells RabbitMQ of all of it at once: several
//! acknowledgements in a row are one word. Whoever acknowledges does not wait for that; RabbitMQ
//! never answers it anyway, and what it did not hear of comes again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use shared_ports::PortError;
use shared_ports::broker::{Consumer, Delivery};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::fault::{refused, text, unavailable};
use super::message;
use crate::memory::lock;

/// How long a channel may take to end in good order; without it RabbitMQ notices by itself.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Receives from one queue.
pub(super) struct AmqpConsumer {
    queue: String,
    channel: Channel,
    arriving: lapin::Consumer,
    receives: bool,
    deliveries: Arc<Deliveries>,
}

/// The deliveries of one consumer that are not dealt with, and what RabbitMQ is to hear.
#[derive(Default)]
pub(super) struct Deliveries {
    state: Mutex<State>,
    changed: Notify,
    /// Told when nothing arrives any more that should.
    deaf: Notify,
}

#[derive(Default)]
struct State {
    unsettled: BTreeSet<u64>,
    acknowledged: Vec<u64>,
    refused: Vec<Refused>,
    /// Whether somebody waits for the next one.
    is_asked: bool,
    /// How many arrived, watchdogs among them.
    arrived: u64,
    /// Whether the connection is gone, and with it all that was delivered on it.
    is_lost: bool,
    /// Whether nobody receives any more.
    is_left: bool,
}

#[derive(Clone, Copy)]
struct Refused {
    tag: u64,
    comes_again: bool,
}

/// What RabbitMQ is to hear, in this order.
#[derive(Default)]
struct Words {
    refused: Vec<Refused>,
    /// Everything up to here.
    acknowledged_to: Option<u64>,
    acknowledged: Vec<u64>,
}

/// The connection is gone.
#[derive(Debug, thiserror::Error)]
#[error("the connection to RabbitMQ on which it was delivered is gone")]
struct Lost;

/// A consumer, what it shares with its watchdog, and the task that tells RabbitMQ what is dealt
/// with; it ends after the consumer.
pub(super) async fn open(
    connection: &Arc<Connection>,
    queue: &str,
    prefetch: u16,
) -> Result<
    (AmqpConsumer, Arc<Deliveries>, impl Future<Output = anyhow::Result<()>> + use<>),
    PortError,
> {
    let opened = async {
        let channel = connection.create_channel().await?;
        // Zero would be: without a limit.
        channel.basic_qos(prefetch.max(1), BasicQosOptions::default()).await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let arriving = channel.basic_consume(queue.into(), "".into(), options, none).await?;
        Ok((channel, arriving))
    };
    let doing = || format!("receiving from queue `{queue}`");
    let (channel, arriving) =
        opened.await.map_err(|error: lapin::Error| refused(doing(), &error))?;
    let deliveries = Arc::new(Deliveries::default());
    let settling = settle(channel.clone(), Arc::clone(&deliveries));
    let (queue, shared) = (queue.to_owned(), Arc::clone(&deliveries));
    Ok((AmqpConsumer { queue, channel, arriving, receives: true, deliveries }, shared, settling))
}

impl AmqpConsumer {
    fn end(&mut self, error: Option<lapin::Error>) {
        let why = error.map(|error| text(&error));
        let (queue, why) = (&self.queue, why.as_deref().unwrap_or("the queue is gone"));
        tracing::warn!(queue, why, "receiving from a queue has ended");
        self.deliveries.lose();
        // Asked once more after its end, a stream of lapin's may never answer.
        self.receives = false;
    }
}

#[async_trait]
impl Consumer for AmqpConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        while self.receives {
            let deliveries = Arc::clone(&self.deliveries);
            let _asking = deliveries.asks();
            // Nothing is awaited between taking a delivery and handing it over.
            let arrived = tokio::select! {
                arrived = self.arriving.next() => arrived,
                () = deliveries.deaf.notified() => None,
            };
            match arrived {
                Some(Ok(arrived)) if message::is_watchdog(&arrived) => {
                    deliveries.heard_watchdog(arrived.delivery_tag);
                }
                Some(Ok(arrived)) => {
                    deliveries.heard(arrived.delivery_tag);
                    return Some(message::delivery(arrived));
                }
                ended => self.end(ended.and_then(Result::err)),
            }
        }
        None
    }

    async fn stop_receiving(&mut self) -> Result<(), PortError> {
        self.receives = false;
        let tag = self.arriving.tag();
        let doing = || format!("ending to receive from queue `{}`", self.queue);
        let ended =
            timeout(CLOSE_MAX, self.channel.basic_cancel(tag, BasicCancelOptions::default()));
        ended
            .await
            .map_err(|late| unavailable(doing(), late))?
            .map_err(|e| refused(doing(), &e))?;
        // What RabbitMQ sent before it answered is here by now.
        while let Some(Some(Ok(arrived))) = self.arriving.next().now_or_never() {
            let again = Refused { tag: arrived.delivery_tag, comes_again: true };
            lock(&self.deliveries.state).refused.push(again);
        }
        self.deliveries.changed.notify_one();
        Ok(())
    }

    async fn ack(&self, tag: u64) -> Result<(), PortError> {
        self.deliveries.settle(tag, "acknowledging", |state| state.acknowledged.push(tag))
    }

    async fn nack(&self, tag: u64) -> Result<(), PortError> {
        let again = Refused { tag, comes_again: true };
        self.deliveries.settle(tag, "giving back", |state| state.refused.push(again))
    }

    async fn reject(&self, tag: u64) -> Result<(), PortError> {
        let aside = Refused { tag, comes_again: false };
        self.deliveries.settle(tag, "setting aside", |state| state.refused.push(aside))
    }
}

impl Drop for AmqpConsumer {
    fn drop(&mut self) {
        lock(&self.deliveries.state).is_left = true;
        self.deliveries.changed.notify_one();
    }
}

impl Deliveries {
    fn settle(
        &self,
        tag: u64,
        doing: &str,
        note: impl FnOnce(&mut State),
    ) -> Result<(), PortError> {
        let doing = || format!("{doing} delivery {tag}");
        let mut state = lock(&self.state);
        if !state.unsettled.remove(&tag) {
            let why = "this consumer has no such delivery that is not dealt with yet".to_owned();
            return Err(PortError::Refused { doing: doing(), why });
        }
        if state.is_lost {
            return Err(unavailable(doing(), Lost));
        }
        note(&mut state);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    fn lose(&self) {
        lock(&self.state).is_lost = true;
        self.changed.notify_one();
    }

    fn heard(&self, tag: u64) {
        let mut state = lock(&self.state);
        state.arrived += 1;
        state.unsettled.insert(tag);
    }

    /// It has done what it was sent for.
    fn heard_watchdog(&self, tag: u64) {
        let mut state = lock(&self.state);
        state.arrived += 1;
        state.acknowledged.push(tag);
        drop(state);
        self.changed.notify_one();
    }

    fn asks(&self) -> Asking<'_> {
        lock(&self.state).is_asked = true;
        Asking(self)
    }

    /// How it stands with a consumer that may have so many deliveries unsettled.
    pub(super) fn standing(&self, prefetch: u16) -> Standing {
        let state = lock(&self.state);
        match () {
            () if state.is_lost || state.is_left => Standing::Over,
            () if state.is_asked && state.unsettled.len() < usize::from(prefetch.max(1)) => {
                Standing::Waiting { arrived: state.arrived }
            }
            () => Standing::Busy,
        }
    }

    /// Ends a consumer to which nothing comes any more.
    pub(super) fn is_deaf(&self) {
        self.lose();
        self.deaf.notify_one();
    }
}

/// How it stands with a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It waits for the next delivery, so many having arrived.
    Waiting {
        /// Since its beginning.
        arrived: u64,
    },
    /// It has as many as it may have, or nobody asks it.
    Busy,
    /// It is gone.
    Over,
}

/// Somebody waits for the next delivery, while this lives.
struct Asking<'a>(&'a Deliveries);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).is_asked = false;
    }
}

impl State {
    /// What is to be told now.
    fn take(&mut self) -> Words {
        let lowest = self.unsettled.first().copied().unwrap_or(u64::MAX);
        let all = std::mem::take(&mut self.acknowledged);
        let (below, acknowledged): (Vec<u64>, Vec<u64>) =
            all.into_iter().partition(|tag| *tag < lowest);
        // What is refused goes first, so that it does not count among all up to that tag.
        let refused = std::mem::take(&mut self.refused);
        Words { refused, acknowledged_to: below.into_iter().max(), acknowledged }
    }
}

impl Words {
    fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.acknowledged_to.is_none() && self.acknowledged.is_empty()
    }

    async fn tell(self, channel: &Channel) -> lapin::Result<()> {
        for Refused { tag, comes_again } in self.refused {
            if comes_again {
                let again = BasicNackOptions { multiple: false, requeue: true };
                channel.basic_nack(tag, again).await?;
            } else {
                channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await?;
            }
        }
        if let Some(tag) = self.acknowledged_to {
            channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
        }
        for tag in self.acknowledged {
            channel.basic_ack(tag, BasicAckOptions { multiple: false }).await?;
        }
        Ok(())
    }
}

/// Tells RabbitMQ what is dealt with until the consumer is gone or deaf, then closes the channel:
/// what is not dealt with goes to others.
async fn settle(channel: Channel, deliveries: Arc<Deliveries>) -> anyhow::Result<()> {
    loop {
        let (words, is_over) = {
            let mut state = lock(&deliveries.state);
            if state.is_lost {
                break;
            }
            (state.take(), state.is_left)
        };
        match words.is_empty() {
            false => {
                if let Err(error) = words.tell(&channel).await {
                    tracing::debug!(%error, "acknowledgements were lost; messages come again");
                    deliveries.lose();
                }
            }
            true if is_over => break,
            true => deliveries.changed.notified().await,
        }
    }
    if timeout(CLOSE_MAX, channel.close(200, "nobody receives".into())).await.is_err() {
        tracing::debug!("a channel did not end in good order");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_in_a_row_are_one_word() {
        let deliveries = Deliveries::default();
        lock(&deliveries.state).unsettled.extend(1..=6);
        for tag in [2, 1, 5] {
            deliveries.settle(tag, "", |state| state.acknowledged.push(tag)).unwrap();
        }
        let words = lock(&deliveries.state).take();
        assert_eq!((words.acknowledged_to, words.acknowledged), (Some(2), vec![5]));
        for tag in [3, 4, 6] {
            deliveries.settle(tag, "", |state| state.acknowledged.push(tag)).unwrap();
        }
        let words = lock(&deliveries.state).take();
        assert_eq!((words.acknowledged_to, words.acknowledged), (Some(6), vec![]));
        assert!(deliveries.settle(3, "", |_| {}).is_err(), "dealt with already");
    }
}
