//! Two schedulers believe that they own a shard: the journal's expected version decides, and a stage
//! behind two others starts once.
//!
//! Both hear every report, as often and as late as can be; both may die, or be paused between what
//! they decide and what they store, at any moment.

use std::collections::BTreeSet;

use scheduler_engine::command::Command;
use scheduler_engine::event::{Event, Outcome, StageIndex};
use shared_model::{Effects, Status, WorkerId};
use stateright::{Model, Property};

use crate::engine::{NOW, Row, first, run, worker_task};
use crate::search::{breaks, holds};

/// Two branches of two stages, and one stage behind both.
const STAGES: &[&[u32]] = &[&[], &[], &[0], &[1], &[2, 3]];
const JOIN: StageIndex = 4;

#[derive(Debug, Clone, Copy)]
struct Owners {
    checks_version: bool,
}

type Version = u8;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Scheduler {
    /// What it has in memory, and the version that this is.
    memory: (Row, Version),
    /// What it has decided and not stored.
    decided: Option<(Row, Vec<Given>)>,
}

/// A stage's task, given out with an epoch.
type Given = (StageIndex, u64);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    journal: (Row, Version),
    schedulers: [Scheduler; 2],
    given: BTreeSet<Given>,
    /// Whether something that had ended was stored as if it had not, or otherwise.
    went_back: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    /// One takes the report of a stage's end.
    Finished(usize, Given),
    /// One takes a person's word.
    Cancel(usize),
    Store(usize),
    /// One dies, and another process takes up what is stored.
    Crash(usize),
}

fn given(commands: &[Command]) -> Vec<Given> {
    let dispatched = commands.iter().filter_map(|command| match command {
        Command::Dispatch { attempt, epoch, .. } => Some((attempt.stage, epoch.0)),
        _ => None,
    });
    dispatched.collect()
}

fn event(action: &Action) -> Option<(usize, Event)> {
    Some(match *action {
        Action::Finished(who, (stage, epoch)) => {
            let (attempt, epoch) = (first(stage), shared_model::Epoch(epoch));
            let (worker, outcome) = (WorkerId::new("w"), Outcome::Succeeded);
            (
                who,
                Event::AttemptFinished {
                    attempt,
                    epoch,
                    worker,
                    outcome,
                    expressions_failed: false,
                    at: NOW,
                },
            )
        }
        Action::Cancel(who) => {
            (who, Event::CancelRequested { by: String::new(), reason: String::new(), at: NOW })
        }
        Action::Store(_) | Action::Crash(_) => return None,
    })
}

impl State {
    fn take_up(&mut self, who: usize) {
        let (row, commands) = self.journal.0.reloaded();
        self.given.extend(given(&commands));
        self.schedulers[who] = Scheduler { memory: (row, self.journal.1), decided: None };
    }

    fn store(&mut self, model: &Owners, who: usize) {
        let Some((row, commands)) = self.schedulers[who].decided.take() else { return };
        if model.checks_version && self.schedulers[who].memory.1 != self.journal.1 {
            return self.take_up(who);
        }
        self.went_back |= goes_back(&self.journal.0, &row);
        self.journal = (row, self.journal.1 + 1);
        self.schedulers[who].memory = self.journal.clone();
        self.given.extend(commands);
    }
}

/// Whether something that has ended has not, or has ended otherwise.
fn goes_back(before: &Row, after: &Row) -> bool {
    let changed = |old: Status, new: Status| old.is_complete() && old != new;
    let stages = 0..before.execution().stage_count();
    changed(before.status(), after.status())
        || stages.into_iter().any(|at| {
            changed(before.execution().stage(at).status(), after.execution().stage(at).status())
        })
}

impl Model for Owners {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let plan = |_| run(vec![worker_task(Effects::Keyed)], Default::default());
        let (row, commands) = Row::submit(STAGES, plan);
        let one = Scheduler { memory: (row.clone(), 1), decided: None };
        let given = given(&commands).into_iter().collect();
        vec![State { journal: (row, 1), schedulers: [one.clone(), one], given, went_back: false }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for who in [0, 1] {
            if state.schedulers[who].decided.is_some() {
                actions.push(Action::Store(who));
            } else {
                actions.extend(state.given.iter().map(|given| Action::Finished(who, *given)));
                actions.push(Action::Cancel(who));
            }
            actions.push(Action::Crash(who));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match (&action, event(&action)) {
            (_, Some((who, event))) => {
                let (row, commands) = last.schedulers[who].memory.0.step(event).ok()?;
                state.schedulers[who].decided = Some((row, given(&commands)));
            }
            (Action::Store(who), None) => state.store(self, *who),
            (Action::Crash(who), None) => state.take_up(*who),
            (Action::Finished(..) | Action::Cancel(_), None) => {}
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what ended stays as it ended", |_, state: &State| !state.went_back),
            Property::always("an epoch is given out for one stage", |_, state: &State| {
                let epochs: BTreeSet<u64> = state.given.iter().map(|(_, epoch)| *epoch).collect();
                epochs.len() == state.given.len()
            }),
            Property::always("each stage is given out with one epoch", |_, state: &State| {
                let stages: BTreeSet<u32> = state.given.iter().map(|(stage, _)| *stage).collect();
                stages.len() == state.given.len()
            }),
            Property::always("the join begins behind both", |_, state: &State| {
                let done = |at| state.journal.0.execution().stage(at).status() == Status::Succeeded;
                !state.given.iter().any(|(stage, _)| *stage == JOIN) || (done(2) && done(3))
            }),
            Property::sometimes("it succeeds", |_, state: &State| {
                state.journal.0.status() == Status::Succeeded
            }),
            Property::sometimes("it is cancelled between", |_, state: &State| {
                let one = state.journal.0.execution().stage(0).status() == Status::Succeeded;
                one && state.journal.0.status() == Status::Canceled
            }),
        ]
    }
}

#[test]
fn the_expected_version_decides() {
    holds("two owners of a shard", Owners { checks_version: true });
}

#[test]
fn without_the_expected_version_what_ended_has_not() {
    let open = Owners { checks_version: false };
    breaks("two owners without the expected version", open, "what ended stays as it ended");
    breaks("two owners without the expected version", open, "the join begins behind both");
    breaks("two owners without the expected version", open, "an epoch is given out for one stage");
}
