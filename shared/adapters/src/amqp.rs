//! The broker on RabbitMQ, versions 3.10 to 4.x by their common ground; tested with 3.10.8.
//!
//! Two connections: one on which messages are published, one on which they are received. Under a
//! memory or disk alarm RabbitMQ stops reading from whoever publishes, and acknowledgements must
//! not be stuck behind that. A connection that is lost is made again by whoever needs it next, and
//! with it everything that was on it; the client library's own recovery is off, because it neither
//! reopens a channel that the server closed nor says what became of messages that were under way.

mod consumer;
mod fault;
mod link;
mod message;
mod publisher;
mod settings;
mod topology;
mod watchdog;
mod window;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::Connection;
use shared_ports::PortError;
use shared_ports::broker::{Broker, Consumer, Outgoing, Queue};
use shared_runtime::{Kind, Supervisor};
use tokio::time::timeout;

pub use self::settings::Amqp;

use self::consumer::{AmqpConsumer, Deliveries};
use self::fault::{OutOfTime, refused, unavailable};
use self::link::Link;
use self::publisher::Publisher;
use self::topology::Topology;
use self::watchdog::Watchdog;

/// More watchdogs than that would be a load.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Queues in RabbitMQ.
pub struct AmqpBroker {
    topology: Arc<Topology>,
    consuming: Arc<Link>,
    publisher: Arc<Publisher>,
    tasks: Supervisor,
    reach_max: Duration,
    watchdog_interval: Duration,
}

impl AmqpBroker {
    /// Connects, so that a wrong address or password is known at once.
    ///
    /// # Errors
    /// [`PortError::Refused`] says what is wrong with the settings or the rights,
    /// [`PortError::Unavailable`] that RabbitMQ cannot be reached now.
    pub async fn open(settings: &Amqp) -> Result<Self, PortError> {
        let address = settings.address()?;
        let topology = Arc::new(Topology::new(settings));
        let consuming = Arc::new(Link::new("receiving", address.clone()));
        let publishing = Link::new("publishing", address);
        consuming.connection().await?;
        publishing.connection().await?;
        let tasks = Supervisor::new();
        let publisher = Publisher::start(&tasks, publishing, Arc::clone(&topology), settings);
        let publisher = Arc::new(publisher);
        let reach_max = settings::duration(settings.reach_max);
        let watchdog_interval = settings::duration(settings.watchdog_interval);
        Ok(Self { topology, consuming, publisher, tasks, reach_max, watchdog_interval })
    }

    /// Sends what was acknowledged and lets go of the connections.
    pub async fn close(&self) {
        self.consuming.close().await;
        self.publisher.close();
        self.tasks.shut_down(self.reach_max).await;
    }

    async fn begin(&self, queue: &Queue, prefetch: u16) -> Result<AmqpConsumer, PortError> {
        let line = self.topology.line(queue)?;
        let connection = self.consuming.connection().await?;
        line.declare(&connection).await?;
        let (consumer, deliveries, settling) =
            consumer::open(&connection, line.name(), prefetch).await?;
        self.tasks.spawn(Kind::Store, settling);
        if !self.watchdog_interval.is_zero() {
            self.watch(queue, prefetch, deliveries, connection);
        }
        Ok(consumer)
    }

    fn watch(
        &self,
        queue: &Queue,
        prefetch: u16,
        deliveries: Arc<Deliveries>,
        connection: Arc<Connection>,
    ) {
        let watchdog = Watchdog {
            queue: queue.clone(),
            prefetch,
            every: self.watchdog_interval.max(INTERVAL_MIN),
            deliveries,
            publisher: Arc::clone(&self.publisher),
            connection,
            link: Arc::clone(&self.consuming),
        };
        self.tasks.spawn(Kind::Progress, watchdog.watch());
    }

    async fn waiting(&self, name: &str) -> Result<u64, PortError> {
        let doing = || format!("asking how many messages wait in queue `{name}`");
        let connection = self.consuming.connection().await?;
        topology::depth(&connection, name).await.map_err(|error| refused(doing(), &error))
    }

    /// Everything that asks the broker something has this limit.
    async fn in_time<T>(
        &self,
        doing: impl Fn() -> String,
        work: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let limit = self.reach_max;
        let late = |_| Err(unavailable(doing(), OutOfTime(limit)));
        timeout(limit, work).await.unwrap_or_else(late)
    }
}

impl std::fmt::Debug for AmqpBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AmqpBroker").finish_non_exhaustive()
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), PortError> {
        self.publisher.publish(messages).await
    }

    async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Box<dyn Consumer>, PortError> {
        let doing = || format!("receiving from {queue:?}");
        let consumer = self.in_time(doing, self.begin(queue, prefetch)).await?;
        Ok(Box::new(consumer))
    }

    async fn depth(&self, queue: &Queue) -> Result<u64, PortError> {
        let line = self.topology.line(queue)?;
        let doing = || format!("asking how many messages wait in {queue:?}");
        self.in_time(doing, self.waiting(line.name())).await
    }

    async fn set_aside(&self) -> Result<u64, PortError> {
        let all = async {
            let mut count = 0;
            for name in self.topology.dead_names() {
                count += self.waiting(&name).await?;
            }
            Ok(count)
        };
        self.in_time(|| "asking how many messages were set aside".to_owned(), all).await
    }
}
