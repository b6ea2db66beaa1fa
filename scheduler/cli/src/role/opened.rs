//! What is behind the ports of a role, as its settings say.

use anyhow::{Result, ensure};
use shared_adapters::{Amqp, Config, Distributed, Embedded, Redis, Workplace};

use crate::config::{Settings, missing};

/// What a scheduler opens.
///
/// # Errors
/// If something that it needs is not set.
pub(crate) fn of_scheduler(settings: &Settings) -> Result<Config> {
    let store = settings.store.clone();
    let store = store.ok_or_else(|| missing("store.url", "a scheduler keeps everything there"))?;
    let (amqp, redis) = servers(settings)?;
    let (amqp, redis) = (Some(amqp), Some(redis));
    Ok(Config::Distributed(Distributed { store, amqp, redis, local: local(settings)? }))
}

/// What a worker opens.
///
/// # Errors
/// If something that it needs is not set, or its lease would be forgotten too early.
pub(crate) fn of_worker(settings: &Settings) -> Result<Workplace> {
    let (amqp, redis) = servers(settings)?;
    let (grace, ttl) = (redis.grace, settings.worker.lease_ttl);
    ensure!(
        grace >= ttl,
        "`redis.grace` is {grace:#}, and `worker.lease_ttl` {ttl:#}: after Redis came up empty, work \
         that still runs would be given to others; make `redis.grace` as long, on schedulers too"
    );
    Ok(Workplace { amqp, redis, local: local(settings)? })
}

fn servers(settings: &Settings) -> Result<(Box<Amqp>, Box<Redis>)> {
    let (amqp, redis) = (settings.amqp.clone(), settings.redis.clone());
    let amqp =
        amqp.ok_or_else(|| missing("amqp.url", "schedulers and workers meet in RabbitMQ"))?;
    let redis =
        redis.ok_or_else(|| missing("redis.url", "workers show in Redis that they live"))?;
    Ok((amqp, redis))
}

fn local(settings: &Settings) -> Result<Embedded> {
    let local = &settings.local;
    let why = "schedulers and workers share blobs and logs there";
    ensure!(local.shared_dir.is_some(), missing("local.shared_dir", why));
    Ok(Embedded {
        shared_dir: local.shared_dir.clone(),
        blob_bytes_max: local.blob_bytes_max,
        log_bytes_max: local.log_bytes_max,
        ..Embedded::new(&local.data_dir)
    })
}
