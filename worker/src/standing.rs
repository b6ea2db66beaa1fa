//! Whether a worker may take work, and if not, why: for its loop, its log and its readiness.

use tokio::sync::watch;

use crate::in_flight::InFlight;

/// Whose a worker's name is, for all that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// Nobody was asked yet.
    Unknown,
    /// Its own, or nobody can say.
    Own,
    /// Another live process has it, and had it first.
    Taken,
}

/// What the last beats told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: Name,
    /// Whether no beat was heard for longer than one that is late.
    pub(crate) unheard: bool,
}

/// What keeps a worker from working as it should. Clones are handles on the same.
#[derive(Clone)]
pub struct Standing {
    worker: String,
    known: watch::Receiver<Known>,
    in_flight: InFlight,
}

impl Standing {
    /// Of a worker of which nothing is known yet, and who tells it what is.
    pub(crate) fn of(worker: String, in_flight: InFlight) -> (watch::Sender<Known>, Self) {
        let (tells, known) = watch::channel(Known { name: Name::Unknown, unheard: false });
        (tells, Self { worker, known, in_flight })
    }

    /// Why it takes no work, if it takes none.
    pub fn why_idle(&self) -> Option<String> {
        let is_taken = self.known.borrow().name == Name::Taken;
        is_taken.then(|| {
            format!(
                "another worker that lives has the name `{}` and was first, so this one takes no work \
                 until that one is gone; give each worker a name of its own",
                self.worker
            )
        })
    }

    /// Whether it works on something.
    pub fn is_busy(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// What is wrong, in words for people; empty if all is well.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles: Vec<String> = self.why_idle().into_iter().collect();
        if self.is_unheard() {
            troubles.push(
                "no heartbeat is heard, so no lease can be had: work whose effects are \
                 recognised begins and goes on; other work, takeovers, and work whose message came \
                 before wait until the store of the leases (Redis) answers"
                    .to_owned(),
            );
        }
        troubles
    }

    /// Waits until something else is known; never ends if it stays as it is.
    pub(crate) async fn changes(&mut self) -> Known {
        if self.known.changed().await.is_err() {
            return std::future::pending().await;
        }
        *self.known.borrow()
    }

    pub(crate) fn may_take(&self) -> bool {
        self.known.borrow().name == Name::Own
    }

    /// Whether it is no use to ask for a lease.
    pub(crate) fn is_unheard(&self) -> bool {
        self.known.borrow().unheard
    }
}
