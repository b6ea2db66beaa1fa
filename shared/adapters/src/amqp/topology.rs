//! The queues, with every argument named: brokers differ in their defaults.

use std::sync::Arc;

use lapin::options::QueueDeclareOptions;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, ErrorKind};
use shared_ports::PortError;
use shared_ports::broker::Queue;

use super::fault::refused;
use super::settings::{self, Amqp};

/// AMQP has no longer names.
const NAME_BYTES_MAX: usize = 255;
/// Members of a queue in a cluster: one may be lost.
const MEMBERS: i32 = 3;
/// Messages that are set aside; beyond them the oldest goes.
const DEAD_LEN_MAX: i32 = 100_000;
/// How long what was set aside is kept for somebody to look at.
const DEAD_KEPT_MILLISECONDS: i32 = 14 * 24 * 3600 * 1000;

/// Names and arguments.
#[derive(Debug)]
pub(super) struct Topology {
    settings: Amqp,
}

/// One queue, and the one that takes what is set aside from it.
#[derive(Debug)]
pub(super) struct Line {
    name: ShortString,
    arguments: FieldTable,
    dead_name: ShortString,
    dead_arguments: FieldTable,
}

impl Topology {
    pub(super) fn new(settings: &Amqp) -> Self {
        Self { settings: settings.clone() }
    }

    pub(super) fn settings(&self) -> &Amqp {
        &self.settings
    }

    /// Where messages of all kinds of queues are set aside.
    pub(super) fn dead_names(&self) -> Vec<String> {
        let dead = |kind| format!("{}.dead.{kind}", self.settings.prefix);
        ["ready", "reports", "control"].map(dead).to_vec()
    }

    /// # Errors
    /// The name is too long.
    pub(super) fn line(&self, queue: &Queue) -> Result<Line, PortError> {
        let (kind, which) = match queue {
            Queue::Ready(capability) => ("ready", capability.to_string()),
            Queue::Reports(shard) => ("reports", shard.to_string()),
            Queue::Control(worker) => ("control", worker.to_string()),
        };
        let prefix = &self.settings.prefix;
        let dead_name = short(format!("{prefix}.dead.{kind}"))?;
        Ok(Line {
            name: short(format!("{prefix}.{kind}.{which}"))?,
            arguments: self.arguments(queue, &dead_name),
            dead_name,
            dead_arguments: dead_arguments(),
        })
    }

    fn arguments(&self, queue: &Queue, dead: &ShortString) -> FieldTable {
        let Amqp { queue_len_max, queue_bytes_max, deliveries_max, control_kept, .. } =
            &self.settings;
        let mut table = quorum(*queue_len_max, *deliveries_max, "reject-publish");
        insert(&mut table, "x-max-length-bytes", number(*queue_bytes_max));
        // At least once: a message leaves its queue once the other one has it.
        insert(&mut table, "x-dead-letter-strategy", text("at-least-once"));
        insert(&mut table, "x-dead-letter-exchange", text(""));
        insert(&mut table, "x-dead-letter-routing-key", text(dead.as_str()));
        let one_receives = matches!(queue, Queue::Reports(_));
        insert(&mut table, "x-single-active-consumer", AMQPValue::Boolean(one_receives));
        if matches!(queue, Queue::Control(_)) {
            let kept = settings::duration(*control_kept).as_millis();
            let kept = u32::try_from(kept).unwrap_or(u32::MAX).max(1);
            insert(&mut table, "x-expires", number(kept));
        }
        table
    }
}

impl Line {
    pub(super) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Makes the queue unless it is there, with these arguments.
    ///
    /// # Errors
    /// It is there with others, or we may not.
    pub(super) async fn declare(&self, connection: &Arc<Connection>) -> Result<(), PortError> {
        for (name, arguments) in
            [(&self.dead_name, &self.dead_arguments), (&self.name, &self.arguments)]
        {
            let made = declare(connection, name, arguments).await;
            made.map_err(|error| refused(format!("declaring queue `{name}`"), &error))?;
        }
        Ok(())
    }
}

/// On a channel of its own: the server closes it when it refuses.
async fn declare(
    connection: &Connection,
    name: &ShortString,
    arguments: &FieldTable,
) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), options, arguments.clone()).await?;
    channel.close(200, "declared".into()).await
}

/// How many messages wait in a queue; none if there is no such queue.
pub(super) async fn depth(connection: &Connection, name: &str) -> lapin::Result<u64> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(name.into(), options, FieldTable::default()).await;
    match found {
        Ok(queue) => {
            channel.close(200, "asked".into()).await?;
            Ok(queue.message_count().into())
        }
        Err(error) if is_not_there(&error) => Ok(0),
        Err(error) => Err(error),
    }
}

fn is_not_there(error: &lapin::Error) -> bool {
    let not_found = AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND);
    matches!(error.kind(), ErrorKind::ProtocolError(error) if *error.kind() == not_found)
}

fn dead_arguments() -> FieldTable {
    let mut table = quorum(DEAD_LEN_MAX.unsigned_abs(), i32::MAX.unsigned_abs(), "drop-head");
    insert(&mut table, "x-message-ttl", AMQPValue::LongInt(DEAD_KEPT_MILLISECONDS));
    table
}

fn quorum(len_max: u32, deliveries_max: u32, overflow: &str) -> FieldTable {
    let mut table = FieldTable::default();
    insert(&mut table, "x-queue-type", text("quorum"));
    insert(&mut table, "x-quorum-initial-group-size", AMQPValue::LongInt(MEMBERS));
    insert(&mut table, "x-queue-leader-locator", text("balanced"));
    insert(&mut table, "x-max-length", number(len_max));
    insert(&mut table, "x-overflow", text(overflow));
    insert(&mut table, "x-delivery-limit", number(deliveries_max));
    table
}

fn insert(table: &mut FieldTable, name: &str, value: AMQPValue) {
    table.insert(name.into(), value);
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// The server compares what is asked for with what is there by type and value.
fn number(number: u32) -> AMQPValue {
    AMQPValue::LongLongInt(number.into())
}

fn short(name: String) -> Result<ShortString, PortError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(PortError::Refused {
            doing: format!("naming queue `{name}`"),
            why: format!("it is longer than {NAME_BYTES_MAX} bytes; use a shorter name"),
        });
    }
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use shared_model::{Capability, WorkerId};

    use super::*;

    fn line(queue: &Queue) -> Line {
        Topology::new(&Amqp::at("amqp://a")).line(queue).unwrap()
    }

    fn has(line: &Line, argument: &str) -> bool {
        line.arguments.contains_key(argument)
    }

    #[test]
    fn each_kind_has_its_arguments() {
        let reports = line(&Queue::Reports(3));
        let control = line(&Queue::Control(WorkerId::new("w")));
        assert_eq!((reports.name(), control.name()), ("capstan.reports.3", "capstan.control.w"));
        assert!(!has(&reports, "x-expires") && has(&control, "x-expires"));
        for line in [reports, control] {
            for argument in ["x-delivery-limit", "x-overflow", "x-dead-letter-strategy"] {
                assert!(has(&line, argument), "{argument}");
            }
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let topology = Topology::new(&Amqp::at("amqp://a"));
        let long = Queue::Ready(Capability::new("x".repeat(300)));
        assert!(topology.line(&long).unwrap_err().to_string().contains("255 bytes"));
    }
}
