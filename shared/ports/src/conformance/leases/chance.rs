use shared_model::{Epoch, WorkerId};

use super::{Subject, TTL, attempt, ttl};
use crate::conformance::samples::Chance;
use crate::leases::{Claim, Holder};

/// What the suite knows of an attempt from the answers alone.
#[derive(Debug, Default)]
struct Seen {
    /// The last grant: worker, epoch, and the step at which it was made.
    last: Option<(WorkerId, u64, u32)>,
}

/// Workers, epochs and pauses by chance: every grant is of a larger epoch than the one before, or
/// to the same worker again; a lease is said to have ended only when it may have.
pub(super) async fn at_most_one_lease_is_live(subject: Subject) {
    let step = TTL / 3;
    let mut chance = Chance::new(7);
    let mut seen = Seen::default();
    let attempt = attempt("x");
    for now in 0..150 {
        let worker = WorkerId::new(format!("worker-{}", chance.below(3)));
        let epoch = 1 + u64::from(now / 40) + chance.below(2);
        let holder = Holder::new(worker.clone(), "1");
        let claim = subject.port.claim(&attempt, Epoch(epoch), &holder, ttl()).await;
        seen.check(&claim.expect("claiming"), worker, epoch, now);
        if chance.below(3) == 0 {
            subject.pass(step).await;
        }
    }
}

impl Seen {
    fn check(&mut self, claim: &Claim, worker: WorkerId, epoch: u64, now: u32) {
        match (claim, &self.last) {
            (Claim::Granted, Some((holder, held, _))) => {
                let is_newer = epoch > *held;
                let is_same = epoch == *held && worker == *holder;
                assert!(
                    is_newer || is_same,
                    "{worker} was granted epoch {epoch} while {holder} held {held}"
                );
            }
            (Claim::Refused { holder, epoch: held }, Some((last, last_epoch, _))) => {
                assert_eq!((holder, held.0), (last, *last_epoch), "refused for a wrong holder");
            }
            (Claim::Ended { holder, epoch: held }, Some((last, last_epoch, granted))) => {
                assert_eq!((holder, held.0), (last, *last_epoch), "a wrong holder's has ended");
                // Time passes at most once a step, a third of a ttl.
                assert!(now - granted >= 3, "{holder}'s lease ended too early");
            }
            (Claim::Granted, None) => {}
            (Claim::Refused { .. } | Claim::Ended { .. }, None) => {
                panic!("the first claim was refused")
            }
        }
        if *claim == Claim::Granted {
            self.last = Some((worker, epoch, now));
        }
    }
}
