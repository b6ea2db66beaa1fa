//! One connection, made again whenever it is lost.

use std::sync::Arc;
use std::time::Duration;

use lapin::types::LongString;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use shared_ports::PortError;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::fault::{OutOfTime, refused, unavailable};
use super::settings::Address;
use crate::backoff::Backoff;

/// How long a connection may take to end in good order.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// One connection, made again by whoever asks for it once it is lost. Those who ask at once share
/// one attempt; attempts are spread by pauses that grow and differ.
pub(super) struct Link {
    purpose: &'static str,
    address: Address,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl Link {
    pub(super) fn new(purpose: &'static str, address: Address) -> Self {
        Self { purpose, address, state: Mutex::default() }
    }

    /// The connection; waits its turn after a failure, so give it a limit.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, PortError> {
        let mut state = self.state.lock().await;
        if let Some(connection) = state.connection.as_ref().filter(|c| c.status().connected()) {
            return Ok(Arc::clone(connection));
        }
        if state.connection.take().is_some() {
            tracing::warn!(purpose = self.purpose, "the connection to RabbitMQ was lost");
        }
        if let Some(turn) = state.not_before {
            sleep_until(turn).await;
        }
        // Until it has succeeded, it counts as failed: the caller may give up waiting.
        state.not_before = Some(Instant::now() + state.backoff.next());
        let connection = Arc::new(self.connect().await?);
        state.backoff = Backoff::default();
        state.not_before = None;
        state.connection = Some(Arc::clone(&connection));
        tracing::info!(purpose = self.purpose, "connected to {}", self.address.shown());
        Ok(connection)
    }

    /// Lets go of a connection that seems not to work any more.
    pub(super) async fn give_up(&self, broken: &Arc<Connection>) {
        let mut state = self.state.lock().await;
        if state.connection.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, broken)) {
            state.connection = None;
        }
    }

    pub(super) async fn close(&self) {
        let connection = self.state.lock().await.connection.take();
        let Some(connection) = connection else { return };
        let closed = connection.close(200, "the process ends".into());
        if !matches!(timeout(CLOSE_MAX, closed).await, Ok(Ok(()))) {
            tracing::debug!(purpose = self.purpose, "a connection did not end in good order");
        }
    }

    async fn connect(&self) -> Result<Connection, PortError> {
        let Address { uri, tls, connect_max } = self.address.clone();
        let doing = || format!("connecting to {}", self.address.shown());
        let name = LongString::from(format!("capstan, {}", self.purpose));
        let properties = ConnectionProperties::default().with_connection_name(name);
        let runtime =
            lapin::runtime::default_runtime().map_err(|error| refused(doing(), &error))?;
        let uri = AMQPUri { ..uri };
        let connected = Connection::connect_uri_with_config(uri, properties, tls, runtime);
        match timeout(connect_max, connected).await {
            Ok(connected) => connected.map_err(|error| refused(doing(), &error)),
            Err(_) => Err(unavailable(doing(), OutOfTime(connect_max))),
        }
    }
}
