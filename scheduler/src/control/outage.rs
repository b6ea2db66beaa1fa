//! A store that fails: whoever asks is told, and the log says so now and then.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared_ports::PortError;

/// How often the log says again that work waits for the store, in the monotone clock's time.
const SAY_INTERVAL: Duration = Duration::from_secs(10);

/// Whether what happens can be stored; shared by the loop and its handles.
#[derive(Debug, Default)]
pub(crate) struct Outage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Why the last thing that was to be stored was not.
    error: Option<PortError>,
    /// When the log last said so.
    said: Option<Duration>,
    /// Whether the log is to say when it is over.
    owes_end: bool,
}

impl Outage {
    /// Notes a failure at a time; what waits for it is said once in an interval, however often
    /// it is tried.
    pub(crate) fn failed(&self, error: &PortError, waiting: usize, now: Duration) {
        let mut state = self.state();
        if state.said.is_none_or(|said| now.saturating_sub(said) >= SAY_INTERVAL) {
            (state.said, state.owes_end) = (Some(now), true);
            tracing::warn!(
                %error, waiting,
                "what happens cannot be stored; executions wait, and go on by themselves"
            );
        } else {
            tracing::debug!(%error, waiting, "nothing could be stored still");
        }
        state.error = Some(again(error));
    }

    /// Something was stored.
    pub(crate) fn stored(&self) {
        let mut state = self.state();
        state.error = None;
        if std::mem::take(&mut state.owes_end) {
            tracing::warn!("it can be stored again; the work goes on");
        }
    }

    /// Nothing waits any more, so that nothing will tell whether it is over.
    pub(crate) fn forget(&self) {
        self.state().error = None;
    }

    /// Why nothing can be stored, if the last try failed.
    pub(crate) fn error(&self) -> Option<PortError> {
        self.state().error.as_ref().map(again)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same failure for one more caller: errors cannot be copied.
pub(crate) fn again(error: &PortError) -> PortError {
    match error {
        PortError::Full { doing } => PortError::Full { doing: doing.clone() },
        PortError::Refused { doing, why } => {
            PortError::Refused { doing: doing.clone(), why: why.clone() }
        }
        PortError::Unavailable { doing, source } => {
            PortError::Unavailable { doing: doing.clone(), source: source.to_string().into() }
        }
    }
}
