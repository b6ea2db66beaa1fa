//! Which process takes the next request, and which requests are under way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Backend, Table};

/// After so many failed checks in a row a process takes no requests, as long as another can.
const FAILURES_MAX: u32 = 3;

/// What the requests share.
#[derive(Clone, Default)]
pub(super) struct Backends(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    table: Table,
    /// Requests under way, by port.
    under_way: BTreeMap<u16, usize>,
    /// Failed checks in a row, by port.
    failures: BTreeMap<u16, u32>,
    turn: usize,
}

/// A request under way; counted until this is dropped.
pub(super) struct Picked {
    pub(super) port: u16,
    backends: Backends,
}

impl Backends {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete in itself, whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn generation(&self) -> u64 {
        self.state().table.generation
    }

    pub(super) fn all(&self) -> Vec<Backend> {
        self.state().table.backends.clone()
    }

    /// From here on only the new table is picked from: picking and counting are one step, so that a
    /// request is either counted already or goes by the new table.
    pub(super) fn replace(&self, table: Table) {
        let mut state = self.state();
        let ports: Vec<u16> = table.backends.iter().map(|backend| backend.port).collect();
        state.failures.retain(|port, _| ports.contains(port));
        state.table = table;
    }

    /// Requests under way to processes that are not in the table.
    pub(super) fn draining(&self) -> BTreeMap<u16, usize> {
        let state = self.state();
        let gone = |port: u16| state.table.backends.iter().all(|backend| backend.port != port);
        let gone = state.under_way.iter().filter(|(port, _)| gone(**port));
        gone.map(|(port, count)| (*port, *count)).collect()
    }

    /// In turn, those that are healthy first; those in `tried` not again.
    pub(super) fn pick(&self, tried: &[u16]) -> Option<Picked> {
        let mut state = self.state();
        state.turn = state.turn.wrapping_add(1);
        let left: Vec<&Backend> =
            state.table.backends.iter().filter(|one| !tried.contains(&one.port)).collect();
        let is_healthy =
            |one: &&&Backend| state.failures.get(&one.port).is_none_or(|n| *n < FAILURES_MAX);
        let healthy: Vec<&Backend> = left.iter().filter(is_healthy).copied().collect();
        // A check may err; where it finds nobody healthy, a try is better than a refusal.
        let choice = if healthy.is_empty() { left } else { healthy };
        let chosen = choice.get(state.turn.checked_rem(choice.len())?)?;
        let port = chosen.port;
        *state.under_way.entry(port).or_default() += 1;
        Some(Picked { port, backends: self.clone() })
    }

    pub(super) fn checked(&self, port: u16, is_healthy: bool) {
        let mut state = self.state();
        if is_healthy {
            state.failures.remove(&port);
        } else {
            *state.failures.entry(port).or_default() += 1;
        }
    }

    /// Nobody listens there: no further request before a check says otherwise.
    pub(super) fn refused(&self, port: u16) {
        self.state().failures.insert(port, FAILURES_MAX);
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        let mut state = self.backends.state();
        let left = state.under_way.get_mut(&self.port).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            state.under_way.remove(&self.port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(backends: &[(&str, u16)]) -> Table {
        let of = |(group, port): &(&str, u16)| Backend {
            group: (*group).to_owned(),
            port: *port,
            health_path: "/health".into(),
        };
        Table { backends: backends.iter().map(of).collect(), ..Table::default() }
    }

    #[test]
    fn requests_go_round_those_that_are_healthy() {
        let backends = Backends::default();
        assert!(backends.pick(&[]).is_none());
        backends.replace(table(&[("a", 1), ("a", 2)]));
        let ports: Vec<u16> = (0..4).map(|_| backends.pick(&[]).unwrap().port).collect();
        assert_eq!(ports, [1, 2, 1, 2]);
        backends.refused(1);
        assert!((0..4).all(|_| backends.pick(&[]).unwrap().port == 2));
        assert_eq!(backends.pick(&[2]).unwrap().port, 1);
        assert!(backends.pick(&[1, 2]).is_none());
        backends.checked(1, true);
        assert!((0..2).any(|_| backends.pick(&[]).unwrap().port == 1));
    }

    #[test]
    fn requests_to_a_process_that_is_gone_are_counted_to_their_end() {
        let backends = Backends::default();
        backends.replace(table(&[("a", 1)]));
        let picked = backends.pick(&[]);
        assert!(backends.draining().is_empty());
        backends.replace(table(&[("b", 2)]));
        assert_eq!(backends.draining(), BTreeMap::from([(1, 1)]));
        drop(picked);
        assert!(backends.draining().is_empty());
    }
}
