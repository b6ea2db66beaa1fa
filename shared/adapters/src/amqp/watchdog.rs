//! Sends messages through a queue to see that they arrive: a consumer can be deaf on a connection
//! that is well, and would wait for ever.
//!
//! Every consumer that waits sends one at each interval. RabbitMQ serves those who wait in turn, so
//! each gets about as many as it sends, whoever sent them; work that arrives counts as well. A
//! consumer that hears nothing over [`SILENT_MAX`] intervals is ended, and whoever asked it opens a
//! new one, on a new connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lapin::Connection;
use shared_ports::broker::{Outgoing, Queue};

use super::consumer::{Deliveries, Standing};
use super::link::Link;
use super::message::WATCHDOG;
use super::publisher::Publisher;

/// Intervals of silence after which a consumer is deaf.
const SILENT_MAX: u32 = 4;

/// The watchdog of one consumer.
pub(super) struct Watchdog {
    pub(super) queue: Queue,
    pub(super) prefetch: u16,
    pub(super) every: Duration,
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) publisher: Arc<Publisher>,
    /// What the consumer receives on.
    pub(super) connection: Arc<Connection>,
    pub(super) link: Arc<Link>,
}

impl Watchdog {
    /// Watches until the consumer is gone.
    pub(super) async fn watch(self) -> anyhow::Result<()> {
        let mut silence = Silence::default();
        loop {
            tokio::time::sleep(self.every).await;
            let standing = self.deliveries.standing(self.prefetch);
            match silence.after(standing) {
                _ if standing == Standing::Over => return Ok(()),
                Verdict::Deaf => break,
                Verdict::Ask if self.is_sent().await => silence.asked(),
                Verdict::Ask | Verdict::Heard => {}
            }
        }
        let (queue, seconds) = (&self.queue, (self.every * SILENT_MAX).as_secs());
        tracing::warn!(?queue, seconds, "nothing arrives from a queue; receiving begins anew");
        self.link.give_up(&self.connection).await;
        self.deliveries.is_deaf();
        Ok(())
    }

    /// Whether RabbitMQ has the message; where it takes none, silence proves nothing.
    async fn is_sent(&self) -> bool {
        let message =
            Outgoing { queue: self.queue.clone(), id: WATCHDOG.to_owned(), body: Bytes::new() };
        self.publisher.publish(vec![message]).await.is_ok()
    }
}

/// How long nothing has arrived although it was asked for.
#[derive(Debug, Default)]
struct Silence {
    arrived: u64,
    asked: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Heard,
    Ask,
    Deaf,
}

impl Silence {
    fn after(&mut self, standing: Standing) -> Verdict {
        match standing {
            Standing::Waiting { arrived }
                if arrived == self.arrived && self.asked >= SILENT_MAX =>
            {
                Verdict::Deaf
            }
            Standing::Waiting { arrived } => {
                if arrived != self.arrived {
                    *self = Self { arrived, asked: 0 };
                }
                Verdict::Ask
            }
            Standing::Busy | Standing::Over => {
                self.asked = 0;
                Verdict::Heard
            }
        }
    }

    fn asked(&mut self) {
        self.asked += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silence_after_messages_that_were_sent_is_deafness() {
        let mut silence = Silence::default();
        let waiting = |arrived| Standing::Waiting { arrived };
        for _ in 0..20 {
            assert_eq!(silence.after(waiting(0)), Verdict::Ask, "none was sent");
        }
        for arrived in [0, 1, 1, 1, 2, 2] {
            assert_eq!(silence.after(waiting(arrived)), Verdict::Ask);
            silence.asked();
        }
        assert_eq!(silence.after(Standing::Busy), Verdict::Heard);
        for _ in 0..SILENT_MAX {
            assert_eq!(silence.after(waiting(2)), Verdict::Ask);
            silence.asked();
        }
        assert_eq!(silence.after(waiting(2)), Verdict::Deaf);
    }
}
