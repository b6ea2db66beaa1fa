//! What a number of executions takes, and where.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::stand::{Stand, cpu};

const MIB: f64 = 1024.0 * 1024.0;

/// Bytes by where they are.
pub(super) struct Taken(Vec<(&'static str, f64)>);

impl Taken {
    pub(super) fn now(stand: &Stand) -> Result<Self> {
        let memory = stand.schedulers.iter().map(|one| cpu::memory_mib(one.pid()));
        let memory: Vec<(f64, f64)> = memory.collect::<Result<_>>()?;
        let of_workers = stand.workers.iter().map(|one| cpu::memory_mib(one.pid()));
        let of_workers: Vec<(f64, f64)> = of_workers.collect::<Result<_>>()?;
        let sum = |each: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
            each.iter().map(of).sum::<f64>() * MIB
        };
        Ok(Self(vec![
            ("scheduler, RSS", sum(&memory, |(rss, _)| *rss)),
            ("scheduler, PSS", sum(&memory, |(_, pss)| *pss)),
            ("workers, RSS", sum(&of_workers, |(rss, _)| *rss)),
            ("PostgreSQL, tables and indexes", stand.store_bytes()?),
            ("Redis", stand.redis_bytes()?),
            ("RabbitMQ, memory", stand.broker_bytes()?),
        ]))
    }

    /// What came since.
    pub(super) fn since(&self, before: &Self) -> Self {
        let each = self.0.iter().zip(&before.0);
        Self(each.map(|((name, now), (_, before))| (*name, now - before)).collect())
    }

    /// The part of each of so many.
    pub(super) fn of_each(&self, count: usize) -> Value {
        let each = self.0.iter();
        let each =
            each.map(|(name, all)| ((*name).to_owned(), (all / count as f64).round().into()));
        Value::Object(each.collect::<Map<_, _>>())
    }
}
