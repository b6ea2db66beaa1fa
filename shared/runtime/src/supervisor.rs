//! Owns every task. A task's kind decides, in one table, what happens when it fails and when we stop.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    /// Shows progress; nobody misses it.
    Progress,
}

/// What happens when a task ends in an error or a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// It is logged.
    Log,
    /// The process stops: without it nothing moves.
    Stop,
}

impl Kind {
    fn on_failure(self) -> OnFailure {
        match self {
            Self::Driver | Self::Runner | Self::Heartbeat | Self::Http | Self::Store => {
                OnFailure::Stop
            }
            Self::Attempt | Self::Progress => OnFailure::Log,
        }
    }

    /// Whether the task is dropped when we stop, or waited for.
    fn is_dropped_on_stop(self) -> bool {
        match self {
            Self::Progress => true,
            Self::Driver
            | Self::Runner
            | Self::Heartbeat
            | Self::Attempt
            | Self::Http
            | Self::Store => false,
        }
    }
}

/// Owns tasks. Clones are handles on the same owner.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    tasks: TaskTracker,
    stop: CancellationToken,
    failed: Arc<AtomicBool>,
}

impl Supervisor {
    /// An owner without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Completes when everything is to stop; a child token of it may be kept.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells everything to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether a task failed without which nothing moves.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Starts a task.
    pub fn spawn<F>(&self, kind: Kind, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = self.stop.clone();
        let work = async move {
            if !kind.is_dropped_on_stop() {
                return future.await;
            }
            tokio::select! {
                done = future => done,
                () = stop.cancelled() => Ok(()),
            }
        };
        let owner = self.clone();
        #[expect(clippy::disallowed_methods, reason = "this is the one owner of tasks")]
        let inner = tokio::spawn(work);
        self.tasks.spawn(async move {
            match inner.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => owner.failed(kind, &format!("{error:#}")),
                Err(panic) => owner.failed(kind, &panic.to_string()),
            }
        });
    }

    fn failed(&self, kind: Kind, why: &str) {
        match kind.on_failure() {
            OnFailure::Log => tracing::warn!(?kind, why, "a task failed"),
            OnFailure::Stop => {
                tracing::error!(?kind, why, "a task failed without which nothing moves; stopping");
                self.failed.store(true, Ordering::Release);
                self.stop();
            }
        }
    }

    /// Tells everything to stop and waits for it, at most `limit`; whether everything ended.
    pub async fn shut_down(&self, limit: Duration) -> bool {
        self.stop();
        self.tasks.close();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_driver_stops_everything() {
        let owner = Supervisor::new();
        owner.spawn(Kind::Driver, async { anyhow::bail!("broken") });
        tokio::time::timeout(Duration::from_secs(5), owner.stopping().cancelled()).await.unwrap();
        assert!(owner.has_failed());
    }

    #[tokio::test]
    async fn a_panicking_attempt_stops_nothing() {
        let owner = Supervisor::new();
        owner.spawn(Kind::Attempt, async { panic!("broken") });
        assert!(owner.clone().shut_down(Duration::from_secs(5)).await);
        assert!(!owner.has_failed());
    }

    #[tokio::test]
    async fn progress_is_dropped_and_a_runner_is_waited_for() {
        let owner = Supervisor::new();
        owner.spawn(Kind::Progress, async {
            std::future::pending::<()>().await;
            Ok(())
        });
        assert!(owner.shut_down(Duration::from_secs(5)).await);
        let stuck = Supervisor::new();
        stuck.spawn(Kind::Runner, async {
            std::future::pending::<()>().await;
            Ok(())
        });
        assert!(!stuck.shut_down(Duration::from_millis(50)).await);
    }
}
