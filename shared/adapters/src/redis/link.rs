//! One connection to Redis, shared by all callers and made again when it is lost.
//!
//! The client library's `ConnectionManager` is not used: it stays with a server that has become a
//! replica, and does not ask the Sentinels again.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, ScriptInvocation};
use shared_ports::PortError;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::fault::{Nonsense, OutOfTime, Then, class, then, unavailable};
use super::settings::{self, Redis, Source};
use crate::backoff::Backoff;

/// The one setting under which Redis never drops a lease.
const POLICY: &str = "noeviction";

/// The connection.
pub(super) struct Link {
    source: Source,
    shown: String,
    response_max: Duration,
    call_max: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Counts connections, so that a new one is not given up for an old one's error.
    number: u64,
    connection: Option<MultiplexedConnection>,
    backoff: Backoff,
    not_before: Option<Instant>,
}

enum Failed {
    /// Redis answered that, or none.
    Redis(RedisError),
    /// The server is not fit.
    Unfit(PortError),
    /// The answer was meant for somebody else.
    Misaligned,
}

impl Link {
    pub(super) fn new(settings: &Redis) -> Result<Self, PortError> {
        let (source, shown) = settings.source()?;
        Ok(Self {
            source,
            shown,
            response_max: settings::duration(settings.response_max),
            call_max: settings::duration(settings.call_max),
            state: Mutex::default(),
        })
    }

    /// Calls a script, again if need be: what became of a call whose answer did not come is not
    /// known, and all scripts may run twice. The answer begins with `mark`, which is left out here.
    pub(super) async fn call(
        &self,
        doing: &str,
        mark: &str,
        script: &ScriptInvocation<'_>,
    ) -> Result<Vec<String>, PortError> {
        let until = Instant::now() + self.call_max;
        let mut last = None;
        let tried = async {
            let mut backoff = Backoff::default();
            loop {
                match self.try_once(mark, script).await {
                    Ok(answer) => return Ok(answer),
                    Err(Failed::Unfit(error)) => return Err(error),
                    Err(Failed::Redis(error)) if then(&error) == Then::GiveUp => {
                        return Err(class(doing, error));
                    }
                    Err(Failed::Redis(error)) => last = Some(class(doing, error)),
                    Err(Failed::Misaligned) => last = Some(unavailable(doing, Nonsense)),
                }
                sleep(backoff.next()).await;
            }
        };
        let answered = timeout_at(until, tried).await;
        let late = |_| Err(last.unwrap_or_else(|| unavailable(doing, OutOfTime(self.call_max))));
        answered.unwrap_or_else(late)
    }

    async fn try_once(
        &self,
        mark: &str,
        script: &ScriptInvocation<'_>,
    ) -> Result<Vec<String>, Failed> {
        let (number, mut connection) = self.connection().await?;
        let answer: Result<Vec<String>, RedisError> = script.invoke_async(&mut connection).await;
        match answer {
            Ok(mut answer) if answer.first().is_some_and(|first| first == mark) => {
                answer.remove(0);
                Ok(answer)
            }
            Ok(_) => {
                self.give_up(number).await;
                Err(Failed::Misaligned)
            }
            Err(error) => {
                if then(&error) == Then::Reconnect {
                    self.give_up(number).await;
                }
                Err(Failed::Redis(error))
            }
        }
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), Failed> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok((state.number, connection.clone()));
        }
        if let Some(turn) = state.not_before {
            sleep_until(turn).await;
        }
        // Until it has succeeded, it counts as failed: the caller may give up waiting.
        state.not_before = Some(Instant::now() + state.backoff.next());
        let mut connection = self.connect().await.map_err(Failed::Redis)?;
        self.check(&mut connection).await?;
        tracing::info!("connected to {}", self.shown);
        state.number += 1;
        state.backoff = Backoff::default();
        state.not_before = None;
        state.connection = Some(connection.clone());
        Ok((state.number, connection))
    }

    async fn give_up(&self, number: u64) {
        let mut state = self.state.lock().await;
        if state.number == number {
            state.connection = None;
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.response_max))
            .set_response_timeout(Some(self.response_max));
        match &self.source {
            Source::Server(client) => {
                client.get_multiplexed_async_connection_with_config(&limits).await
            }
            Source::Sentinel(client) => {
                let mut client = client.lock().await;
                client.get_async_connection_with_config(&limits).await
            }
        }
    }

    /// Refuses a server that throws leases away when it is short of memory.
    async fn check(&self, connection: &mut MultiplexedConnection) -> Result<(), Failed> {
        let mut info = redis::cmd("INFO");
        let said: String =
            info.arg("memory").query_async(connection).await.map_err(Failed::Redis)?;
        let policy = said.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        match policy.map(str::trim) {
            Some(POLICY) | None => Ok(()),
            Some(policy) => Err(Failed::Unfit(PortError::Refused {
                doing: format!("connecting to {}", self.shown),
                why: format!(
                    "its `maxmemory-policy` is `{policy}`: it would drop leases when it is short of \
                     memory, and running work would be given to others; set it to `{POLICY}`, and \
                     use a Redis that nobody else writes to"
                ),
            })),
        }
    }
}
