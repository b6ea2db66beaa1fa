//! Searches a model to its end.

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// States beyond which a model is too large for every run of the tests.
const STATES_MAX: usize = 1_000_000;

/// Everything that is to hold does, in every state that can be reached, and what is to be possible is.
pub(crate) fn holds<M>(name: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let failed = HasDiscoveries::AnyFailures;
    let found =
        model.checker().finish_when(failed).target_state_count(STATES_MAX * 20).spawn_bfs().join();
    for (property, path) in found.discoveries() {
        let expectation = found.model().property(property).expectation;
        let told =
            || path.clone().into_actions().iter().map(|a| format!("\n  {a:?}")).collect::<String>();
        assert_eq!(
            expectation,
            Expectation::Sometimes,
            "{name}: not {property}:{}\n{:#?}",
            told(),
            path.last_state()
        );
    }
    let (states, ways) = (found.unique_state_count(), found.state_count());
    println!("{name}: {states} states, {ways} reached in all, {} deep", found.max_depth());
    assert!(states <= STATES_MAX, "{name} is too large for every run");
    for property in found.model().properties() {
        let is_found = found.discovery(property.name).is_some();
        let wanted = property.expectation == Expectation::Sometimes;
        assert_eq!(is_found, wanted, "{name}: {}", property.name);
    }
}

/// With something switched off, a story is found in which `property` does not hold.
pub(crate) fn breaks<M>(name: &str, model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let wanted = HasDiscoveries::AllOf([property].into());
    let found =
        model.checker().finish_when(wanted).target_state_count(STATES_MAX * 20).spawn_bfs().join();
    assert!(found.model().property(property).expectation.discovery_is_failure());
    let Some(path) = found.discovery(property) else {
        panic!("{name}: `{property}` holds in {} states all the same", found.unique_state_count())
    };
    let actions = path.into_actions();
    println!("{name}: not `{property}` after {} steps:", actions.len());
    actions.iter().for_each(|action| println!("  {action:?}"));
}
