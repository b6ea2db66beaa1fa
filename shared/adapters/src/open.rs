//! Chooses what is behind the ports, and opens it. Nothing else in this crate knows of modes.

mod config;
mod error;
mod patience;

use std::sync::Arc;

use shared_ports::{Blobs, Clock, PortError, Ports, WorkerPorts};

pub use self::config::{Config, Distributed, Embedded, Postgres, TlsClient, TlsMode, Workplace};
pub use self::error::{OpenError, ServerError};
pub use self::patience::Patience;
use crate::amqp::{Amqp, AmqpBroker};
use crate::blobs::FolderBlobs;
use crate::clock::{Following, ServerClock, SystemClock};
use crate::folder::DataFolder;
use crate::memory::{MemoryBroker, MemoryLeases};
use crate::objects::{ObjectBlobs, Objects};
use crate::redis::{Redis, RedisLeases};
use crate::sql::{Database, Stop};

/// Keeps what is behind the ports open: hold it as long as the ports are used.
///
/// Dropped, it lets the journal finish what it was given and then lets go of the data folder, at
/// some time soon; [`Guard::close`] waits for that.
#[derive(Debug)]
pub struct Guard {
    /// None of a worker's.
    database: Option<Stop>,
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
        let closed = match database {
            Some(database) => database.stop().await,
            None => Ok(()),
        };
        drop(folder);
        closed
    }
}

/// Opens what is behind the ports.
///
/// # Errors
/// [`OpenError`] says what is in the way, where, and what to do.
pub async fn open(config: &Config) -> Result<(Ports, Guard), OpenError> {
    open_patiently(config, &mut Patience::none()).await
}

/// Opens what is behind the ports, and waits for servers that are not there yet.
///
/// # Errors
/// As [`open`]; what waiting cannot change is said at once.
pub async fn open_patiently(
    config: &Config,
    patience: &mut Patience,
) -> Result<(Ports, Guard), OpenError> {
    match config {
        Config::Embedded(embedded) => open_embedded(embedded).await,
        Config::Distributed(distributed) => open_distributed(distributed, patience).await,
    }
}

/// Opens what a worker needs, and waits for servers that are not there yet.
///
/// # Errors
/// As [`open_patiently`].
pub async fn open_worker(
    config: &Workplace,
    patience: &mut Patience,
) -> Result<(WorkerPorts, Guard), OpenError> {
    let (folder, blobs) = open_folder(&config.local)?;
    let broker = open_broker(&config.amqp, patience).await?;
    let leases = open_leases(&config.redis, patience).await?;
    let (clock, following) = ServerClock::follow(Arc::clone(&leases)).await;
    let (clock, following) = (Arc::new(clock), Some(following));
    let guard = Guard { database: None, folder, following, broker: Some(Arc::clone(&broker)) };
    let blobs: Arc<dyn Blobs> = match &config.blobs {
        Some(settings) => open_objects(settings, &config.local, patience).await?,
        None => Arc::new(blobs),
    };
    Ok((WorkerPorts { broker, leases, blobs, clock }, guard))
}

async fn open_embedded(config: &Embedded) -> Result<(Ports, Guard), OpenError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (folder, blobs) = open_folder(config)?;
    let (database, stop) = Database::in_folder(Arc::clone(&folder)).await?;
    folder.sync().map_err(|error| OpenError::of_io(error, folder.path(), "syncing it"))?;
    let ports = ports(config, &database, blobs, clock);
    Ok((ports, Guard { database: Some(stop), folder, following: None, broker: None }))
}

async fn open_distributed(
    config: &Distributed,
    patience: &mut Patience,
) -> Result<(Ports, Guard), OpenError> {
    let (folder, blobs) = open_folder(&config.local)?;
    let database = || Database::on_server(&config.store, Arc::clone(&folder));
    let (database, stop) = patience.open(database).await?;
    folder.sync().map_err(|error| OpenError::of_io(error, folder.path(), "syncing it"))?;
    let (clock, following) = ServerClock::follow(Arc::new(database.clone())).await;
    let mut ports = ports(&config.local, &database, blobs, Arc::new(clock));
    let mut broker = None;
    if let Some(settings) = &config.amqp {
        let opened = open_broker(settings, patience).await?;
        broker = Some(Arc::clone(&opened));
        ports.broker = opened;
    }
    if let Some(settings) = &config.redis {
        ports.leases = open_leases(settings, patience).await?;
    }
    if let Some(settings) = &config.blobs {
        ports.blobs = open_objects(settings, &config.local, patience).await?;
    }
    Ok((ports, Guard { database: Some(stop), folder, following: Some(following), broker }))
}

async fn open_broker(
    settings: &Amqp,
    patience: &mut Patience,
) -> Result<Arc<AmqpBroker>, OpenError> {
    let opened = patience.open(async || Ok(AmqpBroker::open(settings).await?)).await?;
    Ok(Arc::new(opened))
}

async fn open_leases(
    settings: &Redis,
    patience: &mut Patience,
) -> Result<Arc<RedisLeases>, OpenError> {
    let opened = patience.open(async || Ok(RedisLeases::open(settings).await?)).await?;
    Ok(Arc::new(opened))
}

async fn open_objects(
    settings: &Objects,
    limits: &Embedded,
    patience: &mut Patience,
) -> Result<Arc<ObjectBlobs>, OpenError> {
    let Embedded { blob_bytes_max, log_bytes_max, .. } = *limits;
    let open = async || Ok(ObjectBlobs::open(settings, blob_bytes_max, log_bytes_max).await?);
    Ok(Arc::new(patience.open(open).await?))
}

fn open_folder(config: &Embedded) -> Result<(Arc<DataFolder>, FolderBlobs), OpenError> {
    let folder = Arc::new(DataFolder::hold(&config.data_dir)?);
    let limits = (config.blob_bytes_max, config.log_bytes_max);
    let (place, opened) = match &config.shared_dir {
        None => (folder.path(), FolderBlobs::open(folder.path(), limits.0, limits.1)),
        Some(shared) => (shared.as_path(), FolderBlobs::share(shared, limits.0, limits.1)),
    };
    let blobs = opened.map_err(|error| {
        let parts = ["blobs", "logs"].map(|part| place.join(part));
        let in_the_way = parts.iter().find(|part| part.is_file());
        OpenError::of_io(error, in_the_way.map_or(place, |part| part), "preparing it for blobs")
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
