//! The instruments, by what they tell of.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};

/// Bounds of what takes from half a millisecond to seconds, in seconds.
const SHORT: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
/// Bounds of what takes from a moment to a day, in seconds.
const LONG: [f64; 12] =
    [0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];
/// Bounds of how many.
const COUNT: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Executions and their stages.
#[derive(Debug)]
pub(super) struct Executions {
    pub(super) started: Counter<u64>,
    pub(super) removed: Counter<u64>,
    pub(super) unfinished: Gauge<u64>,
    pub(super) duration: Histogram<f64>,
    pub(super) stage_duration: Histogram<f64>,
}

impl Executions {
    pub(super) fn of(meter: &Meter) -> Self {
        let whole = "From start to end of an execution.";
        let stage = "From start to end of a stage.";
        Self {
            started: counter(meter, "capstan.executions.started", "Executions that began."),
            removed: counter(meter, "capstan.executions.removed", "Executions that were too old."),
            unfinished: gauge(meter, "capstan.executions.unfinished", "Those that have not ended."),
            duration: seconds(meter, "capstan.execution.duration", whole, &LONG),
            stage_duration: seconds(meter, "capstan.stage.duration", stage, &LONG),
        }
    }
}

/// Attempts, wherever they are.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) duration: Histogram<f64>,
    pub(super) retried: Counter<u64>,
    pub(super) taken_over: Counter<u64>,
    pub(super) handed_over: Counter<u64>,
    pub(super) ready: Gauge<u64>,
}

impl Attempts {
    pub(super) fn of(meter: &Meter) -> Self {
        let duration = "From claim to answer of an attempt, at its worker.";
        let retried = "Attempts that failed and were tried again.";
        let taken_over = "Attempts whose worker was lost and that were given out again.";
        let handed_over = "Attempts that a stopping worker gave back.";
        let ready = "Attempts that wait in a queue for a worker.";
        Self {
            duration: seconds(meter, "capstan.attempt.duration", duration, &LONG),
            retried: counter(meter, "capstan.attempts.retried", retried),
            taken_over: counter(meter, "capstan.attempts.taken_over", taken_over),
            handed_over: counter(meter, "capstan.attempts.handed_over", handed_over),
            ready: gauge(meter, "capstan.queue.ready", ready),
        }
    }
}

/// How much is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) executions: Gauge<u64>,
    pub(super) blobs: Gauge<u64>,
    pub(super) bytes: Gauge<u64>,
}

impl Stored {
    pub(super) fn of(meter: &Meter) -> Self {
        let bytes = "Bytes that are stored: of the database, of blobs, of logs.";
        let bytes = meter.u64_gauge("capstan.store.size").with_unit("By").with_description(bytes);
        Self {
            executions: gauge(meter, "capstan.store.executions", "Executions that are stored."),
            blobs: gauge(meter, "capstan.store.blobs", "Blobs that are stored."),
            bytes: bytes.build(),
        }
    }
}

/// The scheduler's loop and what it stores.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) turn_duration: Histogram<f64>,
    pub(super) turn_executions: Histogram<u64>,
    pub(super) append_duration: Histogram<f64>,
    pub(super) timers: Gauge<u64>,
}

impl Loop {
    pub(super) fn of(meter: &Meter) -> Self {
        let turn = "One turn of the scheduler's loop, what it stores included.";
        let size = meter
            .u64_histogram("capstan.scheduler.turn.executions")
            .with_description("Executions that one turn of the scheduler's loop stored.")
            .with_boundaries(COUNT.to_vec());
        let append = "One transaction of the journal.";
        Self {
            turn_duration: seconds(meter, "capstan.scheduler.turn.duration", turn, &SHORT),
            turn_executions: size.build(),
            append_duration: seconds(meter, "capstan.journal.append.duration", append, &SHORT),
            timers: gauge(meter, "capstan.timers.armed", "Timers that wait for their time."),
        }
    }
}

/// The worker, and the bytes that it and others store.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) slots: Gauge<u64>,
    pub(super) slots_used: Gauge<u64>,
    pub(super) heartbeats: Counter<u64>,
    pub(super) written: Counter<u64>,
    pub(super) read: Counter<u64>,
}

impl Worker {
    pub(super) fn of(meter: &Meter) -> Self {
        let slots = "Attempts that this worker may run at once.";
        let used = "Attempts that this worker runs.";
        let written = "Bytes of blobs and logs that were stored.";
        let read = "Bytes of blobs and logs that were read.";
        Self {
            slots: gauge(meter, "capstan.worker.slots", slots),
            slots_used: gauge(meter, "capstan.worker.slots_used", used),
            heartbeats: counter(meter, "capstan.worker.heartbeats", "Heartbeats of this worker."),
            written: bytes(meter, "capstan.blob.written", written),
            read: bytes(meter, "capstan.blob.read", read),
        }
    }
}

/// The fleet of workers as the scheduler sees it.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) demand: Gauge<u64>,
    pub(super) oldest_wait: Gauge<f64>,
    pub(super) wanted: Gauge<u64>,
    pub(super) pool_live: Gauge<u64>,
    pub(super) pool_wanted: Gauge<u64>,
}

impl Fleet {
    pub(super) fn of(meter: &Meter) -> Self {
        let demand = "Slots that the attempts at hand would fill.";
        let wait = "How long the oldest ready attempt has waited.";
        let wait = meter.f64_gauge("capstan.oldest_wait").with_unit("s").with_description(wait);
        let wanted = "Workers that are wanted for a capability.";
        let pool_live = "Live workers of a pool that take work.";
        let pool_wanted = "Workers that are wanted of a pool.";
        Self {
            demand: gauge(meter, "capstan.slot.demand", demand),
            oldest_wait: wait.build(),
            wanted: gauge(meter, "capstan.wanted_workers", wanted),
            pool_live: gauge(meter, "capstan.pool.live_workers", pool_live),
            pool_wanted: gauge(meter, "capstan.pool.wanted_workers", pool_wanted),
        }
    }
}

/// What comes in and what is told.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) http_duration: Histogram<f64>,
    pub(super) http_streams: UpDownCounter<i64>,
    pub(super) spans_exported: Counter<u64>,
    pub(super) spans_dropped: Counter<u64>,
}

impl Outside {
    pub(super) fn of(meter: &Meter) -> Self {
        let http = "From a request to the head of its answer.";
        let streams = meter
            .i64_up_down_counter("capstan.http.streams")
            .with_description("Live streams (server-sent events) that clients follow.");
        let exported = "Spans that the collector took.";
        let dropped = "Spans that were dropped: the collector is down, slow, or refuses them.";
        Self {
            http_duration: seconds(meter, "capstan.http.request.duration", http, &SHORT),
            http_streams: streams.build(),
            spans_exported: counter(meter, "capstan.telemetry.spans_exported", exported),
            spans_dropped: counter(meter, "capstan.telemetry.spans_dropped", dropped),
        }
    }
}

/// Tells which version runs.
pub(super) fn build_info(meter: &Meter) {
    let info = gauge(meter, "capstan.build_info", "Which version runs; always 1.");
    info.record(1, &[KeyValue::new("version", env!("CARGO_PKG_VERSION"))]);
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
