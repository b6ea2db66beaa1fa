//! What the scheduler does: takes reports, sweeps, dies between storing and sending.

use scheduler_engine::Stale;
use scheduler_engine::command::Command;
use scheduler_engine::event::{Event, Told};
use shared_model::{Epoch as Number, WorkerId};

use crate::engine::{NOW, first};
use crate::work::{Action, Guard, Work};
use crate::world::{Epoch, Id, Message, State};

pub(crate) fn actions(work: &Work, state: &State, actions: &mut Vec<Action>) {
    let reports = state.air.iter().filter(|message| is_report(message));
    actions.extend(reports.cloned().map(Action::Report));
    if needs_sweep(state) {
        actions.push(Action::Sweep);
    }
    actions.extend(answers(work, state).into_iter().map(Action::Tell));
}

fn is_report(message: &Message) -> bool {
    match message {
        Message::Started { .. } | Message::LeaseEnded { .. } | Message::Finished { .. } => true,
        Message::Ready { .. } | Message::Grant { .. } | Message::Abort { .. } => false,
    }
}

/// A lease that is gone, or a bell that nobody heard.
fn needs_sweep(state: &State) -> bool {
    // Whoever cannot be asked is not called lost.
    let Some(flight) = state.row.flight(0).filter(|_| !state.is_away) else { return false };
    let queue_is_empty = !state.air.iter().any(|message| matches!(message, Message::Ready { .. }));
    !state.held(flight.epoch.0) && (flight.leased || (queue_is_empty && !state.rang))
}

pub(crate) fn sweep(work: &Work, state: &mut State) {
    let Some(flight) = state.row.flight(0) else { return };
    if flight.leased {
        let _stale = lost(work, state, flight.epoch.0);
        return;
    }
    state.rang = true;
    work.sent_twice(state, true);
    let commands = state.row.execution().outstanding_of(0);
    send(work, state, commands);
}

fn lost(work: &Work, state: &mut State, epoch: Epoch) -> Result<(), Stale> {
    apply(work, state, Event::LeaseExpired { attempt: first(0), epoch: Number(epoch), at: NOW })?;
    if !work.has(Guard::Unknown) && state.row.execution().stage(0).waits_for_outcome() {
        tell(state, Told::Repeat);
        let commands = state.row.execution().outstanding_of(0);
        send(work, state, commands);
    }
    Ok(())
}

/// What a person may answer who has looked at the target.
fn answers(work: &Work, state: &State) -> Vec<Told> {
    let waits = state.row.execution().stage(0).waits_for_outcome();
    let nobody_left = state.workers.iter().all(|worker| worker.doing.epoch().is_none());
    match state.effects {
        _ if !waits || state.row.has_ended() => vec![],
        0 if nobody_left || !work.has(Guard::CarefulPerson) => vec![Told::Fail, Told::Repeat],
        0 => vec![Told::Fail],
        _ => vec![Told::Done],
    }
}

pub(crate) fn tell(state: &mut State, told: Told) {
    let event = Event::OutcomeTold { stage: 0, told, by: String::new(), at: NOW };
    if let Ok((row, _)) = state.row.step(event) {
        // Its commands are lost: the sweep finds them.
        (state.row, state.rang, state.has_asked_a_person) = (row, false, true);
    }
}

pub(crate) fn report(work: &Work, state: &mut State, message: &Message) {
    state.air.remove(message);
    let sent = event(work, state, message).map(|event| apply(work, state, event));
    if let (Message::Started { epoch, from }, Some(Err(_))) = (message, sent) {
        state.air.insert(Message::Abort { epoch: *epoch, to: *from });
    }
}

/// The report is stored, and nothing else: the next process finds what is to be done.
pub(crate) fn crash_after(work: &Work, state: &mut State, message: &Message) {
    let stored = event(work, state, message).map(|event| state.row.step(event));
    if let Some(Ok((row, _))) = stored {
        state.row = row;
    }
    let (row, commands) = state.row.reloaded();
    state.row = row;
    send(work, state, commands);
}

fn event(work: &Work, state: &State, message: &Message) -> Option<Event> {
    let newest = state.row.flight(0).map(|flight| flight.epoch.0);
    let number = |epoch: Epoch| match newest {
        Some(newest) if !work.has(Guard::Epoch) => Number(newest),
        Some(_) | None => Number(epoch),
    };
    let (attempt, at) = (first(0), NOW);
    Some(match message {
        Message::Started { epoch, from } => {
            let (epoch, worker) = (number(*epoch), name(*from));
            Event::LeaseGranted { attempt, epoch, worker, waits: false, at }
        }
        Message::LeaseEnded { epoch } => Event::LeaseExpired { attempt, epoch: number(*epoch), at },
        Message::Finished { epoch, from, end } => {
            let (epoch, worker, outcome) = (number(*epoch), name(*from), (*end).into());
            Event::AttemptFinished {
                attempt,
                epoch,
                worker,
                outcome,
                expressions_failed: false,
                at,
            }
        }
        Message::Ready { .. } | Message::Grant { .. } | Message::Abort { .. } => return None,
    })
}

fn apply(work: &Work, state: &mut State, event: Event) -> Result<(), Stale> {
    let (row, commands) = state.row.step(event)?;
    (state.row, state.rang) = (row, false);
    send(work, state, commands);
    Ok(())
}

pub(crate) fn send(work: &Work, state: &mut State, commands: Vec<Command>) {
    let mut newest = state.newest;
    let message = |command| match command {
        Command::Dispatch { epoch, needs_grant, .. } => {
            let needs_grant = needs_grant && work.has(Guard::Grant);
            newest = newest.max(epoch.0);
            Some(Message::Ready { epoch: epoch.0, needs_grant, again: false })
        }
        Command::Grant { epoch, worker, .. } => {
            Some(Message::Grant { epoch: epoch.0, to: id(&worker) })
        }
        Command::Abort { epoch, worker, .. } => {
            worker.map(|worker| Message::Abort { epoch: epoch.0, to: id(&worker) })
        }
        Command::Evaluate { .. }
        | Command::Arm { .. }
        | Command::WatchChild { .. }
        | Command::CancelChild { .. }
        | Command::AskToStart
        | Command::Announce { .. } => None,
    };
    state.air.extend(commands.into_iter().filter_map(message));
    state.newest = newest;
}

fn name((slot, life): Id) -> WorkerId {
    WorkerId::new(format!("{slot}-{life}"))
}

fn id(worker: &WorkerId) -> Id {
    let (slot, life) = worker.as_str().split_once('-').unwrap();
    (slot.parse().unwrap(), life.parse().unwrap())
}
