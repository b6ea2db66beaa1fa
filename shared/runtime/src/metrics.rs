//! What is counted and measured: every instrument of the process, made once, behind methods that
//! name what happened. Labels are bounded: no ids, no names out of documents.
//!
//! Recording is a few atomic operations; reading walks what is recorded and asks nobody.

mod instruments;
mod process;
mod text;

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;

use instruments::{Attempts, Executions, Fleet, Loop, Outside, Stored, Worker};
pub use text::{OPEN_METRICS, PROMETHEUS};

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// The process's metrics.
pub fn metrics() -> &'static Metrics {
    &METRICS
}

/// What is asked of workers with a capability.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Attempts that are ready.
    pub ready: u64,
    /// Attempts that run.
    pub running: u64,
    /// How long the oldest ready one has waited.
    pub oldest_wait: Duration,
    /// Workers that are wanted.
    pub wanted: u32,
}

/// Every instrument.
#[derive(Debug)]
pub struct Metrics {
    registry: prometheus::Registry,
    /// Kept: the instruments end with it.
    _provider: SdkMeterProvider,
    executions: Executions,
    attempts: Attempts,
    stored: Stored,
    turns: Loop,
    worker: Worker,
    fleet: Fleet,
    outside: Outside,
}

impl Metrics {
    fn new() -> Self {
        let registry = prometheus::Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .scope_info_enabled(false)
            .build();
        let provider = SdkMeterProvider::builder();
        // It fails on a registry that holds a collector already, and this one is new.
        let provider = match exporter {
            Ok(exporter) => provider.with_reader(exporter).build(),
            Err(_) => provider.build(),
        };
        let meter = provider.meter("capstan");
        process::register(&meter);
        instruments::build_info(&meter);
        Self {
            registry,
            _provider: provider,
            executions: Executions::of(&meter),
            attempts: Attempts::of(&meter),
            stored: Stored::of(&meter),
            turns: Loop::of(&meter),
            worker: Worker::of(&meter),
            fleet: Fleet::of(&meter),
            outside: Outside::of(&meter),
        }
    }

    /// An execution began.
    pub fn execution_started(&self) {
        self.executions.started.add(1, &[]);
    }

    /// An execution ended so, after so long.
    pub fn execution_finished(&self, status: &'static str, after: Duration) {
        self.executions.duration.record(after.as_secs_f64(), &[KeyValue::new("status", status)]);
    }

    /// So many executions were too old and are gone.
    pub fn executions_removed(&self, count: usize) {
        self.executions.removed.add(count as u64, &[]);
    }

    /// How many executions and blobs are stored, and how many bytes of the database, of blobs and of
    /// logs.
    pub fn store_size(&self, executions: u64, blobs: u64, bytes: [u64; 3]) {
        self.stored.executions.record(executions, &[]);
        self.stored.blobs.record(blobs, &[]);
        for (part, bytes) in ["database", "blobs", "logs"].into_iter().zip(bytes) {
            self.stored.bytes.record(bytes, &[KeyValue::new("part", part)]);
        }
    }

    /// How many executions and timers there are now.
    pub fn at_hand(&self, executions: usize, timers: usize) {
        self.executions.unfinished.record(executions as u64, &[]);
        self.turns.timers.record(timers as u64, &[]);
    }

    /// A stage of a type that is known ended so, after so long.
    pub fn stage_finished(&self, stage_type: &str, status: &'static str, after: Duration) {
        let labels =
            [KeyValue::new("stage_type", stage_type.to_owned()), KeyValue::new("status", status)];
        self.executions.stage_duration.record(after.as_secs_f64(), &labels);
    }

    /// A worker's attempt ended so, after so long.
    pub fn attempt_finished(&self, capability: &str, outcome: &'static str, after: Duration) {
        let labels =
            [KeyValue::new("capability", capability.to_owned()), KeyValue::new("outcome", outcome)];
        self.attempts.duration.record(after.as_secs_f64(), &labels);
    }

    /// An attempt failed and is tried again.
    pub fn attempt_retried(&self) {
        self.attempts.retried.add(1, &[]);
    }

    /// An attempt's worker was lost.
    pub fn attempt_taken_over(&self) {
        self.attempts.taken_over.add(1, &[]);
    }

    /// A worker gave an attempt back.
    pub fn attempt_handed_over(&self) {
        self.attempts.handed_over.add(1, &[]);
    }

    /// A turn of the scheduler's loop stored so many executions and took so long.
    pub fn turn(&self, executions: usize, took: Duration) {
        self.turns.turn_duration.record(took.as_secs_f64(), &[]);
        self.turns.turn_executions.record(executions as u64, &[]);
    }

    /// The journal took, or refused, an append.
    pub fn journal_appended(&self, is_stored: bool, took: Duration) {
        let outcome = if is_stored { "stored" } else { "failed" };
        self.turns.append_duration.record(took.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
    }

    /// How many attempts wait for a worker.
    pub fn queue_ready(&self, capability: &str, waiting: u64) {
        self.attempts.ready.record(waiting, &[KeyValue::new("capability", capability.to_owned())]);
    }

    /// What is asked of workers with a capability, and how many of them are wanted.
    pub fn asked(&self, capability: &str, asked: &Asked) {
        let label = KeyValue::new("capability", capability.to_owned());
        for (state, slots) in [("ready", asked.ready), ("running", asked.running)] {
            self.fleet.demand.record(slots, &[label.clone(), KeyValue::new("state", state)]);
        }
        let label = [label];
        self.fleet.oldest_wait.record(asked.oldest_wait.as_secs_f64(), &label);
        self.fleet.wanted.record(u64::from(asked.wanted), &label);
    }

    /// How many workers a pool has, and how many are wanted.
    pub fn pool(&self, pool: &str, live: usize, wanted: u32) {
        let label = [KeyValue::new("pool", pool.to_owned())];
        self.fleet.pool_live.record(live as u64, &label);
        self.fleet.pool_wanted.record(u64::from(wanted), &label);
    }

    /// How many slots a worker has, and how many of them are taken.
    pub fn slots(&self, all: u16, used: u16) {
        self.worker.slots.record(u64::from(all), &[]);
        self.worker.slots_used.record(u64::from(used), &[]);
    }

    /// A worker's heartbeat.
    pub fn heartbeat(&self, is_heard: bool) {
        let outcome = if is_heard { "heard" } else { "unheard" };
        self.worker.heartbeats.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// So many bytes of blobs or logs were stored.
    pub fn blob_written(&self, bytes: usize) {
        self.worker.written.add(bytes as u64, &[]);
    }

    /// So many bytes of blobs or logs were read.
    pub fn blob_read(&self, bytes: usize) {
        self.worker.read.add(bytes as u64, &[]);
    }

    /// A request was answered; `route` is a template, not a path.
    pub fn http(&self, method: &'static str, route: &str, class: &'static str, took: Duration) {
        let labels = [
            KeyValue::new("method", method),
            KeyValue::new("route", route.to_owned()),
            KeyValue::new("status_class", class),
        ];
        self.outside.http_duration.record(took.as_secs_f64(), &labels);
    }

    /// A client follows a stream, for as long as the answer is kept.
    pub fn stream(&'static self) -> Stream {
        self.outside.http_streams.add(1, &[]);
        Stream(self)
    }

    /// The collector took so many spans.
    pub fn spans_exported(&self, count: usize) {
        self.outside.spans_exported.add(count as u64, &[]);
    }

    /// So many spans were dropped.
    pub fn spans_dropped(&self, count: usize) {
        self.outside.spans_dropped.add(count as u64, &[]);
    }
}

/// A stream that a client follows.
#[derive(Debug)]
pub struct Stream(&'static Metrics);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.outside.http_streams.add(-1, &[]);
    }
}

#[cfg(test)]
mod tests;
