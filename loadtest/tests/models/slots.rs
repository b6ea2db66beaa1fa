//! Executions of one pipeline that may not run side by side, on two schedulers: whoever believes that
//! there is room finds out in the transaction that takes it up; what ends makes room in the one that
//! ends it. Both may die, or be paused between what they see and what they store.

use scheduler_engine::command::Command;
use scheduler_engine::event::{Event, Outcome};
use scheduler_engine::plan::Settings;
use shared_model::{Effects, Status, WorkerId};
use stateright::{Model, Property};

use crate::engine::{NOW, Row, first, run, worker_task};
use crate::search::{breaks, holds};

const EXECUTIONS: usize = 4;
const RUNNING_MAX: usize = 2;

#[derive(Debug, Clone, Copy)]
struct Slots {
    /// Whether room is counted in the transaction that takes it up.
    counts_in_the_transaction: bool,
    /// Whether the rows of executions are what is counted; else a counter beside them.
    the_row_is_the_slot: bool,
    /// Whether the oldest is next.
    oldest_first: bool,
}

const AS_BUILT: Slots =
    Slots { counts_in_the_transaction: true, the_row_is_the_slot: true, oldest_first: true };

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    rows: Vec<Row>,
    /// What the counter says, where there is one.
    counted: usize,
    /// Executions that their scheduler has decided to begin, and those whose end it is yet to count.
    decided: [bool; EXECUTIONS],
    uncounted: [bool; EXECUTIONS],
    crashed: bool,
    canceled: bool,
    out_of_turn: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    Look(usize),
    Store(usize),
    Finish(usize),
    Count(usize),
    Cancel(usize),
    /// The scheduler of every other execution dies.
    Crash(usize),
}

impl State {
    fn is(&self, at: usize, status: Status) -> bool {
        self.rows[at].status() == status
    }

    fn running(&self) -> usize {
        (0..EXECUTIONS).filter(|at| self.is(*at, Status::Running)).count()
    }

    fn room(&self, model: &Slots) -> bool {
        let taken = if model.the_row_is_the_slot { self.running() } else { self.counted };
        taken < RUNNING_MAX
    }

    fn waits_before(&self, at: usize) -> bool {
        (0..at).any(|older| self.is(older, Status::NotStarted))
    }

    fn begin(&mut self, model: &Slots, at: usize) {
        self.decided[at] = false;
        if !self.is(at, Status::NotStarted)
            || (model.counts_in_the_transaction && !self.room(model))
        {
            return;
        }
        let begun = self.rows[at].step(Event::Started { at: NOW });
        self.out_of_turn |= self.waits_before(at);
        self.rows[at] = begun.unwrap().0;
        self.counted += 1;
    }

    fn end(&mut self, at: usize, event: Event) -> Option<()> {
        let was_running = self.is(at, Status::Running);
        self.rows[at] = self.rows[at].step(event).ok()?.0;
        self.uncounted[at] = was_running;
        Some(())
    }
}

fn finished() -> Event {
    Event::AttemptFinished {
        attempt: first(0),
        epoch: shared_model::Epoch(1),
        worker: WorkerId::new("w"),
        outcome: Outcome::Succeeded,
        expressions_failed: false,
        at: NOW,
    }
}

impl Model for Slots {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let plan = |_| run(vec![worker_task(Effects::Keyed)], Settings::default());
        let one = || {
            let (row, commands) = Row::submit_limited(&[&[]], plan, RUNNING_MAX as u32);
            assert_eq!(commands, [Command::AskToStart]);
            row
        };
        vec![State {
            rows: (0..EXECUTIONS).map(|_| one()).collect(),
            counted: 0,
            decided: [false; EXECUTIONS],
            uncounted: [false; EXECUTIONS],
            crashed: false,
            canceled: false,
            out_of_turn: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for at in 0..EXECUTIONS {
            let is_next = !self.oldest_first || !state.waits_before(at);
            if state.is(at, Status::NotStarted) && state.room(self) && is_next {
                actions.push(Action::Look(at));
            }
            if state.decided[at] {
                actions.push(Action::Store(at));
            }
            if state.is(at, Status::Running) {
                actions.push(Action::Finish(at));
            }
            if state.uncounted[at] && !self.the_row_is_the_slot {
                actions.push(Action::Count(at));
            }
            if !state.canceled {
                actions.push(Action::Cancel(at));
            }
        }
        if !state.crashed {
            actions.extend([Action::Crash(0), Action::Crash(1)]);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Look(at) => state.decided[at] = true,
            Action::Store(at) => state.begin(self, at),
            Action::Finish(at) => state.end(at, finished())?,
            Action::Count(at) => {
                state.uncounted[at] = false;
                state.counted -= 1;
            }
            Action::Cancel(at) => {
                let (by, reason) = (String::new(), String::new());
                state.end(at, Event::CancelRequested { by, reason, at: NOW })?;
                state.canceled = true;
            }
            Action::Crash(scheduler) => {
                state.crashed = true;
                for at in (scheduler..EXECUTIONS).step_by(2) {
                    state.decided[at] = false;
                    state.uncounted[at] = false;
                    state.rows[at] = state.rows[at].reloaded().0;
                }
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no more run than may", |_, state: &State| {
                state.running() <= RUNNING_MAX
            }),
            Property::always("the oldest is next", |_, state: &State| !state.out_of_turn),
            Property::always("room is never lost", |model: &Self, state: &State| {
                let waits = (0..EXECUTIONS).any(|at| state.is(at, Status::NotStarted));
                let goes_on = state.running() > 0
                    || state.decided.contains(&true)
                    || (!model.the_row_is_the_slot && state.uncounted.contains(&true));
                !waits || goes_on || state.room(model)
            }),
            Property::sometimes("all of them succeed", |_, state: &State| {
                (0..EXECUTIONS).all(|at| state.is(at, Status::Succeeded))
            }),
            Property::sometimes("as many run as may", |_, state: &State| {
                state.running() == RUNNING_MAX
            }),
        ]
    }
}

#[test]
fn there_is_room_for_so_many_and_it_is_never_lost() {
    holds("slots", AS_BUILT);
}

#[test]
fn without_the_count_in_the_transaction_too_many_run() {
    // Whoever looks for room and is not next may have been so when it looked.
    let open = Slots { counts_in_the_transaction: false, oldest_first: false, ..AS_BUILT };
    breaks("slots that are counted before", open, "no more run than may");
}

#[test]
fn with_a_counter_beside_the_rows_room_is_lost() {
    let open = Slots { the_row_is_the_slot: false, ..AS_BUILT };
    breaks("slots beside the rows", open, "room is never lost");
}

#[test]
fn without_the_line_a_younger_one_is_first() {
    let open = Slots { oldest_first: false, ..AS_BUILT };
    breaks("slots without a line", open, "the oldest is next");
}
