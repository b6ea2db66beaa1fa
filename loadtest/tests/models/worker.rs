//! What a worker does: claims, waits to be allowed, works, reports; and what the lease store answers.

use std::cmp::Ordering;

use crate::work::{Action, Guard, Work};
use crate::world::{Doing, End, Epoch, Id, Lease, Message, State, Worker};

enum Claim {
    Granted,
    /// There is a newer one.
    Refused,
    /// Another has this very epoch.
    Taken,
    Ended,
    /// Nobody can be asked.
    Unknown,
}

pub(crate) fn actions(work: &Work, state: &State, actions: &mut Vec<Action>) {
    for slot in [0, 1] {
        let takes = state.air.iter().filter(|message| hears(state, slot, message));
        actions.extend(takes.map(|message| Action::Take(slot, message.clone())));
        own_steps(work, state, slot, actions);
    }
    if is_orphaned(state) {
        actions.push(Action::RunsOut);
    }
    if state.is_away {
        actions.push(Action::ComeBack);
    }
}

/// Whether a lease lives that nobody renews.
fn is_orphaned(state: &State) -> bool {
    let Some(lease) = state.lease.as_ref().filter(|lease| lease.is_live) else { return false };
    let holder = &state.workers[usize::from(lease.holder.0)];
    holder.life != lease.holder.1 || holder.doing.epoch() != Some(lease.epoch)
}

fn hears(state: &State, slot: u8, message: &Message) -> bool {
    let worker = &state.workers[usize::from(slot)];
    match message {
        // Slots are alike: who is first is called 0.
        Message::Ready { .. } => {
            let [one, other] = &state.workers;
            let is_first = slot == 0 || !state.begun.is_empty() || one != other;
            is_first && worker.doing == Doing::Nothing && !worker.is_draining
        }
        // A queue outlives who reads it: what is for a process that is gone, nobody obeys.
        Message::Grant { to, .. } | Message::Abort { to, .. } => to.0 == slot,
        Message::Started { .. } | Message::LeaseEnded { .. } | Message::Finished { .. } => false,
    }
}

fn own_steps(work: &Work, state: &State, slot: u8, actions: &mut Vec<Action>) {
    let worker = &state.workers[usize::from(slot)];
    let Some(epoch) = worker.doing.epoch() else { return };
    // Unheard, it works on as long as what it does is recognised.
    let unheard = worker.is_unleased || (state.is_away && !work.is_unkeyed());
    let is_lost = !unheard && (state.is_away || !state.holds(state.id(slot), epoch));
    if worker.is_unleased && !state.is_away {
        actions.push(Action::ClaimLate(slot));
    }
    match worker.doing {
        Doing::Nothing => {}
        Doing::Waiting(_) if is_silent(state, slot) => {
            actions.push(if state.asked { Action::GiveUp(slot) } else { Action::AskAgain(slot) });
        }
        Doing::Waiting(_) => {}
        Doing::Working(_) if !work.has(Guard::KeyAtTarget) => actions.push(Action::Look(slot)),
        Doing::Working(_) | Doing::Looked(_) => actions.push(Action::Act(slot)),
        Doing::Acted(_) => actions.push(Action::Finish(slot)),
    }
    let unseen = !matches!(worker.doing, Doing::Acted(_)) || !work.is_unkeyed();
    if (is_lost && unseen) || (worker.is_draining && !matches!(worker.doing, Doing::Acted(_))) {
        actions.push(Action::EndEarly(slot));
    }
}

/// Whether nothing is on its way between a worker that waits and the scheduler.
fn is_silent(state: &State, slot: u8) -> bool {
    let own = state.id(slot);
    !state.air.iter().any(|message| match message {
        Message::Started { from, .. } => *from == own,
        Message::Grant { to, .. } | Message::Abort { to, .. } => *to == own,
        Message::Ready { .. } | Message::LeaseEnded { .. } | Message::Finished { .. } => false,
    })
}

pub(crate) fn act(work: &Work, state: &mut State, action: &Action) {
    match action {
        Action::Take(slot, message) => take(work, state, *slot, message),
        Action::Look(slot) => look(state, *slot),
        Action::Act(slot) => make_effect(work, state, *slot),
        Action::Finish(slot) => finish(work, state, *slot, Some(End::Succeeded)),
        Action::EndEarly(slot) => end_early(work, state, *slot),
        Action::ClaimLate(slot) => claim_late(work, state, *slot),
        Action::RunsOut => state.lease.iter_mut().for_each(|lease| lease.is_live = false),
        Action::GiveUp(slot) => finish(work, state, *slot, Some(End::HandedOver)),
        Action::AskAgain(slot) => {
            let from = state.id(*slot);
            if let Doing::Waiting(epoch) = state.worker(*slot).doing {
                state.air.insert(Message::Started { epoch, from });
                state.asked = true;
            }
        }
        _ => {}
    }
}

fn take(work: &Work, state: &mut State, slot: u8, message: &Message) {
    state.air.remove(message);
    let own = state.id(slot);
    match message {
        Message::Ready { epoch, needs_grant, again } => {
            begin(work, state, slot, (*epoch, *needs_grant, *again));
        }
        Message::Grant { epoch, to }
            if *to == own && state.worker(slot).doing == Doing::Waiting(*epoch) =>
        {
            state.worker(slot).doing = Doing::Working(*epoch);
        }
        Message::Abort { epoch, to } if *to == own => {
            let doing = state.worker(slot).doing;
            match doing.epoch() {
                Some(at) if at <= *epoch && !matches!(doing, Doing::Acted(_)) => {
                    let waits = matches!(doing, Doing::Waiting(_));
                    finish(
                        work,
                        state,
                        slot,
                        Some(if waits { End::HandedOver } else { End::Canceled }),
                    );
                }
                Some(_) | None => {}
            }
        }
        _ => {}
    }
}

fn begin(
    work: &Work,
    state: &mut State,
    slot: u8,
    (epoch, needs_grant, again): (Epoch, bool, bool),
) {
    let own = state.id(slot);
    let ran_here = work.has(Guard::Ended) && state.worker(slot).ended >= epoch;
    let claim = match () {
        () if ran_here => Claim::Ended,
        () if is_claimed_late(state, epoch) => Claim::Unknown,
        () => claim(work, state, epoch, own),
    };
    let is_unleased = matches!(claim, Claim::Unknown);
    match claim {
        Claim::Unknown if !may_begin_unleased(work, needs_grant, again) => {
            state.air.insert(Message::Ready { epoch, needs_grant, again: true });
        }
        Claim::Granted | Claim::Unknown => {
            let needs_grant = needs_grant && (!is_unleased || work.has(Guard::Recognised));
            match is_unleased {
                true => state.worker(slot).is_unleased = true,
                false => state.lease = Some(Lease { epoch, holder: own, is_live: true }),
            }
            state.begun_again |= !state.begun.insert(epoch);
            let journaled =
                state.row.flight(0).is_some_and(|flight| flight.leased && flight.epoch.0 == epoch);
            state.began_unseen |= work.is_unkeyed() && !needs_grant && !journaled;
            state.worker(slot).doing =
                if needs_grant { Doing::Waiting(epoch) } else { Doing::Working(epoch) };
            state.asked = false;
            state.air.insert(Message::Started { epoch, from: own });
        }
        Claim::Ended if work.has(Guard::LeaseEnded) => {
            state.air.insert(Message::LeaseEnded { epoch });
        }
        // Whoever has it is likely to be gone, or the message would not have come again.
        Claim::Taken if again && (!needs_grant || !work.has(Guard::Patience)) => {
            state.air.insert(Message::LeaseEnded { epoch });
        }
        Claim::Ended | Claim::Taken | Claim::Refused => {}
    }
}

fn may_begin_unleased(work: &Work, needs_grant: bool, again: bool) -> bool {
    let is_recognised = !needs_grant || !work.has(Guard::Recognised);
    is_recognised && (!again || !work.has(Guard::FirstDelivery))
}

/// Whether somebody who lives works with this epoch and has no lease yet.
fn is_claimed_late(state: &State, epoch: Epoch) -> bool {
    let late = |worker: &Worker| worker.is_unleased && worker.doing.epoch() == Some(epoch);
    state.workers.iter().any(late)
}

/// What began without a lease gets one, unless another got further meanwhile.
fn claim_late(work: &Work, state: &mut State, slot: u8) {
    let own = state.id(slot);
    let Some(epoch) = state.worker(slot).doing.epoch() else { return };
    state.worker(slot).is_unleased = false;
    if matches!(claim(work, state, epoch, own), Claim::Granted) {
        state.lease = Some(Lease { epoch, holder: own, is_live: true });
    }
}

fn claim(work: &Work, state: &State, epoch: Epoch, own: Id) -> Claim {
    if state.is_away {
        return Claim::Unknown;
    }
    let Some(last) = state.lease.as_ref().filter(|_| work.has(Guard::Claim)) else {
        return Claim::Granted;
    };
    match epoch.cmp(&last.epoch) {
        Ordering::Greater => Claim::Granted,
        Ordering::Equal if !last.is_live => Claim::Ended,
        Ordering::Equal if last.holder == own => Claim::Granted,
        Ordering::Equal => Claim::Taken,
        Ordering::Less => Claim::Refused,
    }
}

fn look(state: &mut State, slot: u8) {
    let is_there = state.effects > 0;
    if let Doing::Working(epoch) = state.worker(slot).doing {
        state.worker(slot).doing =
            if is_there { Doing::Acted(epoch) } else { Doing::Looked(epoch) };
    }
}

fn make_effect(work: &Work, state: &mut State, slot: u8) {
    let Some(epoch) = state.worker(slot).doing.epoch() else { return };
    let recognised = !work.is_unkeyed() && work.has(Guard::Key) && work.has(Guard::KeyAtTarget);
    state.effects = if recognised { 1 } else { state.effects + 1 };
    state.worker(slot).doing = Doing::Acted(epoch);
}

fn end_early(work: &Work, state: &mut State, slot: u8) {
    let (own, doing) = (state.id(slot), state.worker(slot).doing);
    let Some(epoch) = doing.epoch() else { return };
    let unheard = state.worker(slot).is_unleased || (state.is_away && !work.is_unkeyed());
    let is_lost = !unheard && (state.is_away || !state.holds(own, epoch));
    let end = match doing {
        Doing::Waiting(_) => Some(End::HandedOver),
        // What it says is all that will ever be known.
        _ if work.is_unkeyed() => Some(End::Canceled),
        // Its answer is not wanted.
        _ if is_lost => None,
        _ => Some(End::HandedOver),
    };
    finish(work, state, slot, end);
}

fn finish(work: &Work, state: &mut State, slot: u8, end: Option<End>) {
    let from = state.id(slot);
    let Some(epoch) = state.worker(slot).doing.epoch() else { return };
    state.air.extend(end.map(|end| Message::Finished { epoch, from, end }));
    let worker = state.worker(slot);
    worker.doing = Doing::Nothing;
    worker.ended = worker.ended.max(epoch);
    worker.is_unleased = false;
    release(work, state, epoch);
}

fn release(work: &Work, state: &mut State, epoch: Epoch) {
    if state.is_away || !state.held(epoch) {
        return;
    }
    match &mut state.lease {
        Some(lease) if work.has(Guard::Ended) => lease.is_live = false,
        lease => *lease = None,
    }
}

pub(crate) fn crash(work: &Work, state: &mut State, slot: u8, comes_again: bool) {
    let needs_grant = work.is_unkeyed() && work.has(Guard::Grant);
    let worker = state.worker(slot);
    let epoch = worker.doing.epoch();
    worker.life += u8::from(work.has(Guard::OwnId));
    worker.doing = Doing::Nothing;
    worker.ended = 0;
    worker.is_draining = false;
    worker.is_unleased = false;
    if let Some(epoch) = epoch.filter(|_| comes_again) {
        state.air.insert(Message::Ready { epoch, needs_grant, again: true });
    }
}

/// Its message goes to another, and it works on.
pub(crate) fn cut(work: &Work, state: &mut State, slot: u8) {
    let needs_grant = work.is_unkeyed() && work.has(Guard::Grant);
    if let Some(epoch) = state.worker(slot).doing.epoch() {
        state.air.insert(Message::Ready { epoch, needs_grant, again: true });
    }
}
