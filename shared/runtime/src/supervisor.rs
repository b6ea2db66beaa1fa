//! Owns every task. A task's kind decides, in one table, what happens when it fails and when we stop.
//!
//! Stopping has an order: first the *work* is told and waited for, then the *services* that work
//! needs on its way out (heartbeats, stores, the API), and what is left at the limit is dropped.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// First and longest pause before a task is started again.
const RESTART_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// What a task is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The scheduler's loop.
    Driver,
    /// A worker's loop.
    Runner,
    /// A worker's heartbeat.
    Heartbeat,
    /// One attempt at one task.
    Attempt,
    /// The HTTP server.
    Http,
    /// Writes behind a port.
    Store,
    /// Sweeps that come round again: nothing waits for one of them.
    Upkeep,
    /// Shows progress; nobody misses it.
    Progress,
    /// Sends spans; nothing waits for it, and it sends the last ones once all work has ended.
    Telemetry,
}

/// What happens to tasks of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rules {
    phase: Phase,
    on_stop: OnStop,
    on_failure: OnFailure,
}

/// When a task is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// At once.
    Work,
    /// Once all work has ended: work needs it to end well.
    Service,
}

/// What stopping means to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnStop {
    /// It watches the token, ends by itself, and is waited for.
    Wait,
    /// It is dropped where it stands.
    Abort,
}

/// What happens when a task ends in an error or a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// It is logged.
    Log,
    /// It is logged and started again after a pause.
    Restart,
    /// The process stops: without it nothing moves.
    Stop,
}

impl Kind {
    /// The table.
    fn rules(self) -> Rules {
        use {OnFailure as F, OnStop as S, Phase as P};
        let (phase, on_stop, on_failure) = match self {
            Self::Driver => (P::Work, S::Wait, F::Stop),
            Self::Runner => (P::Work, S::Wait, F::Stop),
            Self::Attempt => (P::Work, S::Wait, F::Log),
            Self::Heartbeat => (P::Service, S::Wait, F::Stop),
            Self::Http => (P::Service, S::Wait, F::Stop),
            Self::Store => (P::Service, S::Wait, F::Stop),
            Self::Upkeep => (P::Work, S::Abort, F::Restart),
            Self::Progress => (P::Work, S::Abort, F::Log),
            Self::Telemetry => (P::Service, S::Wait, F::Log),
        };
        Rules { phase, on_stop, on_failure }
    }
}

/// Owns tasks. Clones are handles on the same owner.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    work: TaskTracker,
    services: TaskTracker,
    stop_work: CancellationToken,
    stop_services: CancellationToken,
    failed: Arc<AtomicBool>,
    running: Arc<Running>,
}

/// What runs now: to name it, and to drop it at the limit.
#[derive(Debug, Default)]
struct Running {
    next: AtomicU64,
    tasks: Mutex<BTreeMap<u64, (Kind, AbortHandle)>>,
}

impl Supervisor {
    /// An owner without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Completes when work is to stop; a child token of it may be kept.
    pub fn stopping(&self) -> CancellationToken {
        self.stop_work.clone()
    }

    /// Completes when tasks of `kind` are to stop: services stop once all work has ended.
    pub fn stopping_of(&self, kind: Kind) -> CancellationToken {
        match kind.rules().phase {
            Phase::Work => self.stop_work.clone(),
            Phase::Service => self.stop_services.clone(),
        }
    }

    /// Tells all work to stop. [`Self::shut_down`] does the rest.
    pub fn stop(&self) {
        self.stop_work.cancel();
    }

    /// Whether a task failed without which nothing moves.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Starts a task. It runs once: a kind that is started again after a failure comes through
    /// [`Self::spawn_restarting`].
    pub fn spawn<F>(&self, kind: Kind, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let owner = self.clone();
        let ended = self.start(kind, future);
        self.tracker(kind).spawn(async move {
            if let Err(why) = ended.await {
                owner.failed(kind, &why);
            }
        });
    }

    /// Starts a task from what makes it, so that its kind may have it started again.
    pub fn spawn_restarting<M, F>(&self, kind: Kind, make: M)
    where
        M: Fn() -> F + Send + 'static,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let owner = self.clone();
        self.tracker(kind).spawn(async move {
            let stop = owner.stopping_of(kind);
            let (mut pause, longest) = RESTART_PAUSE;
            while let Err(why) = owner.start(kind, make()).await {
                owner.failed(kind, &why);
                if kind.rules().on_failure != OnFailure::Restart {
                    return;
                }
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(longest);
            }
        });
    }

    /// Tells everything to stop, work before services, and waits for it, at most `limit` in all;
    /// what has not ended by then is named, dropped, and makes the answer `false`.
    pub async fn shut_down(&self, limit: Duration) -> bool {
        let in_order = async {
            self.stop_work.cancel();
            self.work.close();
            self.work.wait().await;
            self.stop_services.cancel();
            self.services.close();
            self.services.wait().await;
        };
        let in_time = tokio::time::timeout(limit, in_order).await.is_ok();
        self.stop_services.cancel();
        for (kind, task) in std::mem::take(&mut *self.running.lock()).into_values() {
            tracing::warn!(?kind, ?limit, "a task did not end in time and is dropped");
            task.abort();
        }
        in_time
    }

    fn tracker(&self, kind: Kind) -> &TaskTracker {
        match kind.rules().phase {
            Phase::Work => &self.work,
            Phase::Service => &self.services,
        }
    }

    /// Runs a future as a task of its own, so that its panic stays inside; says how it ended.
    fn start<F>(&self, kind: Kind, future: F) -> impl Future<Output = Result<(), String>> + use<F>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = self.stopping_of(kind);
        let work = async move {
            match kind.rules().on_stop {
                OnStop::Wait => future.await,
                // Never by chance: equal seeds of a simulated world must tell equal stories.
                OnStop::Abort => tokio::select! {
                    biased;
                    () = stop.cancelled() => Ok(()),
                    done = future => done,
                },
            }
        };
        #[expect(clippy::disallowed_methods, reason = "this is the one owner of tasks")]
        let task = tokio::spawn(work);
        let entry = Entry::new(&self.running, kind, task.abort_handle());
        async move {
            let ended = task.await;
            drop(entry);
            why_failed(ended)
        }
    }

    fn failed(&self, kind: Kind, why: &str) {
        match kind.rules().on_failure {
            OnFailure::Log | OnFailure::Restart => tracing::warn!(?kind, why, "a task failed"),
            OnFailure::Stop => {
                tracing::error!(?kind, why, "a task failed without which nothing moves; stopping");
                self.failed.store(true, Ordering::Release);
                self.stop();
            }
        }
    }
}

fn why_failed(ended: Result<anyhow::Result<()>, JoinError>) -> Result<(), String> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{error:#}")),
        // Only `shut_down` aborts, and it has said so.
        Err(error) if error.is_cancelled() => Ok(()),
        Err(panic) => Err(panic.to_string()),
    }
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (Kind, AbortHandle)>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line in the list of what runs, for as long as it does.
struct Entry(Arc<Running>, u64);

impl Entry {
    fn new(running: &Arc<Running>, kind: Kind, task: AbortHandle) -> Self {
        let number = running.next.fetch_add(1, Ordering::Relaxed);
        running.lock().insert(number, (kind, task));
        Self(Arc::clone(running), number)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

#[cfg(test)]
mod tests;
