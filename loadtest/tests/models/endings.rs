//! Everything that can end a stage, against everything else: reports, timers, lost workers, a cancel.
//!
//! What was ever sent or armed may come in any order, late, twice or never.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use scheduler_engine::command::Command;
use scheduler_engine::event::{AttemptKey, Event, Outcome, StageIndex, Timer};
use scheduler_engine::plan::Settings;
use shared_model::{Effects, Epoch, Retry, Status, WorkerId};
use stateright::{Model, Property};

use crate::engine::{NOW, Row, run, worker_task};
use crate::search::{breaks, holds};

/// Two stages, the first of them with a time limit, and one behind both.
const STAGES: &[&[u32]] = &[&[], &[], &[0, 1]];
const JOIN: StageIndex = 2;

#[derive(Debug, Clone, Copy)]
struct Endings {
    ended_is_ended: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    row: Row,
    given: BTreeSet<(AttemptKey, Epoch)>,
    armed: BTreeSet<(Timer, Timestamp)>,
    /// How often each stage began.
    begun: [u8; 3],
    went_back: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    Started(AttemptKey, Epoch),
    Finished(AttemptKey, Epoch, Outcome),
    Lost(AttemptKey, Epoch),
    Fired(Timer, Timestamp),
    Cancel,
}

fn event(action: Action) -> Event {
    let (worker, at) = (WorkerId::new("w"), NOW);
    match action {
        Action::Started(attempt, epoch) => {
            Event::LeaseGranted { attempt, epoch, worker, waits: false, at }
        }
        Action::Finished(attempt, epoch, outcome) => Event::AttemptFinished {
            attempt,
            epoch,
            worker,
            outcome,
            expressions_failed: false,
            at,
        },
        Action::Lost(attempt, epoch) => Event::LeaseExpired { attempt, epoch, at },
        Action::Fired(timer, at) => Event::TimerFired { timer, at },
        Action::Cancel => Event::CancelRequested { by: String::new(), reason: String::new(), at },
    }
}

impl State {
    fn take(&mut self, row: Row, commands: Vec<Command>) {
        let statuses = |row: &Row| [0, 1, 2].map(|at| row.execution().stage(at).status());
        let (before, after) = (statuses(&self.row), statuses(&row));
        for (begun, (old, new)) in self.begun.iter_mut().zip(before.into_iter().zip(after)) {
            *begun += u8::from(old != Status::Running && new == Status::Running);
            self.went_back |= old.is_complete() && old != new;
        }
        self.went_back |= self.row.has_ended() && self.row.status() != row.status();
        self.row = row;
        for command in commands {
            match command {
                Command::Dispatch { attempt, epoch, .. } => {
                    self.given.insert((attempt, epoch));
                }
                Command::Arm { timer, at } => {
                    self.armed.insert((timer, at));
                }
                _ => {}
            }
        }
    }
}

impl Model for Endings {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let plan = |stage| {
            let timeout = (stage == 0).then_some(SignedDuration::from_secs(9));
            run(vec![worker_task(Effects::Keyed)], Settings { timeout, ..Settings::default() })
        };
        let (row, commands) = Row::submit(STAGES, plan);
        let mut state = State {
            row: row.clone(),
            given: BTreeSet::new(),
            armed: BTreeSet::new(),
            begun: [1, 1, 0],
            went_back: false,
        };
        state.take(row, commands);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for &(attempt, epoch) in &state.given {
            // One stage has every outcome, the others one or two: their number counts.
            let mut outcomes = vec![Outcome::Succeeded];
            match attempt.stage {
                0 => outcomes.extend([Outcome::Failed { retry: Retry::Later }, Outcome::Canceled]),
                1 => outcomes.push(Outcome::Failed { retry: Retry::Never }),
                _ => {}
            }
            actions.push(Action::Started(attempt, epoch));
            actions.extend(outcomes.into_iter().map(|end| Action::Finished(attempt, epoch, end)));
            if attempt.stage == 0 {
                actions.push(Action::Lost(attempt, epoch));
            }
        }
        actions.extend(state.armed.iter().map(|(timer, at)| Action::Fired(*timer, *at)));
        actions.push(Action::Cancel);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let is_open = last.row.has_ended() && !self.ended_is_ended;
        let row = if is_open { last.row.reopened() } else { last.row.clone() };
        let (row, commands) = row.step(event(action)).ok()?;
        let mut state = last.clone();
        state.take(row, commands);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what ended stays as it ended", |_, state: &State| !state.went_back),
            Property::always("a stage begins once", |_, state: &State| {
                state.begun.iter().all(|begun| *begun <= 1)
            }),
            Property::always("the join begins behind both", |_, state: &State| {
                let done = |at| state.row.execution().stage(at).status() == Status::Succeeded;
                state.begun[JOIN as usize] == 0 || (done(0) && done(1))
            }),
            Property::always("what ended has nothing left that runs", |_, state: &State| {
                let running = |at| state.row.execution().stage(at).status() == Status::Running;
                !state.row.has_ended() || ![0, 1, 2].into_iter().any(running)
            }),
            Property::always(
                "who heard that it is cancelled sees no success",
                |_, state: &State| {
                    let canceled = state.row.execution().canceled().is_some();
                    !canceled || state.row.status() != Status::Succeeded
                },
            ),
            Property::always("it is never stuck", |model: &Self, state: &State| {
                state.row.has_ended() || !model.next_states(state).is_empty()
            }),
            Property::sometimes("it succeeds after a retry and a takeover", |_, state: &State| {
                let tried =
                    state.row.execution().stage(0).tasks().iter().any(|task| task.number > 1);
                tried && state.given.len() > 4 && state.row.status() == Status::Succeeded
            }),
            Property::sometimes("it is cancelled", |_, state: &State| {
                state.row.status() == Status::Canceled
            }),
            Property::sometimes("time is up", |_, state: &State| {
                state.row.execution().stage(0).status() == Status::Terminal
            }),
        ]
    }
}

#[test]
fn what_has_ended_stays_as_it_ended() {
    holds("everything that ends a stage", Endings { ended_is_ended: true });
}

#[test]
fn without_the_refusal_what_has_ended_ends_otherwise() {
    let open = Endings { ended_is_ended: false };
    breaks("endings without their end", open, "what ended stays as it ended");
}
