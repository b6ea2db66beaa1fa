//! What the roles need that do nothing.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Plan;
use crate::stand::{Shape, Stand, cpu};

/// How long everything stands idle before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

pub(super) fn run(plan: &Plan) -> Result<Value> {
    let shape = Shape { schedulers: 0, workers: 0, ..plan.shape.clone() };
    let stand = Stand::start(shape)?;
    let (scheduler, worker) = (stand.start_shipped("scheduler")?, stand.start_shipped("worker")?);
    std::thread::sleep(IDLE);
    let memory =
        |pid| cpu::memory_mib(pid).map(|(rss, pss)| json!({ "RSS, MiB": rss, "PSS, MiB": pss }));
    let figures = json!({ "scheduler": memory(scheduler.pid())?, "worker": memory(worker.pid())? });
    worker.stop()?;
    scheduler.stop()?;
    Ok(figures)
}
