use shared_model::{Epoch, WorkerId};

use super::{Subject, TTL, attempt, ttl};
use crate::conformance::samples::Chance;
use crate::leases::Claim;

/// What the suite knows of an attempt from the answers alone.
#[derive(Debug, Default)]
struct Seen {
    /// The last grant: worker, epoch, and the step at which it surely has ended.
    last: Option<(WorkerId, u64, u32)>,
}

/// Workers, epochs and pauses by chance: every grant is of a larger epoch than the one before, or
/// to the same worker again, or comes when that one may have ended.
pub(super) async fn at_most_one_lease_is_live(subject: Subject) {
    let step = TTL / 3;
    let mut chance = Chance::new(7);
    let mut seen = Seen::default();
    let attempt = attempt("x");
    for now in 0..150 {
        let worker = WorkerId::new(format!("worker-{}", chance.below(3)));
        let epoch = 1 + u64::from(now / 40) + chance.below(2);
        let claim = subject.port.claim(&attempt, Epoch(epoch), &worker, ttl()).await;
        seen.check(&claim.expect("claiming"), worker, epoch, now);
        if chance.below(3) == 0 {
            subject.pass(step).await;
        }
    }
}

impl Seen {
    fn check(&mut self, claim: &Claim, worker: WorkerId, epoch: u64, now: u32) {
        match (claim, &self.last) {
            (Claim::Granted, Some((holder, held, granted))) => {
                let is_newer = epoch > *held;
                let is_same = epoch == *held && worker == *holder;
                // Time passes at most once a step, a third of a ttl.
                let may_have_ended = epoch == *held && now - granted >= 3;
                assert!(
                    is_newer || is_same || may_have_ended,
                    "{worker} was granted epoch {epoch} while {holder} held {held}"
                );
            }
            (Claim::Refused { holder, epoch: held }, Some((last, last_epoch, _))) => {
                assert_eq!((holder, held.0), (last, *last_epoch), "refused for a wrong holder");
            }
            (Claim::Granted, None) => {}
            (Claim::Refused { .. }, None) => panic!("the first claim was refused"),
        }
        if *claim == Claim::Granted {
            self.last = Some((worker, epoch, now));
        }
    }
}
