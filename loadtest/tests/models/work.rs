//! One task, two workers, a scheduler, a lease store and a target, with every accident at any time.
//!
//! The engine is the real one. Worker and lease store are told again, after `worker/src/attempt.rs`,
//! `worker/src/in_flight.rs` and `shared/adapters/src/memory/leases/table.rs`; the sweep after
//! `scheduler/src/control/sweep.rs`. Every process may be as slow as can be, so that one that is
//! paused and comes back is in every story; messages come in any order.

use shared_model::{Effects, Status};
use stateright::{Model, Property};

use crate::engine::{Plan, Row, TAKEOVERS_MAX, run, worker_task};
use crate::world::{Doing, Message, State};
use crate::{scheduler, worker};

/// What can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A lease store that refuses.
    Claim,
    /// Reports of old epochs change nothing.
    Epoch,
    /// The target recognises the key of an effect.
    Key,
    /// Looking for the effect and making it are one step at the target.
    KeyAtTarget,
    /// Work that cannot be recognised begins after its claim is in the journal.
    Grant,
    /// Such work, once lost, asks.
    Unknown,
    /// An epoch that ended is remembered, by its worker and by the lease store.
    Ended,
    /// A worker's id is its process's own.
    OwnId,
    /// A worker that is asked for what has ended says so.
    LeaseEnded,
    /// Work that cannot be recognised is not taken over while its lease lives; other work is, as soon as
    /// its message comes again.
    Patience,
    /// While no lease can be had, only work begins whose effects are recognised.
    Recognised,
    /// While no lease can be had, only work begins that nobody can have begun before.
    FirstDelivery,
    /// Who says that work is to be repeated has made sure that nobody is still at it.
    CarefulPerson,
}

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accident {
    /// A message is lost.
    Lose,
    /// A message comes twice.
    Double,
    /// A worker's process dies; another one starts.
    Crash,
    /// A worker is cut off from the broker: its message comes again although it lives.
    Cut,
    /// The scheduler's process dies after it stored, before it sent.
    SchedulerCrash,
    /// A lease ends although its holder lives.
    Expire,
    /// The lease store forgets everything.
    Forget,
    /// A worker is asked to stop.
    Drain,
    /// The lease store cannot be reached for a while. Once it can be, it waits for the beats of all who
    /// live before it grants what it does not know.
    Away,
    /// The same, and it has forgotten everything by then.
    AwayEmpty,
}

/// One model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) effects: Effects,
    pub(crate) without: Option<Guard>,
    pub(crate) accidents: &'static [Accident],
    pub(crate) accidents_max: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// The scheduler takes a report.
    Report(Message),
    /// The scheduler looks at leases and queues.
    Sweep,
    /// A person says what became of the work.
    Tell(scheduler_engine::event::Told),
    /// A worker takes a message.
    Take(u8, Message),
    Look(u8),
    Act(u8),
    Finish(u8),
    /// A worker ends early: its lease is gone, or it stops.
    EndEarly(u8),
    AskAgain(u8),
    GiveUp(u8),
    /// A worker that began without a lease asks for one.
    ClaimLate(u8),
    /// The lease store can be reached again.
    ComeBack,
    /// The lease of somebody who is gone ends.
    RunsOut,
    Lose(Message),
    /// As the action, but the message comes again later.
    Double(Box<Action>),
    /// As the report, but the process dies after it is stored; another one starts.
    CrashAfter(Message),
    /// A worker dies; its message comes again, or it was acknowledged before.
    Crash {
        slot: u8,
        comes_again: bool,
    },
    Cut(u8),
    Expire,
    Forget,
    Drain(u8),
    GoAway {
        empty: bool,
    },
}

impl Work {
    pub(crate) fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    pub(crate) fn is_unkeyed(&self) -> bool {
        self.effects == Effects::Unkeyed
    }

    fn progress(&self, state: &State) -> Vec<Action> {
        let mut actions = Vec::new();
        scheduler::actions(self, state, &mut actions);
        worker::actions(self, state, &mut actions);
        actions
    }

    fn mishaps(&self, state: &State, progress: &[Action]) -> Vec<Action> {
        let one = |accident: &Accident| -> Vec<Action> {
            let slots = [0, 1].into_iter();
            match accident {
                Accident::Lose => state.air.iter().cloned().map(Action::Lose).collect(),
                Accident::Double => progress
                    .iter()
                    .filter(|action| matches!(action, Action::Report(_) | Action::Take(..)))
                    .cloned()
                    .map(|action| Action::Double(Box::new(action)))
                    .collect(),
                Accident::SchedulerCrash => progress
                    .iter()
                    .filter_map(|action| match action {
                        Action::Report(message) => Some(Action::CrashAfter(message.clone())),
                        _ => None,
                    })
                    .collect(),
                Accident::Crash => slots
                    .filter(|slot| state.workers[usize::from(*slot)].doing != Doing::Nothing)
                    .flat_map(|slot| {
                        let crash = |comes_again| Action::Crash { slot, comes_again };
                        [crash(true), crash(false)]
                    })
                    .collect(),
                Accident::Cut => slots
                    .filter(|slot| state.workers[usize::from(*slot)].doing != Doing::Nothing)
                    .map(Action::Cut)
                    .collect(),
                Accident::Expire if state.lease.as_ref().is_some_and(|lease| lease.is_live) => {
                    vec![Action::Expire]
                }
                Accident::Forget if state.lease.is_some() => vec![Action::Forget],
                Accident::Drain => slots
                    .filter(|_| state.workers.iter().all(|worker| !worker.is_draining))
                    .map(Action::Drain)
                    .collect(),
                Accident::Away if !state.is_away => vec![Action::GoAway { empty: false }],
                Accident::AwayEmpty if !state.is_away => vec![Action::GoAway { empty: true }],
                Accident::Expire | Accident::Forget | Accident::Away | Accident::AwayEmpty => {
                    Vec::new()
                }
            }
        };
        self.accidents.iter().flat_map(one).collect()
    }

    fn carry_out(&self, state: &mut State, action: &Action) -> bool {
        match action {
            Action::Report(message) => scheduler::report(self, state, message),
            Action::Sweep => scheduler::sweep(self, state),
            Action::Tell(told) => scheduler::tell(state, *told),
            Action::Take(..)
            | Action::Look(_)
            | Action::Act(_)
            | Action::Finish(_)
            | Action::EndEarly(_)
            | Action::AskAgain(_)
            | Action::GiveUp(_)
            | Action::ClaimLate(_)
            | Action::RunsOut => worker::act(self, state, action),
            Action::ComeBack => state.is_away = false,
            mishap => return self.go_wrong(state, mishap),
        }
        true
    }

    /// Notes it where it matters, so that there are fewer states elsewhere.
    pub(crate) fn sent_twice(&self, state: &mut State, it_was: bool) {
        state.was_sent_twice |= it_was && self.accidents.contains(&Accident::Away);
    }

    fn go_wrong(&self, state: &mut State, action: &Action) -> bool {
        state.accident();
        match action {
            Action::Lose(message) => drop(state.air.remove(message)),
            Action::Double(twice) => {
                let (Action::Report(message) | Action::Take(_, message)) = &**twice else {
                    return false;
                };
                self.carry_out(state, twice);
                state.air.insert(message.clone());
                let is_first = matches!(message, Message::Ready { again: false, .. });
                self.sent_twice(state, is_first);
            }
            Action::CrashAfter(message) => scheduler::crash_after(self, state, message),
            Action::Crash { slot, comes_again } => worker::crash(self, state, *slot, *comes_again),
            Action::Expire => state.lease.iter_mut().for_each(|lease| lease.is_live = false),
            Action::Forget => (state.lease, state.has_forgotten) = (None, true),
            Action::Cut(slot) => worker::cut(self, state, *slot),
            Action::GoAway { empty } => {
                (state.is_away, state.was_away) = (true, true);
                if *empty {
                    (state.lease, state.has_forgotten) = (None, true);
                }
            }
            Action::Drain(slot) => state.worker(*slot).is_draining = true,
            _ => return false,
        }
        true
    }
}

impl Model for Work {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let plan: Plan = if self.is_unkeyed() {
            |_| run(vec![worker_task(Effects::Unkeyed)], Default::default())
        } else {
            |_| run(vec![worker_task(Effects::Keyed)], Default::default())
        };
        let (row, commands) = Row::submit(&[&[]], plan);
        let mut state = State::first(row);
        scheduler::send(self, &mut state, commands);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let progress = self.progress(state);
        if state.accidents < self.accidents_max {
            actions.extend(self.mishaps(state, &progress));
        }
        actions.extend(progress);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        if !self.carry_out(&mut state, &action) {
            return None;
        }
        if self.has(Guard::Epoch) {
            state.drop_the_void();
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("an effect is made once at most", |_, state: &State| {
                state.effects <= 1
            }),
            Property::always("what succeeded was done", |_, state: &State| {
                state.row.status() != Status::Succeeded || state.effects >= 1
            }),
            Property::always(
                "an epoch is begun once, unless leases were forgotten",
                |_, state: &State| state.has_forgotten || state.was_away || !state.begun_again,
            ),
            Property::always(
                "without leases two who live are not at one epoch, unless its message was sent twice",
                |_, state: &State| {
                    let [one, other] = state.workers.each_ref().map(|worker| worker.doing.epoch());
                    let excused = state.has_forgotten || state.was_sent_twice;
                    excused || one.is_none() || one != other
                },
            ),
            Property::always("nothing ends while its worker rightly works", |_, state: &State| {
                let unleased = state.has_forgotten || state.was_away;
                // What was taken over too often is given up, whoever works on it by then.
                let tasks = state.row.execution().stage(0).tasks();
                let given_up = tasks.iter().any(|task| task.takeovers >= TAKEOVERS_MAX);
                let excused = unleased || given_up;
                !state.row.has_ended() || excused || !state.somebody_rightly_works()
            }),
            Property::always("it is never stuck", |work: &Self, state: &State| {
                state.row.has_ended() || !work.progress(state).is_empty()
            }),
            Property::always("no accident spends a retry", |_, state: &State| {
                state.row.execution().stage(0).tasks().iter().all(|task| task.number <= 1)
            }),
            Property::always(
                "what cannot be recognised begins once it is granted",
                |_, state: &State| !state.began_unseen,
            ),
            Property::sometimes("a takeover succeeds", |_, state: &State| {
                state.row.status() == Status::Succeeded
                    && (state.begun.len() > 1 || state.has_asked_a_person)
            }),
            Property::sometimes(
                "all accidents, and yet it succeeds",
                |work: &Self, state: &State| {
                    state.row.status() == Status::Succeeded && state.accidents == work.accidents_max
                },
            ),
        ]
    }
}
