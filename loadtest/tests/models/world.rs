//! Who there is, and what is on its way between them.

use std::collections::BTreeSet;

use scheduler_engine::event::Outcome;

use crate::engine::Row;

pub(crate) type Epoch = u64;

/// A worker's slot, and which of the processes that ran in it.
pub(crate) type Id = (u8, u8);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Message {
    /// `again`: somebody may have had it before.
    Ready {
        epoch: Epoch,
        needs_grant: bool,
        again: bool,
    },
    Started {
        epoch: Epoch,
        from: Id,
    },
    LeaseEnded {
        epoch: Epoch,
    },
    Finished {
        epoch: Epoch,
        from: Id,
        end: End,
    },
    Grant {
        epoch: Epoch,
        to: Id,
    },
    Abort {
        epoch: Epoch,
        to: Id,
    },
}

/// What a worker reports in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum End {
    Succeeded,
    HandedOver,
    Canceled,
}

impl From<End> for Outcome {
    fn from(end: End) -> Self {
        match end {
            End::Succeeded => Self::Succeeded,
            End::HandedOver => Self::HandedOver,
            End::Canceled => Self::Canceled,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) epoch: Epoch,
    pub(crate) holder: Id,
    pub(crate) is_live: bool,
}

/// How far a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Doing {
    Nothing,
    /// It waits to be allowed to begin.
    Waiting(Epoch),
    Working(Epoch),
    /// It has looked and found nothing, where looking is a step of its own.
    Looked(Epoch),
    /// The effect is made, the report is not sent.
    Acted(Epoch),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) life: u8,
    pub(crate) doing: Doing,
    /// The newest epoch that ended here; 0 for none.
    pub(crate) ended: Epoch,
    pub(crate) is_draining: bool,
    /// Whether it works without a lease, for none could be had.
    pub(crate) is_unleased: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// What the journal holds.
    pub(crate) row: Row,
    /// Messages on their way.
    pub(crate) air: BTreeSet<Message>,
    pub(crate) lease: Option<Lease>,
    pub(crate) workers: [Worker; 2],
    /// Effects at the target.
    pub(crate) effects: u8,
    /// The newest epoch that was given out.
    pub(crate) newest: Epoch,
    /// Which epochs were begun, and whether one was again.
    pub(crate) begun: BTreeSet<Epoch>,
    pub(crate) begun_again: bool,
    pub(crate) accidents: u8,
    /// Whether the scheduler rang again, or a worker asked again, since the last accident: once is
    /// enough, or it never will be.
    pub(crate) rang: bool,
    pub(crate) asked: bool,
    pub(crate) has_asked_a_person: bool,
    pub(crate) has_forgotten: bool,
    /// Whether the lease store cannot be reached, and whether it could not at some time.
    pub(crate) is_away: bool,
    pub(crate) was_away: bool,
    /// Whether the scheduler's message came twice, each time as the first.
    pub(crate) was_sent_twice: bool,
    /// Whether unrecognisable work began that the journal did not give to its worker.
    pub(crate) began_unseen: bool,
}

impl State {
    /// Before anything was sent.
    pub(crate) fn first(row: Row) -> Self {
        let idle = Worker {
            life: 0,
            doing: Doing::Nothing,
            ended: 0,
            is_draining: false,
            is_unleased: false,
        };
        Self {
            row,
            air: BTreeSet::new(),
            lease: None,
            workers: [idle.clone(), idle],
            effects: 0,
            newest: 0,
            begun: BTreeSet::new(),
            begun_again: false,
            accidents: 0,
            rang: false,
            asked: false,
            has_asked_a_person: false,
            has_forgotten: false,
            is_away: false,
            was_away: false,
            was_sent_twice: false,
            began_unseen: false,
        }
    }

    pub(crate) fn id(&self, slot: u8) -> Id {
        (slot, self.workers[usize::from(slot)].life)
    }

    pub(crate) fn worker(&mut self, slot: u8) -> &mut Worker {
        &mut self.workers[usize::from(slot)]
    }

    /// Whether a worker's lease is live, for all that the lease store knows.
    pub(crate) fn holds(&self, id: Id, epoch: Epoch) -> bool {
        let is_it = |lease: &Lease| lease.is_live && lease.epoch == epoch && lease.holder == id;
        self.lease.as_ref().is_some_and(is_it)
    }

    pub(crate) fn held(&self, epoch: Epoch) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.is_live && lease.epoch == epoch)
    }

    /// Whether a worker is at the newest epoch, and its lease lives.
    pub(crate) fn somebody_rightly_works(&self) -> bool {
        let newest = self.begun.last();
        [0, 1].into_iter().any(|slot| {
            let at = self.workers[usize::from(slot)].doing.epoch();
            at.is_some_and(|at| Some(&at) == newest && self.holds(self.id(slot), at))
        })
    }

    /// Drops what changes nothing whenever it comes: the engine refuses what is about an older
    /// epoch, and who is gone obeys nobody. So there are fewer states, and no story less.
    pub(crate) fn drop_the_void(&mut self) {
        let (newest, has_ended, workers) = (self.newest, self.row.has_ended(), &self.workers);
        self.air.retain(|message| match message {
            Message::Finished { epoch, .. } | Message::LeaseEnded { epoch } => {
                *epoch >= newest && !has_ended
            }
            Message::Grant { to: (slot, life), .. } | Message::Abort { to: (slot, life), .. } => {
                workers[usize::from(*slot)].life == *life
            }
            Message::Ready { .. } | Message::Started { .. } => true,
        });
    }

    pub(crate) fn accident(&mut self) {
        self.accidents += 1;
        (self.rang, self.asked) = (false, false);
    }
}

impl Doing {
    pub(crate) fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Nothing => None,
            Self::Waiting(epoch)
            | Self::Working(epoch)
            | Self::Looked(epoch)
            | Self::Acted(epoch) => Some(epoch),
        }
    }
}
