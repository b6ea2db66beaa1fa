//! A stage is begun again while the reports of its earlier run are still under way: each may come
//! late, twice or never.

use std::collections::{BTreeMap, BTreeSet};

use scheduler_engine::command::Command;
use scheduler_engine::event::{AttemptKey, Event, Outcome, StageIndex};
use scheduler_engine::plan::Settings;
use shared_model::{Effects, Epoch, StageRun, Status, WorkerId};
use stateright::{Model, Property};

use crate::engine::{NOW, Row, run, worker_task};
use crate::search::{breaks, holds};

/// One stage behind another.
const STAGES: &[&[u32]] = &[&[], &[0]];
/// How often a person asks for a stage once more.
const RESTARTS_MAX: u8 = 2;

#[derive(Debug, Clone, Copy)]
struct Restarts {
    /// A report counts for the attempt of which it tells, and for no other.
    reports_name_their_run: bool,
    /// The key of an effect has the stage's run in it.
    keys_name_their_run: bool,
}

const GUARDED: Restarts = Restarts { reports_name_their_run: true, keys_name_their_run: true };

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    row: Row,
    given: BTreeSet<(AttemptKey, Epoch)>,
    /// Reports that somebody sent: of an effect made, and of none.
    sent: BTreeSet<(AttemptKey, Epoch, bool)>,
    /// The effects that the target knows by their keys.
    known: BTreeSet<(StageIndex, StageRun)>,
    /// How often each run of a stage changed the target.
    made: BTreeMap<(StageIndex, StageRun), u8>,
    restarts: u8,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    Act(AttemptKey, Epoch),
    Fail(AttemptKey, Epoch),
    Report(AttemptKey, Epoch, bool),
    Lose(AttemptKey, Epoch),
    Restart(StageIndex),
}

impl State {
    fn take(&mut self, row: Row, commands: Vec<Command>) {
        self.row = row;
        for command in commands {
            if let Command::Dispatch { attempt, epoch, .. } = command {
                self.given.insert((attempt, epoch));
            }
        }
    }

    fn apply(&mut self, event: Event) -> Option<()> {
        let (row, commands) = self.row.step(event).ok()?;
        self.take(row, commands);
        Some(())
    }

    /// The target does what it is asked for, unless it knows the key.
    fn act(&mut self, model: &Restarts, attempt: AttemptKey, epoch: Epoch) {
        let key = (attempt.stage, if model.keys_name_their_run { attempt.run } else { 1 });
        if self.known.insert(key) {
            *self.made.entry((attempt.stage, attempt.run)).or_default() += 1;
        }
        self.sent.insert((attempt, epoch, true));
    }

    fn report(
        &mut self,
        model: &Restarts,
        attempt: AttemptKey,
        epoch: Epoch,
        acted: bool,
    ) -> Option<()> {
        let newest = self.row.flight(attempt.stage).map(|flight| (flight.attempt, flight.epoch));
        let (attempt, epoch) = match newest {
            Some(newest) if !model.reports_name_their_run => newest,
            Some(_) | None => (attempt, epoch),
        };
        let retry = shared_model::Retry::Never;
        let outcome = if acted { Outcome::Succeeded } else { Outcome::Failed { retry } };
        let worker = WorkerId::new("w");
        self.apply(Event::AttemptFinished {
            attempt,
            epoch,
            worker,
            outcome,
            expressions_failed: false,
            at: NOW,
        })
    }
}

impl Model for Restarts {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let plan = |_| run(vec![worker_task(Effects::Keyed)], Settings::default());
        let (row, commands) = Row::submit(STAGES, plan);
        let mut state = State {
            row: row.clone(),
            given: BTreeSet::new(),
            sent: BTreeSet::new(),
            known: BTreeSet::new(),
            made: BTreeMap::new(),
            restarts: 0,
        };
        state.take(row, commands);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for &(attempt, epoch) in &state.given {
            actions.push(Action::Act(attempt, epoch));
            // Of each stage one run fails: a person then begins it again.
            if attempt.run == 1 && attempt.stage == 0 {
                actions.push(Action::Fail(attempt, epoch));
            }
            if attempt.stage == 0 {
                actions.push(Action::Lose(attempt, epoch));
            }
        }
        let reports = state.sent.iter();
        actions.extend(
            reports.map(|(attempt, epoch, acted)| Action::Report(*attempt, *epoch, *acted)),
        );
        if state.restarts < RESTARTS_MAX {
            actions.extend([Action::Restart(0), Action::Restart(1)]);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Act(attempt, epoch) => state.act(self, attempt, epoch),
            Action::Fail(attempt, epoch) => {
                state.sent.insert((attempt, epoch, false));
            }
            Action::Report(attempt, epoch, acted) => state.report(self, attempt, epoch, acted)?,
            Action::Lose(attempt, epoch) => {
                state.apply(Event::LeaseExpired { attempt, epoch, at: NOW })?;
            }
            Action::Restart(stage) => {
                state.apply(Event::RestartRequested { stage, by: String::new(), at: NOW })?;
                state.restarts += 1;
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a run that succeeded was done", |_, state: &State| {
                [0, 1].into_iter().all(|at| {
                    let stage = state.row.execution().stage(at);
                    stage.status() != Status::Succeeded
                        || state.made.contains_key(&(at, stage.run()))
                })
            }),
            Property::always("a run is done once", |_, state: &State| {
                state.made.values().all(|times| *times <= 1)
            }),
            Property::always("it is never stuck", |model: &Self, state: &State| {
                state.row.has_ended() || !model.next_states(state).is_empty()
            }),
            Property::sometimes("it succeeds in its second run", |_, state: &State| {
                state.row.status() == Status::Succeeded && state.row.execution().stage(0).run() == 2
            }),
        ]
    }
}

#[test]
fn late_reports_change_nothing_in_the_next_run() {
    holds("restarts against late reports", GUARDED);
}

#[test]
fn without_the_run_in_reports_an_old_one_ends_the_next_run() {
    let model = Restarts { reports_name_their_run: false, ..GUARDED };
    breaks("reports of whichever run", model, "a run that succeeded was done");
}

#[test]
fn without_the_run_in_keys_the_next_run_does_nothing() {
    let model = Restarts { keys_name_their_run: false, ..GUARDED };
    breaks("keys without their run", model, "a run that succeeded was done");
}
