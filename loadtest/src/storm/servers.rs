//! What happens to RabbitMQ, Redis and PostgreSQL.

use std::process::Command;

use anyhow::Result;

use super::faults::run;
use super::site::{Site, lock};
use crate::stand::left::queues;

pub(super) fn kill_broker(site: &Site, lasts: impl FnOnce()) -> Result<()> {
    let mut rabbitmq = lock(&site.rabbitmq);
    rabbitmq.crash()?;
    lasts();
    rabbitmq.start_again()?;
    rabbitmq.wait()
}

pub(super) fn freeze_broker(site: &Site, lasts: impl FnOnce()) -> Result<()> {
    let rabbitmq = lock(&site.rabbitmq);
    rabbitmq.freeze()?;
    lasts();
    rabbitmq.thaw()
}

pub(super) fn restart_broker(site: &Site, lasts: impl FnOnce()) -> Result<()> {
    let mut rabbitmq = lock(&site.rabbitmq);
    rabbitmq.control(&["stop_app"])?;
    lasts();
    rabbitmq.control(&["start_app"])?;
    rabbitmq.wait()
}

pub(super) fn alarm_broker(site: &Site, lasts: impl FnOnce()) -> Result<()> {
    let rabbitmq = lock(&site.rabbitmq);
    rabbitmq.control(&["set_vm_memory_high_watermark", "0"])?;
    lasts();
    rabbitmq.control(&["set_vm_memory_high_watermark", "0.4"])
}

pub(super) fn purge_queues(site: &Site) -> Result<()> {
    let rabbitmq = lock(&site.rabbitmq).management();
    for queue in queues(&rabbitmq)? {
        let path = format!("/api/queues/%2f/{}/contents", queue.name);
        // It may expire in this moment.
        drop(rabbitmq.request("DELETE", &path, "")?);
    }
    Ok(())
}

pub(super) fn delete_queue(site: &Site, which: u8) -> Result<()> {
    let rabbitmq = lock(&site.rabbitmq).management();
    let queues = queues(&rabbitmq)?;
    let Some(place) = usize::from(which).checked_rem(queues.len()) else { return Ok(()) };
    let path = format!("/api/queues/%2f/{}", queues[place].name);
    // It may expire in this moment.
    drop(rabbitmq.request("DELETE", &path, "")?);
    Ok(())
}

pub(super) fn kill_redis(site: &Site, lasts: impl FnOnce()) -> Result<()> {
    let mut redis = lock(&site.redis);
    redis.crash()?;
    lasts();
    redis.start_again()?;
    redis.wait()
}

pub(super) fn fill_redis(site: &Site, lasts: impl FnOnce()) -> Result<()> {
    let redis = lock(&site.redis);
    redis.command("CONFIG SET maxmemory 1")?;
    lasts();
    redis.command("CONFIG SET maxmemory 0").map(drop)
}

/// It comes back with what it had when this began.
pub(super) fn rewind_redis(site: &Site, lasts: impl FnOnce()) -> Result<()> {
    let mut redis = lock(&site.redis);
    let folder = site.shape.folder.join("redis");
    let (now, earlier) = (folder.join("appendonlydir"), folder.join("earlier"));
    run(Command::new("cp").arg("-r").args([&now, &earlier]))?;
    lasts();
    redis.crash()?;
    redis.forget_all()?;
    std::fs::rename(&earlier, &now)?;
    redis.start_again()?;
    redis.wait()
}

pub(super) fn kill_store(site: &Site, lasts: impl FnOnce()) -> Result<()> {
    let mut store = lock(&site.store);
    store.kill()?;
    lasts();
    store.launch()
}
