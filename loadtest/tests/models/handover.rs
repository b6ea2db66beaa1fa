//! A worker that stops gives its work back: no attempt is spent, nothing is lost, nothing doubled.

use shared_model::Effects;

use crate::search::{breaks, holds};
use crate::work::{Accident, Guard, Work};

const DRAINS: Work = Work {
    effects: Effects::Keyed,
    without: None,
    accidents: &[Accident::Drain, Accident::Lose, Accident::Double, Accident::Crash],
    accidents_max: 3,
};

#[test]
fn work_that_is_given_back_goes_on_elsewhere() {
    holds("keyed work that is given back", DRAINS);
    holds("unkeyed work that is given back", Work { effects: Effects::Unkeyed, ..DRAINS });
}

#[test]
fn without_memory_of_ended_epochs_a_late_message_runs_one_again() {
    let work = Work { without: Some(Guard::Ended), ..DRAINS };
    breaks(
        "work that is given back without Ended",
        work,
        "an epoch is begun once, unless leases were forgotten",
    );
}
