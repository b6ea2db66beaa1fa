//! Searches a model to its end.

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

/// States beyond which a model is too large for every run of the tests.
const STATES_MAX: usize = 1_000_000;

/// A model with one property: only then does the search stop at the shortest story.
#[derive(Debug, Clone, Copy)]
struct Only<M: Model> {
    model: M,
    name: &'static str,
    condition: fn(&M, &M::State) -> bool,
}

impl<M: Model> Model for Only<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<M::State> {
        self.model.init_states()
    }

    fn actions(&self, state: &M::State, actions: &mut Vec<M::Action>) {
        self.model.actions(state, actions);
    }

    fn next_state(&self, last: &M::State, action: M::Action) -> Option<M::State> {
        self.model.next_state(last, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(self.name, |only: &Self, state| (only.condition)(&only.model, state))]
    }
}

/// The shortest story in which a property does not hold; else how many states there are.
fn shortest<M>(model: M, name: &'static str) -> Result<Vec<M::Action>, usize>
where
    M: Model + Copy + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let condition = model.property(name).condition;
    let found = Only { model, name, condition }.checker().spawn_bfs().join();
    let path = found.discovery(name);
    path.map(stateright::Path::into_actions).ok_or(found.unique_state_count())
}

fn told(actions: &[impl Debug]) -> String {
    actions.iter().map(|action| format!("\n  {action:?}")).collect()
}

/// Everything that is to hold does, in every state that can be reached, and what is to be possible is.
pub(crate) fn holds<M>(name: &str, model: M)
where
    M: Model + Copy + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let failed = HasDiscoveries::AnyFailures;
    let found = model.checker().finish_when(failed).spawn_bfs().join();
    let (states, ways) = (found.unique_state_count(), found.state_count());
    println!("{name}: {states} states, {ways} reached in all, {} deep", found.max_depth());
    for property in model.properties() {
        let (is_found, property) = (found.discovery(property.name).is_some(), property);
        let is_wanted = property.expectation == Expectation::Sometimes;
        assert!(is_found || !is_wanted, "{name}: never `{}`", property.name);
        if is_found && !is_wanted {
            let story = shortest(model, property.name).unwrap();
            panic!("{name}: not `{}`:{}", property.name, told(&story));
        }
    }
    assert!(states <= STATES_MAX, "{name} is too large for every run");
}

/// With something switched off, a story is found in which `property` does not hold.
pub(crate) fn breaks<M>(name: &str, model: M, property: &'static str)
where
    M: Model + Copy + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    match shortest(model, property) {
        Ok(story) => {
            println!("{name}: not `{property}` after {} steps:{}", story.len(), told(&story))
        }
        Err(states) => panic!("{name}: `{property}` holds in {states} states all the same"),
    }
}
