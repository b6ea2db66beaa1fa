//! Messages from one quorum queue, and what follows them to another.

use anyhow::{Context, Result, ensure};
use futures::future::{BoxFuture, try_join_all};
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, Consumer};

use super::shape::Stage;

/// Messages that are under way to it and not acknowledged.
const PREFETCH: u16 = 2_000;
/// Messages that are taken at once at most.
const BATCH_LEN_MAX: usize = 500;
const PERSISTENT: u8 = 2;

/// Receives, and sends. What was received is acknowledged once what was sent after it is confirmed.
pub(super) struct Pump {
    receiving: Channel,
    arriving: Consumer,
    sending: Channel,
    to: ShortString,
    /// The last delivery, until something is sent after it.
    received: Option<u64>,
    /// What is sent and not confirmed yet; each says up to where it may be acknowledged then.
    unconfirmed: FuturesOrdered<BoxFuture<'static, Result<Option<u64>>>>,
}

impl Pump {
    pub(super) async fn open(
        receiving: &Connection,
        sending: &Connection,
        from: &str,
        to: &str,
    ) -> Result<Self> {
        let (receiving, sending) =
            (receiving.create_channel().await?, sending.create_channel().await?);
        sending.confirm_select(ConfirmSelectOptions::default()).await?;
        for queue in [from, to] {
            let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            let mut arguments = FieldTable::default();
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            sending.queue_declare(queue.into(), options, arguments).await?;
        }
        receiving.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let arriving = receiving.basic_consume(from.into(), "".into(), options, none).await?;
        let unconfirmed = FuturesOrdered::new();
        Ok(Self { receiving, arriving, sending, to: to.into(), received: None, unconfirmed })
    }

    /// All that is at hand, at least one.
    pub(super) async fn receive(&mut self) -> Result<Vec<Stage>> {
        loop {
            tokio::select! {
                arrived = self.arriving.next() => return self.batch(arrived),
                Some(confirmed) = self.unconfirmed.next() => {
                    if let Some(received) = confirmed? {
                        let all = BasicAckOptions { multiple: true };
                        self.receiving.basic_ack(received, all).await?;
                    }
                }
            }
        }
    }

    fn batch(
        &mut self,
        first: Option<lapin::Result<lapin::message::Delivery>>,
    ) -> Result<Vec<Stage>> {
        let (mut stages, mut next) = (Vec::new(), Some(first));
        while let Some(arrived) = next {
            let delivery = arrived.context("nothing arrives any more")??;
            stages.push(Stage::of(&delivery.data)?);
            self.received = Some(delivery.delivery_tag);
            let is_full = stages.len() >= BATCH_LEN_MAX;
            next = if is_full { None } else { self.arriving.next().now_or_never() };
        }
        Ok(stages)
    }

    /// Sends, and lets what was received so far be acknowledged once RabbitMQ has it.
    pub(super) async fn send(&mut self, stages: &[Stage]) -> Result<()> {
        let mut sent = Vec::with_capacity(stages.len());
        for stage in stages {
            let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
            let (options, body) = (BasicPublishOptions::default(), stage.to_bytes());
            let to = self.to.clone();
            sent.push(self.sending.basic_publish("".into(), to, options, &body, properties).await?);
        }
        let received = std::mem::take(&mut self.received);
        let confirmed = async move {
            let confirmed = try_join_all(sent).await?;
            ensure!(confirmed.iter().all(lapin::Confirmation::is_ack), "a message was refused");
            Ok(received)
        };
        self.unconfirmed.push_back(confirmed.boxed());
        Ok(())
    }
}
