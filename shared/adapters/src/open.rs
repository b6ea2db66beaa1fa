//! Chooses what is behind the ports, and opens it. Nothing else in this crate knows of modes.

mod config;
mod error;

use std::sync::Arc;

use shared_ports::{Clock, PortError, Ports};

pub use self::config::{Config, Distributed, Embedded, Postgres, TlsClient, TlsMode};
pub use self::error::{OpenError, ServerError};
use crate::amqp::AmqpBroker;
use crate::blobs::FolderBlobs;
use crate::clock::{DatabaseClock, Following, SystemClock};
use crate::folder::DataFolder;
use crate::memory::{MemoryBroker, MemoryLeases};
use crate::objects::ObjectBlobs;
use crate::redis::RedisLeases;
use crate::sql::{Database, Stop};

/// Keeps what is behind the ports open: hold it as long as the ports are used.
///
/// Dropped, it lets the journal finish what it was given and then lets go of the data folder, at
/// some time soon; [`Guard::close`] waits for that.
#[derive(Debug)]
pub struct Guard {
    database: Stop,
    folder: Arc<DataFolder>,
    /// Ends when dropped.
    following: Option<Following>,
    broker: Option<Arc<AmqpBroker>>,
}

impl Guard {
    /// Finishes what the journal was given, closes it and lets go of the data folder. Whoever uses
    /// the ports afterwards is refused.
    ///
    /// # Errors
    /// [`PortError`] if the journal did not end well; what it acknowledged is stored nevertheless.
    pub async fn close(self) -> Result<(), PortError> {
        let Self { database, folder, following, broker } = self;
        if let Some(broker) = broker {
            broker.close().await;
        }
        drop(following);
        let closed = database.stop().await;
        drop(folder);
        closed
    }
}

/// Opens what is behind the ports.
///
/// # Errors
/// [`OpenError`] says what is in the way, where, and what to do.
pub async fn open(config: &Config) -> Result<(Ports, Guard), OpenError> {
    match config {
        Config::Embedded(embedded) => open_embedded(embedded).await,
        Config::Distributed(distributed) => open_distributed(distributed).await,
    }
}

async fn open_embedded(config: &Embedded) -> Result<(Ports, Guard), OpenError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (folder, blobs) = open_folder(config)?;
    let (database, stop) = Database::in_folder(Arc::clone(&folder)).await?;
    folder.sync().map_err(|error| OpenError::of_io(error, folder.path(), "syncing it"))?;
    let ports = ports(config, &database, blobs, clock);
    Ok((ports, Guard { database: stop, folder, following: None, broker: None }))
}

async fn open_distributed(config: &Distributed) -> Result<(Ports, Guard), OpenError> {
    let (folder, blobs) = open_folder(&config.local)?;
    let (database, stop) = Database::on_server(&config.store, Arc::clone(&folder)).await?;
    folder.sync().map_err(|error| OpenError::of_io(error, folder.path(), "syncing it"))?;
    let (clock, following) = DatabaseClock::follow(database.clone()).await;
    let mut ports = ports(&config.local, &database, blobs, Arc::new(clock));
    let mut broker = None;
    if let Some(settings) = &config.amqp {
        let opened = Arc::new(AmqpBroker::open(settings).await?);
        broker = Some(Arc::clone(&opened));
        ports.broker = opened;
    }
    if let Some(settings) = &config.redis {
        ports.leases = Arc::new(RedisLeases::open(settings).await?);
    }
    if let Some(settings) = &config.blobs {
        let Embedded { blob_bytes_max, log_bytes_max, .. } = config.local;
        let opened = ObjectBlobs::open(settings, blob_bytes_max, log_bytes_max).await?;
        ports.blobs = Arc::new(opened);
    }
    Ok((ports, Guard { database: stop, folder, following: Some(following), broker }))
}

fn open_folder(config: &Embedded) -> Result<(Arc<DataFolder>, FolderBlobs), OpenError> {
    let folder = Arc::new(DataFolder::hold(&config.data_dir)?);
    let blobs = FolderBlobs::open(folder.path(), config.blob_bytes_max, config.log_bytes_max)
        .map_err(|error| {
            let parts = ["blobs", "logs"].map(|part| folder.path().join(part));
            let in_the_way = parts.iter().find(|part| part.is_file());
            let at = in_the_way.map_or(folder.path(), |part| part);
            OpenError::of_io(error, at, "preparing it for blobs")
        })?;
    Ok((folder, blobs))
}

fn ports(
    config: &Embedded,
    database: &Database,
    blobs: FolderBlobs,
    clock: Arc<dyn Clock>,
) -> Ports {
    Ports {
        broker: Arc::new(MemoryBroker::new(config.queue_len_max)),
        journal: Arc::new(database.journal()),
        documents: Arc::new(database.documents()),
        leases: Arc::new(MemoryLeases::new(Arc::clone(&clock))),
        blobs: Arc::new(blobs),
        clock,
    }
}
