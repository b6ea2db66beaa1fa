//! What is taken, looked at again and again, and by how much it grows.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::serve::now;
use crate::stand::{Stand, cpu, left};

const MIB: f64 = 1024.0 * 1024.0;
const HOUR_SECONDS: f64 = 3_600.0;

/// What is taken at one time.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// In MiB, by whom.
    memory: Vec<(&'static str, f64)>,
    /// Messages in queues.
    messages: u64,
    keys: u64,
    /// Keys that Redis does not forget by itself.
    pub(super) keys_for_good: u64,
}

impl Sample {
    pub(super) fn now(stand: &Stand) -> Result<Self> {
        let rss = |processes: &[crate::stand::process::Process]| -> Result<f64> {
            processes.iter().map(|one| Ok(cpu::memory_mib(one.pid())?.0)).sum()
        };
        let queues = left::queues(&stand.rabbitmq.management())?;
        let (keys, forgotten) = keys(stand)?;
        Ok(Self {
            memory: vec![
                ("schedulers", rss(&stand.schedulers)?),
                ("workers", rss(&stand.workers)?),
                ("RabbitMQ", stand.broker_bytes()? / MIB),
                ("Redis", stand.redis_bytes()? / MIB),
                ("PostgreSQL, tables and indexes", stand.store_bytes()? / MIB),
            ],
            messages: queues.iter().map(|queue| queue.waiting + queue.held).sum(),
            keys,
            keys_for_good: keys.saturating_sub(forgotten),
        })
    }

    pub(super) fn told(&self) -> Value {
        let memory = self.memory.iter();
        let memory = memory.map(|(name, mib)| ((*name).to_owned(), mib.round().into()));
        json!({
            "MiB": Value::Object(memory.collect::<Map<_, _>>()),
            "messages in queues": self.messages,
            "keys in Redis": self.keys,
            "keys in Redis for good": self.keys_for_good,
        })
    }
}

/// Samples over a while, each with its time in hours.
pub(super) struct Growth(Vec<(f64, Sample)>);

impl Growth {
    pub(super) fn over(stand: &Stand, lasts: Duration, samples: u32) -> Result<Self> {
        let (pause, began) = ((lasts / samples).max(Duration::from_secs(1)), now());
        let mut taken = Vec::new();
        while began.elapsed() < lasts {
            std::thread::sleep(pause);
            let hours = began.elapsed().as_secs_f64() / HOUR_SECONDS;
            taken.push((hours, Sample::now(stand)?));
        }
        Ok(Self(taken))
    }

    /// By whom how many MiB more an hour, in the second half: at first caches fill.
    pub(super) fn slopes(&self) -> Value {
        let half = &self.0[self.0.len() / 2..];
        let Some((_, first)) = half.first() else { return Value::Null };
        let of = |(place, (name, _)): (usize, &(&'static str, f64))| {
            let points = half.iter().filter_map(|(at, one)| Some((*at, one.memory.get(place)?.1)));
            ((*name).to_owned(), json!(slope(&points.collect::<Vec<_>>())))
        };
        Value::Object(first.memory.iter().enumerate().map(of).collect())
    }

    pub(super) fn last(&self) -> Value {
        self.0.last().map_or(Value::Null, |(_, sample)| sample.told())
    }
}

/// Of the straight line that comes closest to points; none goes through one alone.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let across: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let up: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    (across > 0.0).then(|| (up / across * 10.0).round() / 10.0)
}

/// How many there are, and how many of them Redis forgets by itself.
fn keys(stand: &Stand) -> Result<(u64, u64)> {
    let said = stand.redis.command("INFO keyspace")?;
    let number = |name: &str| {
        let rest = said.split_once(name)?.1;
        rest.split([',', '\r', '\n']).next()?.parse::<u64>().ok()
    };
    Ok((number("keys=").unwrap_or_default(), number("expires=").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_evenly_has_that_slope() {
        let points: Vec<_> =
            (0..10).map(|at| (f64::from(at), f64::from(at) * 2.5 + 40.0)).collect();
        assert_eq!(slope(&points), Some(2.5));
        assert_eq!(slope(&points[..1]), None);
        assert_eq!(slope(&[]), None);
    }
}
