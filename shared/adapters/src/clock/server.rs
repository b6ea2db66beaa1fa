use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use shared_ports::{Clock, PortError};
use tokio::task::JoinHandle;

use super::SystemClock;
use crate::redis::RedisLeases;
use crate::sql::Database;

/// How often a server is asked for the time: in between we count ourselves, and crystals drift
/// apart by some milliseconds at most.
const ASKED_EVERY: Duration = Duration::from_secs(60);
/// An answer that took longer says too little.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A server that several processes share, and that can be asked for the time.
#[async_trait]
pub(crate) trait TimeServer: Send + Sync + 'static {
    /// What its clock shows.
    async fn time(&self) -> Result<Timestamp, PortError>;
}

/// A server's clock (D23): what several machines store is ordered by one clock, not by theirs, and a
/// deadline means the same on each. Its `now` is the server's, as far as it was asked, and goes on at
/// the pace of this machine's monotone clock; until the first answer it is this machine's.
#[derive(Debug, Clone)]
pub(crate) struct ServerClock {
    machine: SystemClock,
    /// What the server's clock showed when `machine` showed an elapsed time of nothing, in
    /// nanoseconds since 1970.
    origin: Arc<AtomicI64>,
}

/// Asks the server again and again; ends when dropped.
#[derive(Debug)]
pub(crate) struct Following(JoinHandle<()>);

impl ServerClock {
    #[expect(clippy::disallowed_methods, reason = "owned by `Following`, which ends it")]
    pub(crate) async fn follow(server: Arc<impl TimeServer>) -> (Self, Following) {
        let machine = SystemClock::default();
        let origin = origin(machine.now(), machine.elapsed());
        let clock = Self { machine, origin: Arc::new(AtomicI64::new(origin)) };
        clock.ask(&*server).await;
        let following = clock.clone();
        let task = tokio::spawn(async move {
            loop {
                following.sleep(ASKED_EVERY).await;
                following.ask(&*server).await;
            }
        });
        (clock, Following(task))
    }

    async fn ask(&self, server: &impl TimeServer) {
        let asked = self.machine.elapsed();
        let answer = server.time().await;
        let took = self.machine.elapsed() - asked;
        match answer {
            Ok(now) if took <= ANSWER_MAX => {
                self.origin.store(origin(now, asked + took / 2), Ordering::Relaxed);
            }
            Ok(_) => tracing::debug!(?took, "the server was too slow to tell the time"),
            Err(error) => tracing::debug!(%error, "the server did not tell the time"),
        }
    }
}

#[async_trait]
impl TimeServer for Database {
    async fn time(&self) -> Result<Timestamp, PortError> {
        self.now().await
    }
}

#[async_trait]
impl TimeServer for RedisLeases {
    async fn time(&self) -> Result<Timestamp, PortError> {
        self.now().await
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let elapsed = i128::try_from(self.machine.elapsed().as_nanos()).unwrap_or_default();
        let now = i128::from(self.origin.load(Ordering::Relaxed)) + elapsed;
        Timestamp::from_nanosecond(now).unwrap_or_else(|_| self.machine.now())
    }

    fn elapsed(&self) -> Duration {
        self.machine.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        self.machine.sleep(duration).await;
    }

    fn new_id(&self) -> String {
        self.machine.new_id()
    }
}

/// When a clock began that shows `now` after `elapsed`, in nanoseconds since 1970.
fn origin(now: Timestamp, elapsed: Duration) -> i64 {
    let elapsed = i128::try_from(elapsed.as_nanos()).unwrap_or_default();
    i64::try_from(now.as_nanosecond() - elapsed).unwrap_or_default()
}
