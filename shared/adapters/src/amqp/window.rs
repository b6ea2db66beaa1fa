//! A channel on which messages are published in windows: all of one are sent before the first
//! confirmation is waited for, and the next one begins when this one is confirmed.
//!
//! Windows do not overlap, because RabbitMQ's word that a message had no queue comes before its
//! confirmation, and the client library may hand it out with another one: only when all of a window
//! are confirmed is it known of each what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, try_join_all};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Confirmation, Connection};
use shared_ports::PortError;
use shared_ports::broker::{Outgoing, Queue};
use tokio::time::timeout;

use super::fault::{Alarm, OutOfTime, refused, unavailable};
use super::message;
use super::topology::Topology;

/// What became of a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// RabbitMQ has it.
    Confirmed,
    /// There is no such queue any more.
    Returned,
    /// RabbitMQ did not take it.
    NotTaken,
    /// Its queue cannot be had.
    Failed(PortError),
}

type Confirmed = BoxFuture<'static, lapin::Result<Vec<Confirmation>>>;

/// The channel.
pub(super) struct Lane {
    connection: Arc<Connection>,
    channel: Channel,
    topology: Arc<Topology>,
    confirm_max: Duration,
    /// Queues that are there, by what is known.
    declared: BTreeMap<Queue, ShortString>,
    /// A window that an alarm holds up: nothing else is sent before it is through.
    under_way: Option<Confirmed>,
}

impl Lane {
    pub(super) async fn open(
        connection: Arc<Connection>,
        topology: Arc<Topology>,
        confirm_max: Duration,
    ) -> Result<Self, PortError> {
        let opened = async {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        let doing = "opening a channel to publish on";
        let opened = timeout(confirm_max, opened).await;
        let opened = opened.map_err(|_| unavailable(doing, OutOfTime(confirm_max)))?;
        let channel = opened.map_err(|error: lapin::Error| refused(doing, &error))?;
        let (declared, under_way) = (BTreeMap::new(), None);
        Ok(Self { connection, channel, topology, confirm_max, declared, under_way })
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Whether it may be used after an error: an alarm passes.
    pub(super) fn is_usable(&self) -> bool {
        let status = self.connection.status();
        status.connected() && self.channel.status().connected() && status.blocked()
    }

    /// Sends messages and waits for what became of each.
    ///
    /// # Errors
    /// It is not known of any of them.
    pub(super) async fn send(
        &mut self,
        messages: Vec<Outgoing>,
    ) -> Result<Vec<Verdict>, PortError> {
        // What became of a window that an alarm held up was told long ago: that it is not known.
        while self.under_way.is_some() {
            self.confirmed().await?;
        }
        let mut verdicts = self.declare(&messages).await?;
        let sent: Vec<(ShortString, Outgoing)> = messages
            .into_iter()
            .filter_map(|message| Some((self.declared.get(&message.queue)?.clone(), message)))
            .collect();
        let names: Vec<(ShortString, ShortString)> = sent
            .iter()
            .map(|(queue, message)| (queue.clone(), message::name(&message.id)))
            .collect();
        self.under_way = Some(Box::pin(publish(self.channel.clone(), sent)));
        let mut found = judge(self.confirmed().await?, &names).into_iter();
        for verdict in &mut verdicts {
            if matches!(verdict, Verdict::Confirmed) {
                *verdict = found.next().unwrap_or(Verdict::Returned);
            }
        }
        Ok(verdicts)
    }

    /// Makes the queues of messages. Those whose queue cannot be had are judged; the others count
    /// as confirmed so far.
    async fn declare(&mut self, messages: &[Outgoing]) -> Result<Vec<Verdict>, PortError> {
        let mut verdicts = Vec::new();
        for message in messages {
            verdicts.push(match self.declare_one(&message.queue).await {
                Ok(()) => Verdict::Confirmed,
                Err(error @ PortError::Refused { .. }) => Verdict::Failed(error),
                Err(error @ (PortError::Unavailable { .. } | PortError::Full { .. })) => {
                    return Err(error);
                }
            });
        }
        Ok(verdicts)
    }

    async fn declare_one(&mut self, queue: &Queue) -> Result<(), PortError> {
        if self.declared.contains_key(queue) {
            return Ok(());
        }
        let line = self.topology.line(queue)?;
        let made = timeout(self.confirm_max, line.declare(&self.connection)).await;
        let doing = || format!("declaring queue `{}`", line.name());
        made.unwrap_or_else(|_| Err(unavailable(doing(), OutOfTime(self.confirm_max))))?;
        self.declared.insert(queue.clone(), line.name().into());
        Ok(())
    }

    /// That a queue is not there any more.
    pub(super) fn forget(&mut self, queue: &Queue) {
        self.declared.remove(queue);
    }

    /// Waits for the window that is under way.
    async fn confirmed(&mut self) -> Result<Vec<Confirmation>, PortError> {
        let doing = "publishing messages";
        let Some(under_way) = &mut self.under_way else { return Ok(Vec::new()) };
        match timeout(self.confirm_max, under_way).await {
            Ok(confirmed) => {
                self.under_way = None;
                confirmed.map_err(|error| refused(doing, &error))
            }
            Err(_) if self.connection.status().blocked() => Err(unavailable(doing, Alarm)),
            Err(_) => Err(unavailable(doing, OutOfTime(self.confirm_max))),
        }
    }
}

/// Hands all of them over at once: one that waits until the one before it is written costs a change of
/// threads and a packet of its own.
async fn publish(
    channel: Channel,
    messages: Vec<(ShortString, Outgoing)>,
) -> lapin::Result<Vec<Confirmation>> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent = messages.iter().map(|(queue, message)| {
        let properties = message::properties(message);
        channel.basic_publish("".into(), queue.clone(), options, &message.body, properties)
    });
    let confirmations = try_join_all(sent).await?;
    try_join_all(confirmations).await
}

/// What became of each message of a window, by its queue and name. A returned one may be told with
/// the confirmation of another.
fn judge(confirmations: Vec<Confirmation>, names: &[(ShortString, ShortString)]) -> Vec<Verdict> {
    let mut taken = Vec::new();
    let mut returned = BTreeSet::new();
    for confirmation in confirmations {
        taken.push(confirmation.is_ack());
        if let Some(message) = confirmation.take_message() {
            let name = message.properties.message_id().clone().unwrap_or_default();
            returned.insert((message.routing_key.clone(), name));
        }
    }
    let verdict = |(name, taken): (&(ShortString, ShortString), bool)| match taken {
        _ if returned.contains(name) => Verdict::Returned,
        true => Verdict::Confirmed,
        false => Verdict::NotTaken,
    };
    names.iter().zip(taken).map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_its_own_verdict() {
        let names = ["a", "b", "c"].map(|name| ("q".into(), name.into()));
        let confirmations =
            vec![Confirmation::Ack(None), Confirmation::Nack(None), Confirmation::Ack(None)];
        let verdicts = judge(confirmations, &names);
        assert!(
            matches!(verdicts[..], [Verdict::Confirmed, Verdict::NotTaken, Verdict::Confirmed]),
            "{verdicts:?}"
        );
    }
}
