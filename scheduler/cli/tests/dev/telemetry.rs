//! What a real `capstan dev` tells of itself: spans to a collector, metrics to whoever scrapes, logs.

#[path = "telemetry/collector.rs"]
mod collector;
#[path = "telemetry/exposition.rs"]
mod exposition;
#[path = "telemetry/logs.rs"]
mod logs;
#[path = "telemetry/metrics.rs"]
mod metrics;
#[path = "telemetry/outage.rs"]
mod outage;
#[path = "telemetry/scene.rs"]
mod scene;
#[path = "telemetry/secrets.rs"]
mod secrets;
#[path = "telemetry/traces.rs"]
mod traces;
