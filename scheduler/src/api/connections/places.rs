//! Who may stay: so many connections, and when all places are taken, whoever has kept one the longest
//! without asking for anything makes room.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Ranks from here on are of those whose request is still on its way.
const RECEIVING: u64 = 1 << 62;
/// The rank of one whose request is being answered: it is never sent away.
const ANSWERING: u64 = u64::MAX;

/// The places that there are.
pub(super) struct Places {
    max: usize,
    taken: Mutex<BTreeMap<u64, Arc<Place>>>,
    freed: Notify,
    /// Counts up with all that happens, so that ranks are in order of time.
    ticks: AtomicU64,
}

struct Place {
    /// The lowest goes first.
    rank: AtomicU64,
    leave: CancellationToken,
}

/// The place of one connection, until it is dropped.
pub(super) struct Seat {
    places: Arc<Places>,
    number: u64,
    place: Arc<Place>,
}

impl Places {
    pub(super) fn new(max: usize) -> Arc<Self> {
        let (freed, ticks) = (Notify::new(), AtomicU64::new(0));
        Arc::new(Self { max, taken: Mutex::default(), freed, ticks })
    }

    /// A place, once there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Seat {
        loop {
            let freed = self.freed.notified();
            if let Some(seat) = self.try_take() {
                return seat;
            }
            self.make_room();
            freed.await;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Seat> {
        let mut taken = self.lock();
        if taken.len() >= self.max {
            return None;
        }
        let number = self.tick();
        let rank = AtomicU64::new(number);
        let place = Arc::new(Place { rank, leave: CancellationToken::new() });
        taken.insert(number, Arc::clone(&place));
        Some(Seat { places: Arc::clone(self), number, place })
    }

    /// Sends away whoever waits the longest, then whoever sends the longest.
    fn make_room(&self) {
        let taken = self.lock();
        // One at a time: whoever goes already is enough for whoever comes.
        if taken.values().any(|place| place.leave.is_cancelled()) {
            return;
        }
        let rank = |place: &&Arc<Place>| place.rank.load(Ordering::Relaxed);
        let goes = taken.values().min_by_key(rank).filter(|place| rank(place) != ANSWERING);
        if let Some(goes) = goes {
            goes.rank.store(ANSWERING, Ordering::Relaxed);
            goes.leave.cancel();
        }
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Place>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Resolves when the place is needed for somebody else.
    pub(super) async fn sent_away(&self) {
        self.place.leave.cancelled().await;
    }

    /// The head of a request is there, its body is not.
    pub(super) fn receives(&self) {
        self.place.rank.store(RECEIVING + self.places.tick(), Ordering::Relaxed);
    }

    /// A whole request is there.
    pub(super) fn answers(&self) {
        self.place.rank.store(ANSWERING, Ordering::Relaxed);
    }

    /// It is answered.
    pub(super) fn waits(&self) {
        self.place.rank.store(self.places.tick(), Ordering::Relaxed);
        // Somebody may stand outside because everybody was busy.
        self.places.freed.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.places.lock().remove(&self.number);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_sent_away(seat: &Seat) -> bool {
        tokio::time::timeout(Duration::from_millis(50), seat.sent_away()).await.is_ok()
    }

    #[tokio::test]
    async fn who_waits_the_longest_makes_room() {
        let places = Places::new(3);
        let (first, second, third) =
            (places.take().await, places.take().await, places.take().await);
        first.answers();
        first.waits();
        third.receives();
        let mut fourth = Box::pin(places.take());
        let waited = tokio::time::timeout(Duration::from_millis(50), fourth.as_mut()).await;
        assert!(waited.is_err(), "all places are taken");
        assert!(is_sent_away(&second).await, "the first one asked for something meanwhile");
        assert!(!is_sent_away(&first).await && !is_sent_away(&third).await);
        drop(second);
        let _fourth = fourth.await;
    }

    #[tokio::test]
    async fn who_is_answered_stays_and_who_sends_goes_after_who_waits() {
        let places = Places::new(2);
        let (busy, sends) = (places.take().await, places.take().await);
        busy.answers();
        sends.receives();
        let mut next = Box::pin(places.take());
        assert!(tokio::time::timeout(Duration::from_millis(50), next.as_mut()).await.is_err());
        assert!(is_sent_away(&sends).await && !is_sent_away(&busy).await);
        sends.answers();
        drop(sends);
        let next = next.await;
        next.answers();
        let mut last = Box::pin(places.take());
        assert!(tokio::time::timeout(Duration::from_millis(50), last.as_mut()).await.is_err());
        busy.waits();
        assert!(tokio::time::timeout(Duration::from_millis(50), last.as_mut()).await.is_err());
        assert!(is_sent_away(&busy).await, "it was busy, and is not any more");
        drop(busy);
        drop(last.await);
    }
}
