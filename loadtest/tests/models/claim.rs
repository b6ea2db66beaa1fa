//! Claim and takeover: whatever happens, an effect is made once.

use shared_model::Effects;

use crate::search::{breaks, holds};
use crate::work::{Accident, Guard, Work};

const ALL: &[Accident] = &[
    Accident::Lose,
    Accident::Double,
    Accident::Crash,
    Accident::SchedulerCrash,
    Accident::Expire,
    Accident::Forget,
    Accident::Drain,
];

const KEYED: Work =
    Work { effects: Effects::Keyed, without: None, accidents: ALL, accidents_max: 2 };
const UNKEYED: Work = Work { effects: Effects::Unkeyed, ..KEYED };

#[test]
fn keyed_work_is_done_once() {
    holds("keyed work", KEYED);
}

#[test]
fn unkeyed_work_is_done_once_or_asks() {
    holds("unkeyed work", UNKEYED);
}

/// The lease store cannot be reached, and may have forgotten everything when it comes back.
const LEASELESS: &[Accident] = &[Accident::Away, Accident::Forget, Accident::Crash, Accident::Cut];

#[test]
fn without_a_lease_store_keyed_work_goes_on_and_nothing_is_doubled() {
    let away = Work { accidents: &[Accident::Away], accidents_max: 1, ..KEYED };
    holds("keyed work without a lease store", away);
    holds("unkeyed work without a lease store", Work { effects: Effects::Unkeyed, ..away });
    let empty = Work { accidents: &[Accident::AwayEmpty], ..away };
    holds("keyed work whose lease store comes back empty", empty);
}

#[test]
fn without_a_lease_store_work_that_cannot_be_recognised_waits() {
    let work = Work { accidents: LEASELESS, ..UNKEYED };
    without(work, Guard::Recognised, "what cannot be recognised begins once it is granted");
}

#[test]
fn without_a_lease_store_a_message_that_comes_again_waits() {
    let work = Work { accidents: LEASELESS, ..KEYED };
    let once =
        "without leases two who live are not at one epoch, unless its message was sent twice";
    without(work, Guard::FirstDelivery, once);
}

fn without(work: Work, guard: Guard, property: &'static str) {
    let name = format!("{:?} work without {guard:?}", work.effects);
    breaks(&name, Work { without: Some(guard), ..work }, property);
}

#[test]
fn without_leases_an_epoch_is_begun_twice() {
    without(KEYED, Guard::Claim, "an epoch is begun once, unless leases were forgotten");
}

#[test]
fn without_the_epoch_check_an_old_report_ends_new_work() {
    without(KEYED, Guard::Epoch, "nothing ends while its worker rightly works");
}

#[test]
fn without_keys_an_effect_is_made_twice() {
    without(KEYED, Guard::Key, "an effect is made once at most");
}

#[test]
fn a_look_before_the_act_is_not_enough() {
    without(KEYED, Guard::KeyAtTarget, "an effect is made once at most");
}

#[test]
fn without_the_grant_unseen_work_begins() {
    without(UNKEYED, Guard::Grant, "what cannot be recognised begins once it is granted");
    without(UNKEYED, Guard::Grant, "an effect is made once at most");
}

#[test]
fn lost_work_that_is_repeated_unasked_is_done_twice() {
    without(UNKEYED, Guard::Unknown, "an effect is made once at most");
}

#[test]
fn a_worker_with_the_name_of_its_predecessor_does_its_work_again() {
    without(UNKEYED, Guard::OwnId, "an effect is made once at most");
}

#[test]
fn without_word_of_an_ended_lease_a_lost_report_is_waited_for_without_end() {
    without(KEYED, Guard::LeaseEnded, "it is never stuck");
}

#[test]
fn work_that_cannot_be_recognised_is_not_taken_from_who_has_it() {
    let work = Work { accidents: &[Accident::Cut], ..UNKEYED };
    without(work, Guard::Patience, "nothing ends while its worker rightly works");
}

#[test]
fn work_whose_worker_is_cut_off_from_the_broker_is_taken_over_once() {
    let work = Work { accidents: &[Accident::Cut, Accident::Crash, Accident::Lose], ..KEYED };
    holds("keyed work whose message comes again", work);
    holds("unkeyed work whose message comes again", Work { effects: Effects::Unkeyed, ..work });
}

#[test]
fn who_asks_for_a_repeat_while_somebody_is_at_it_gets_two() {
    without(UNKEYED, Guard::CarefulPerson, "an effect is made once at most");
}
