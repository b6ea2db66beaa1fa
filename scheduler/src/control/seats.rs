//! The queues of reports, one for each shard. This scheduler has a seat at each of them; which one
//! of several schedulers receives from a queue is the broker's decision.

use std::future::Future;
use std::sync::Arc;

use futures::future::{FutureExt, join_all, select_all};
use shared_ports::{Broker, Consumer, Delivery, PortError, Queue};

/// Reports that wait in memory for the loop, of all queues together.
const REPORTS_PREFETCH: u16 = 1_024;
/// The same, of one queue, at least: a scheduler lets its reports come in few queues.
const REPORTS_PREFETCH_MIN: u16 = 256;
/// Reports that are taken from one queue in a row while others may have some.
const IN_A_ROW_MAX: usize = 32;

/// Names a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(super) shard: u16,
    /// A tag names a delivery within one connection only.
    connection: u64,
    tag: u64,
}

impl Tag {
    #[cfg(test)]
    pub(super) fn of(tag: u64) -> Self {
        Self { shard: 0, connection: 1, tag }
    }
}

/// What a queue says.
pub(crate) enum Next {
    /// A report.
    Delivery(Tag, Delivery),
    /// The connection to it is gone.
    Closed(u16),
}

/// This scheduler's seats.
pub(crate) struct Seats {
    broker: Arc<dyn Broker>,
    prefetch: u16,
    seats: Vec<Seat>,
    /// The seat that is looked at first; it moves on, so that a busy queue does not starve others.
    turn: usize,
    /// How often it has not moved on.
    in_a_row: usize,
}

struct Seat {
    consumer: Option<Box<dyn Consumer>>,
    connection: u64,
}

impl Seats {
    /// Takes a seat at each of so many queues.
    ///
    /// # Errors
    /// [`PortError`] if one of them cannot be reached.
    pub(crate) async fn open(broker: Arc<dyn Broker>, count: u16) -> Result<Self, PortError> {
        let prefetch = (REPORTS_PREFETCH / count.max(1)).max(REPORTS_PREFETCH_MIN);
        let seats = (0..count).map(|_| Seat { consumer: None, connection: 0 }).collect();
        let mut all = Self { broker, prefetch, seats, turn: 0, in_a_row: 0 };
        all.reopen().await?;
        Ok(all)
    }

    /// Takes the seats that were lost or given up again.
    ///
    /// # Errors
    /// [`PortError`] if one of the queues cannot be reached; the others may have been.
    pub(crate) async fn reopen(&mut self) -> Result<(), PortError> {
        let missing = (0_u16..).zip(&self.seats).filter(|(_, seat)| seat.consumer.is_none());
        let opened = missing.map(|(shard, _)| {
            let broker = Arc::clone(&self.broker);
            let prefetch = self.prefetch;
            async move { (shard, broker.consume(&Queue::Reports(shard), prefetch).await) }
        });
        let opened = join_all(opened).await;
        let mut failed = None;
        for (shard, consumer) in opened {
            let seat = self.seats.get_mut(usize::from(shard));
            match (seat, consumer) {
                (Some(seat), Ok(consumer)) => {
                    *seat = Seat { consumer: Some(consumer), connection: seat.connection + 1 };
                }
                (_, Err(error)) => failed = Some(error),
                (None, Ok(_)) => {}
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether there is no queue without us.
    pub(crate) fn are_taken(&self) -> bool {
        self.seats.iter().all(|seat| seat.consumer.is_some())
    }

    /// Gives up a seat: what was received there and not dealt with goes to the next in line.
    pub(crate) fn leave(&mut self, shard: u16) {
        if let Some(seat) = self.seats.get_mut(usize::from(shard)) {
            seat.consumer = None;
        }
    }

    /// The next report of any queue. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Next {
        if let Some(next) = self.at_hand() {
            return next;
        }
        let receiving = self.seats.iter_mut().enumerate().filter_map(receive);
        let receiving: Vec<_> = receiving.map(FutureExt::boxed).collect();
        if receiving.is_empty() {
            return std::future::pending().await;
        }
        let ((place, connection, found), _, _) = select_all(receiving).await;
        self.move_on(place);
        self.found(place, connection, found)
    }

    /// The next report, if one is there already.
    pub(crate) fn at_hand(&mut self) -> Option<Next> {
        let count = self.seats.len();
        for step in 0..count {
            let place = (self.turn + step) % count;
            let seat = self.seats.get_mut(place)?;
            let connection = seat.connection;
            let Some(consumer) = &mut seat.consumer else { continue };
            if let Some(found) = consumer.next().now_or_never() {
                self.move_on(place);
                return Some(self.found(place, connection, found));
            }
        }
        None
    }

    fn move_on(&mut self, place: usize) {
        let again = place == self.turn % self.seats.len().max(1) && self.in_a_row < IN_A_ROW_MAX;
        self.in_a_row = if again { self.in_a_row + 1 } else { 0 };
        self.turn = if self.in_a_row < IN_A_ROW_MAX { place } else { place + 1 };
    }

    fn found(&mut self, place: usize, connection: u64, found: Option<Delivery>) -> Next {
        let shard = u16::try_from(place).unwrap_or_default();
        match found {
            Some(delivery) => {
                Next::Delivery(Tag { shard, connection, tag: delivery.tag }, delivery)
            }
            None => {
                self.leave(shard);
                Next::Closed(shard)
            }
        }
    }

    /// Says that a delivery is dealt with.
    pub(crate) async fn ack(&self, tag: Tag) {
        if let Some(consumer) = self.consumer(tag)
            && let Err(error) = consumer.ack(tag.tag).await
        {
            tracing::debug!(%error, "an acknowledgement was lost; the report comes again");
        }
    }

    /// Gives a delivery back.
    pub(crate) async fn nack(&self, tag: Tag) {
        if let Some(consumer) = self.consumer(tag) {
            // It comes again in any case.
            drop(consumer.nack(tag.tag).await);
        }
    }

    /// Sets a delivery aside that nobody can read.
    pub(crate) async fn reject(&self, tag: Tag) {
        if let Some(consumer) = self.consumer(tag)
            && let Err(error) = consumer.reject(tag.tag).await
        {
            tracing::debug!(%error, "a report was not set aside; it comes again");
        }
    }

    /// `None` if the connection is gone: what it brought comes again, here or elsewhere.
    fn consumer(&self, tag: Tag) -> Option<&dyn Consumer> {
        let seat = self.seats.get(usize::from(tag.shard))?;
        let consumer = seat.consumer.as_deref()?;
        (seat.connection == tag.connection).then_some(consumer)
    }
}

fn receive(
    (place, seat): (usize, &mut Seat),
) -> Option<impl Future<Output = (usize, u64, Option<Delivery>)> + Send + '_> {
    let connection = seat.connection;
    let consumer = seat.consumer.as_mut()?;
    Some(async move { (place, connection, consumer.next().await) })
}
