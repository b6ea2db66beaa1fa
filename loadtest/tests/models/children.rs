//! A stage starts another execution and waits for it, while schedulers die and a person cancels.
//!
//! Both executions are real; who stores, looks and cancels is told again after
//! `scheduler/src/control/children.rs` and `children/watched.rs`.

use std::collections::BTreeMap;

use scheduler_engine::command::{Command, Evaluate};
use scheduler_engine::event::{Event, Outcome};
use scheduler_engine::plan::TaskKind;
use shared_model::{Effects, Status, WorkerId};
use stateright::{Model, Property};

use crate::engine::{NOW, Row, first, run, worker_task};
use crate::search::{breaks, holds};

/// What can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// The child's id follows from its parent's stage run.
    DerivedId,
    /// Parent and child are stored in one transaction.
    OneTransaction,
    /// The journal refuses a child together with its parent, where another owner changed that.
    RefusedTogether,
    /// What is outstanding is done again: by a process that starts, and by the sweep.
    Outstanding,
}

#[derive(Debug, Clone, Copy)]
struct Children {
    without: &'static [Guard],
}

type Id = u8;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    parent: Row,
    /// Which child the parent's context names.
    named: Option<Id>,
    children: BTreeMap<Id, Row>,
    /// What the process has stored of a start, where that takes two steps.
    half: Option<Id>,
    /// Whether the process knows that it is to start the child.
    is_to_start: bool,
    /// Whether the process knows that it is to cancel the child.
    is_to_cancel: bool,
    crashes: u8,
    /// Whether another owner, who knows the parent as it was at first, has stored its start.
    is_old_owner_done: bool,
}

const CRASHES_MAX: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    /// The stage's task is carried out and stored.
    Start,
    /// As that, by another owner who knows the parent as it was at first.
    StartByOldOwner,
    /// The second of two transactions.
    StoreParent,
    /// The child's work is done.
    Work(Id),
    /// The parent hears of the end of its child.
    Tell,
    CancelParent,
    CancelChild,
    Sweep,
    Crash,
}

impl Children {
    fn has(&self, guard: Guard) -> bool {
        !self.without.contains(&guard)
    }

    fn start(&self, state: &mut State) {
        // An id that is not derived is one that nobody had.
        let fresh = state.crashes + 1;
        let id = if self.has(Guard::DerivedId) { 0 } else { fresh };
        state.children.entry(id).or_insert_with(child);
        state.half = Some(id);
        state.is_to_start = false;
        if self.has(Guard::OneTransaction) {
            Self::store_parent(state);
        }
    }

    /// Its parent is refused; the child is not, unless both are or there is one of that id.
    fn start_by_old_owner(&self, state: &mut State) {
        let id = if self.has(Guard::DerivedId) { 0 } else { CRASHES_MAX + 2 };
        state.is_old_owner_done = true;
        if !self.has(Guard::RefusedTogether) {
            state.children.entry(id).or_insert_with(child);
        }
    }

    fn store_parent(state: &mut State) {
        state.named = state.half.take();
        let started = native(0, Outcome::Succeeded);
        if let Ok((row, _)) = state.parent.step(started) {
            state.parent = row;
        }
    }

    fn take_up(&self, state: &mut State) {
        let (parent, commands) = state.parent.reloaded();
        (state.parent, state.half) = (parent, None);
        (state.is_to_start, state.is_to_cancel) = (starts(&commands), false);
        if self.has(Guard::Outstanding) {
            state.is_to_cancel = cancels(&commands);
        }
    }
}

fn child() -> Row {
    Row::submit(&[&[]], |_| run(vec![worker_task(Effects::Keyed)], Default::default())).0
}

fn native(task: u16, outcome: Outcome) -> Event {
    Event::NativeFinished { stage: 0, task, outcome, expressions_failed: false, at: NOW }
}

fn starts(commands: &[Command]) -> bool {
    commands
        .iter()
        .any(|command| matches!(command, Command::Evaluate { what: Evaluate::Native(_), .. }))
}

fn cancels(commands: &[Command]) -> bool {
    commands.iter().any(|command| matches!(command, Command::CancelChild { .. }))
}

fn cancel() -> Event {
    Event::CancelRequested { by: String::new(), reason: String::new(), at: NOW }
}

/// What the end of a child is to its parent.
fn end_of(child: Option<&Row>) -> Option<Outcome> {
    match child.map(Row::status) {
        None => Some(Outcome::Failed { retry: shared_model::Retry::Never }),
        Some(Status::Succeeded) => Some(Outcome::Succeeded),
        Some(Status::Canceled) => Some(Outcome::Canceled),
        Some(_) => None,
    }
}

impl State {
    fn waits(&self) -> bool {
        self.parent.execution().stage(0).current_task() == Some(1)
    }

    fn child(&self) -> Option<&Row> {
        self.children.get(&self.named?)
    }

    fn step_child(&mut self, id: Id, event: Event) -> Option<()> {
        let (row, _) = self.children.get(&id)?.step(event).ok()?;
        self.children.insert(id, row);
        Some(())
    }
}

impl Model for Children {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let plan = |_| run(vec![TaskKind::Native, TaskKind::Child], Default::default());
        let (parent, commands) = Row::submit(&[&[]], plan);
        vec![State {
            parent,
            named: None,
            children: BTreeMap::new(),
            half: None,
            is_to_start: starts(&commands),
            is_to_cancel: false,
            crashes: 0,
            is_old_owner_done: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut when = |is: bool, action| actions.extend(is.then_some(action));
        when(state.is_to_start && !state.parent.has_ended(), Action::Start);
        let has_changed = state.named.is_some() || state.parent.execution().canceled().is_some();
        when(has_changed && !state.is_old_owner_done, Action::StartByOldOwner);
        when(state.half.is_some(), Action::StoreParent);
        when(state.waits() && end_of(state.child()).is_some(), Action::Tell);
        when(state.is_to_cancel, Action::CancelChild);
        let is_ending = state.waits() && state.parent.execution().stage(0).is_ending();
        when(is_ending && !state.is_to_cancel && self.has(Guard::Outstanding), Action::Sweep);
        // Between two transactions the process is at nothing else.
        when(state.half.is_none(), Action::CancelParent);
        when(state.crashes < CRASHES_MAX, Action::Crash);
        let open = state.children.iter().filter(|(_, child)| !child.has_ended());
        actions.extend(open.map(|(id, _)| Action::Work(*id)));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Start => self.start(&mut state),
            Action::StartByOldOwner => self.start_by_old_owner(&mut state),
            Action::StoreParent => Self::store_parent(&mut state),
            Action::Work(id) => {
                let (epoch, worker) = (shared_model::Epoch(1), WorkerId::new("w"));
                let (outcome, at) = (Outcome::Succeeded, NOW);
                state.step_child(
                    id,
                    Event::AttemptFinished {
                        attempt: first(0),
                        epoch,
                        worker,
                        outcome,
                        expressions_failed: false,
                        at,
                    },
                )?;
            }
            Action::Tell => {
                let event = native(1, end_of(state.child())?);
                state.parent = state.parent.step(event).ok()?.0;
            }
            Action::CancelParent => {
                let (row, commands) = state.parent.step(cancel()).ok()?;
                (state.parent, state.is_to_cancel) = (row, cancels(&commands));
            }
            Action::CancelChild => {
                state.is_to_cancel = false;
                let _too_late = state.named.and_then(|id| state.step_child(id, cancel()));
            }
            Action::Sweep => {
                let child = state.child()?;
                state.is_to_cancel = child.execution().canceled().is_none();
            }
            Action::Crash => {
                state.crashes += 1;
                self.take_up(&mut state);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a run of a stage starts one execution", |_, state: &State| {
                state.children.len() <= 1
            }),
            Property::always("the child that is named exists", |_, state: &State| {
                state.named.is_none_or(|id| state.children.contains_key(&id))
            }),
            Property::always("no child outlives its parent", |_, state: &State| {
                !state.parent.has_ended() || state.children.values().all(Row::has_ended)
            }),
            Property::always("a parent succeeds with its child", |_, state: &State| {
                state.parent.status() != Status::Succeeded
                    || state.child().is_some_and(|child| child.status() == Status::Succeeded)
            }),
            // The child's work may take for ever: it is not what is waited for.
            Property::always(
                "a cancel reaches the child or is on its way",
                |model: &Self, state: &State| {
                    let is_ending = state.waits() && state.parent.execution().stage(0).is_ending();
                    let mut actions = Vec::new();
                    model.actions(state, &mut actions);
                    let comes = |action: &Action| {
                        matches!(action, Action::Tell | Action::CancelChild | Action::Sweep)
                    };
                    !is_ending || actions.iter().any(comes)
                },
            ),
            Property::sometimes("both succeed after crashes", |_, state: &State| {
                state.crashes == CRASHES_MAX && state.parent.status() == Status::Succeeded
            }),
            Property::sometimes("both are cancelled after crashes", |_, state: &State| {
                let child = state.child().map(Row::status);
                state.crashes == CRASHES_MAX
                    && (state.parent.status(), child) == (Status::Canceled, Some(Status::Canceled))
            }),
        ]
    }
}

#[test]
fn a_child_is_started_once_and_ended_with_its_parent() {
    holds("a child execution", Children { without: &[] });
}

#[test]
fn without_one_transaction_a_child_outlives_its_parent() {
    let open = Children { without: &[Guard::OneTransaction] };
    breaks("a child without OneTransaction", open, "no child outlives its parent");
}

#[test]
fn without_taking_up_what_is_outstanding_a_cancel_is_lost() {
    let open = Children { without: &[Guard::Outstanding] };
    breaks("a child without Outstanding", open, "a cancel reaches the child or is on its way");
}

#[test]
fn without_a_derived_id_two_owners_start_two_children() {
    let open = Children { without: &[Guard::RefusedTogether, Guard::DerivedId] };
    breaks("a child without DerivedId", open, "a run of a stage starts one execution");
}

/// This is how journals are today: each execution of a batch is answered by itself. It takes two
/// owners of one shard to see it.
#[test]
fn a_child_that_is_stored_although_its_parent_is_refused_is_an_orphan() {
    let open = Children { without: &[Guard::RefusedTogether] };
    breaks("a child without RefusedTogether", open, "no child outlives its parent");
}
