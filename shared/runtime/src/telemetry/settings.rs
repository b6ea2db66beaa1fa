//! What the environment says about exporting, by OpenTelemetry's own variables.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;

/// How spans wait and travel. The defaults are OpenTelemetry's but for the delay.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Spans that wait at most (`OTEL_BSP_MAX_QUEUE_SIZE`); further ones are dropped and counted.
    pub(super) queue_spans_max: usize,
    /// Spans of one request (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
    pub(super) batch_spans_max: usize,
    /// How long a span waits for others (`OTEL_BSP_SCHEDULE_DELAY`, milliseconds).
    pub(super) delay: Duration,
    /// How long one request may take (`OTEL_EXPORTER_OTLP_TIMEOUT`, milliseconds).
    pub(super) request_timeout: Duration,
}

impl Settings {
    /// `None` where nothing is configured, or it is switched off.
    ///
    /// # Errors
    /// If the protocol is one that is not spoken here.
    pub(super) fn read() -> anyhow::Result<Option<Self>> {
        let is_off = text("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"))
            || text("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
        let endpoint = text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .or_else(|| text("OTEL_EXPORTER_OTLP_ENDPOINT"));
        if is_off || endpoint.is_none() {
            return Ok(None);
        }
        let protocol = text("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            .or_else(|| text("OTEL_EXPORTER_OTLP_PROTOCOL"));
        anyhow::ensure!(
            protocol.as_deref().is_none_or(|protocol| protocol == "http/protobuf"),
            "spans are exported by `http/protobuf` only, and OTEL_EXPORTER_OTLP_PROTOCOL says \
             `{}`; unset it, and name the collector's HTTP port (4318) as the endpoint",
            protocol.unwrap_or_default()
        );
        let timeout = number("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000);
        let timeout = number("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", timeout);
        Ok(Some(Self {
            queue_spans_max: number("OTEL_BSP_MAX_QUEUE_SIZE", 8_192),
            batch_spans_max: number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
            delay: Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", 1_000) as u64),
            request_timeout: Duration::from_millis(timeout as u64),
        }))
    }
}

/// Who we are, to a collector.
pub(super) fn resource() -> Resource {
    let name = text("OTEL_SERVICE_NAME");
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "capstan"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("process.pid", i64::from(std::process::id())),
        ])
        .with_detector(Box::new(EnvResourceDetector::new()));
    resource.with_attributes(name.map(|name| KeyValue::new("service.name", name))).build()
}

fn text(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.into_string().ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// As OpenTelemetry wants it, what is no number, or 0, counts as not said.
fn number(name: &str, otherwise: usize) -> usize {
    let found = text(name).and_then(|value| value.parse().ok());
    found.filter(|number| *number > 0).unwrap_or(otherwise)
}
