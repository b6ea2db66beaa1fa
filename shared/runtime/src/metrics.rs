//! What is counted and measured: every instrument of the process, made once, behind methods that
//! name what happened. Labels are bounded: no ids, no names out of documents.
//!
//! Recording is a few atomic operations; reading walks what is recorded and asks nobody.

mod process;
mod text;

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, MeterProvider, UpDownCounter};
use opentelemetry_sdk::metrics::SdkMeterProvider;

pub use text::{OPEN_METRICS, PROMETHEUS};

/// Bounds of what takes from half a millisecond to seconds, in seconds.
const SHORT: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
/// Bounds of what takes from a moment to hours, in seconds.
const LONG: [f64; 12] =
    [0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];
/// Bounds of how many.
const COUNT: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// The process's metrics.
pub fn metrics() -> &'static Metrics {
    &METRICS
}

/// Every instrument.
#[derive(Debug)]
pub struct Metrics {
    registry: prometheus::Registry,
    /// Kept: the instruments end with it.
    _provider: SdkMeterProvider,
    executions_started: Counter<u64>,
    executions_unfinished: Gauge<u64>,
    execution_duration: Histogram<f64>,
    stage_duration: Histogram<f64>,
    attempt_duration: Histogram<f64>,
    attempts_retried: Counter<u64>,
    attempts_taken_over: Counter<u64>,
    attempts_handed_over: Counter<u64>,
    turn_duration: Histogram<f64>,
    turn_executions: Histogram<u64>,
    journal_append_duration: Histogram<f64>,
    timers_armed: Gauge<u64>,
    queue_ready: Gauge<u64>,
    worker_slots: Gauge<u64>,
    worker_slots_used: Gauge<u64>,
    heartbeats: Counter<u64>,
    blob_written: Counter<u64>,
    blob_read: Counter<u64>,
    http_duration: Histogram<f64>,
    http_streams: UpDownCounter<i64>,
    spans_exported: Counter<u64>,
    spans_dropped: Counter<u64>,
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
            Ok(exporter) => provider.with_reader(exporter),
            Err(_) => provider,
        };
        let provider = provider.build();
        let meter = provider.meter("capstan");
        process::register(&meter);
        build_info(&meter);
        Self::of(&meter, registry, provider.clone())
    }

    fn of(meter: &Meter, registry: prometheus::Registry, provider: SdkMeterProvider) -> Self {
        Self {
            registry,
            _provider: provider,
            executions_started: counter(
                meter,
                "capstan.executions.started",
                "Executions that began.",
            ),
            executions_unfinished: gauge(
                meter,
                "capstan.executions.unfinished",
                "Executions that have not ended.",
            ),
            execution_duration: seconds(
                meter,
                "capstan.execution.duration",
                "From start to end of an execution.",
                &LONG,
            ),
            stage_duration: seconds(
                meter,
                "capstan.stage.duration",
                "From start to end of a stage.",
                &LONG,
            ),
            attempt_duration: seconds(
                meter,
                "capstan.attempt.duration",
                "From claim to answer of an attempt, at its worker.",
                &LONG,
            ),
            attempts_retried: counter(
                meter,
                "capstan.attempts.retried",
                "Attempts that failed and were tried again.",
            ),
            attempts_taken_over: counter(
                meter,
                "capstan.attempts.taken_over",
                "Attempts whose worker was lost and that were given out again.",
            ),
            attempts_handed_over: counter(
                meter,
                "capstan.attempts.handed_over",
                "Attempts that a stopping worker gave back.",
            ),
            turn_duration: seconds(
                meter,
                "capstan.scheduler.turn.duration",
                "One turn of the scheduler's loop, what it stores included.",
                &SHORT,
            ),
            turn_executions: sizes(
                meter,
                "capstan.scheduler.turn.executions",
                "Executions that one turn of the scheduler's loop stored.",
            ),
            journal_append_duration: seconds(
                meter,
                "capstan.journal.append.duration",
                "One transaction of the journal.",
                &SHORT,
            ),
            timers_armed: gauge(meter, "capstan.timers.armed", "Timers that wait for their time."),
            queue_ready: gauge(
                meter,
                "capstan.queue.ready",
                "Attempts that wait in a queue for a worker.",
            ),
            worker_slots: gauge(
                meter,
                "capstan.worker.slots",
                "Attempts that this worker may run at once.",
            ),
            worker_slots_used: gauge(
                meter,
                "capstan.worker.slots_used",
                "Attempts that this worker runs.",
            ),
            heartbeats: counter(meter, "capstan.worker.heartbeats", "Heartbeats of this worker."),
            blob_written: bytes(
                meter,
                "capstan.blob.written",
                "Bytes of blobs and logs that were stored.",
            ),
            blob_read: bytes(meter, "capstan.blob.read", "Bytes of blobs and logs that were read."),
            http_duration: seconds(
                meter,
                "capstan.http.request.duration",
                "From a request to the head of its answer.",
                &SHORT,
            ),
            http_streams: meter
                .i64_up_down_counter("capstan.http.streams")
                .with_description("Live streams (server-sent events) that clients follow.")
                .build(),
            spans_exported: counter(
                meter,
                "capstan.telemetry.spans_exported",
                "Spans that the collector took.",
            ),
            spans_dropped: counter(
                meter,
                "capstan.telemetry.spans_dropped",
                "Spans that were dropped: the collector is down, slow, or refuses them.",
            ),
        }
    }

    /// An execution began.
    pub fn execution_started(&self) {
        self.executions_started.add(1, &[]);
    }

    /// An execution ended so, after so long.
    pub fn execution_finished(&self, status: &'static str, after: Duration) {
        self.execution_duration.record(after.as_secs_f64(), &[KeyValue::new("status", status)]);
    }

    /// How many executions and timers there are now.
    pub fn at_hand(&self, executions: usize, timers: usize) {
        self.executions_unfinished.record(executions as u64, &[]);
        self.timers_armed.record(timers as u64, &[]);
    }

    /// A stage of a type that is known ended so, after so long.
    pub fn stage_finished(&self, stage_type: &str, status: &'static str, after: Duration) {
        let labels =
            [KeyValue::new("stage_type", stage_type.to_owned()), KeyValue::new("status", status)];
        self.stage_duration.record(after.as_secs_f64(), &labels);
    }

    /// A worker's attempt ended so, after so long.
    pub fn attempt_finished(&self, capability: &str, outcome: &'static str, after: Duration) {
        let labels =
            [KeyValue::new("capability", capability.to_owned()), KeyValue::new("outcome", outcome)];
        self.attempt_duration.record(after.as_secs_f64(), &labels);
    }

    /// An attempt failed and is tried again.
    pub fn attempt_retried(&self) {
        self.attempts_retried.add(1, &[]);
    }

    /// An attempt's worker was lost.
    pub fn attempt_taken_over(&self) {
        self.attempts_taken_over.add(1, &[]);
    }

    /// A worker gave an attempt back.
    pub fn attempt_handed_over(&self) {
        self.attempts_handed_over.add(1, &[]);
    }

    /// A turn of the scheduler's loop stored so many executions and took so long.
    pub fn turn(&self, executions: usize, took: Duration) {
        self.turn_duration.record(took.as_secs_f64(), &[]);
        self.turn_executions.record(executions as u64, &[]);
    }

    /// The journal took, or refused, an append.
    pub fn journal_appended(&self, is_stored: bool, took: Duration) {
        let outcome = if is_stored { "stored" } else { "failed" };
        self.journal_append_duration
            .record(took.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
    }

    /// How many attempts wait for a worker.
    pub fn queue_ready(&self, capability: &str, waiting: u64) {
        self.queue_ready.record(waiting, &[KeyValue::new("capability", capability.to_owned())]);
    }

    /// How many slots a worker has, and how many of them are taken.
    pub fn slots(&self, all: u16, used: u16) {
        self.worker_slots.record(u64::from(all), &[]);
        self.worker_slots_used.record(u64::from(used), &[]);
    }

    /// A worker's heartbeat.
    pub fn heartbeat(&self, is_heard: bool) {
        let outcome = if is_heard { "heard" } else { "unheard" };
        self.heartbeats.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// So many bytes of blobs or logs were stored.
    pub fn blob_written(&self, bytes: usize) {
        self.blob_written.add(bytes as u64, &[]);
    }

    /// So many bytes of blobs or logs were read.
    pub fn blob_read(&self, bytes: usize) {
        self.blob_read.add(bytes as u64, &[]);
    }

    /// A request was answered; `route` is a template, not a path.
    pub fn http(&self, method: &'static str, route: &str, class: &'static str, took: Duration) {
        let labels = [
            KeyValue::new("method", method),
            KeyValue::new("route", route.to_owned()),
            KeyValue::new("status_class", class),
        ];
        self.http_duration.record(took.as_secs_f64(), &labels);
    }

    /// A client follows a stream, for as long as the answer is kept.
    pub fn stream(&'static self) -> Stream {
        self.http_streams.add(1, &[]);
        Stream(self)
    }

    /// The collector took so many spans.
    pub fn spans_exported(&self, count: usize) {
        self.spans_exported.add(count as u64, &[]);
    }

    /// So many spans were dropped.
    pub fn spans_dropped(&self, count: usize) {
        self.spans_dropped.add(count as u64, &[]);
    }
}

/// A stream that a client follows.
#[derive(Debug)]
pub struct Stream(&'static Metrics);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.http_streams.add(-1, &[]);
    }
}

fn counter(meter: &Meter, name: &'static str, help: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(help).build()
}

fn bytes(meter: &Meter, name: &'static str, help: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_unit("By").with_description(help).build()
}

fn gauge(meter: &Meter, name: &'static str, help: &'static str) -> Gauge<u64> {
    meter.u64_gauge(name).with_description(help).build()
}

fn seconds(
    meter: &Meter,
    name: &'static str,
    help: &'static str,
    bounds: &[f64],
) -> Histogram<f64> {
    let histogram = meter.f64_histogram(name).with_unit("s").with_description(help);
    histogram.with_boundaries(bounds.to_vec()).build()
}

fn sizes(meter: &Meter, name: &'static str, help: &'static str) -> Histogram<u64> {
    let histogram = meter.u64_histogram(name).with_description(help);
    histogram.with_boundaries(COUNT.to_vec()).build()
}

fn build_info(meter: &Meter) {
    let info =
        meter.u64_gauge("capstan.build_info").with_description("Which version runs; always 1.");
    info.build().record(1, &[KeyValue::new("version", env!("CARGO_PKG_VERSION"))]);
}

#[cfg(test)]
mod tests;
