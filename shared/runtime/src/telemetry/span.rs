//! A span, whole.

use std::time::SystemTime;

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{TraceContext, current, export, is_exporting};

/// Longest text of an attribute or of an error, in bytes: names come from documents.
const TEXT_BYTES_MAX: usize = 1_024;

/// What has ended, for whoever follows traces. Values are names, ids and numbers only: never
/// parameters, contexts, headers or arguments, which may be secret.
#[derive(Debug, Clone)]
pub struct Span {
    data: SpanData,
    is_wanted: bool,
}

impl Span {
    /// A span below `parent`, or at the root of its trace.
    pub fn new(
        context: TraceContext,
        parent: Option<TraceContext>,
        name: impl Into<String>,
        (start, end): (SystemTime, SystemTime),
    ) -> Self {
        let parent = parent.map_or(0, |parent| parent.span_id());
        let data = SpanData {
            span_context: SpanContext::new(
                TraceId::from(context.trace_id()),
                SpanId::from(context.span_id()),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: cut(name.into()).into(),
            start_time: start,
            end_time: end.max(start),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("capstan")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        };
        Self { data, is_wanted: context.is_sampled() }
    }

    /// It answers what came from elsewhere.
    #[must_use]
    pub fn server(mut self) -> Self {
        self.data.span_kind = SpanKind::Server;
        self.data.parent_span_is_remote = self.data.parent_span_id != SpanId::INVALID;
        self
    }

    /// It deals with a message.
    #[must_use]
    pub fn consumer(mut self) -> Self {
        self.data.span_kind = SpanKind::Consumer;
        self.data.parent_span_is_remote = true;
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let mut value = value.into();
        if let Value::String(text) = &value
            && text.as_str().len() > TEXT_BYTES_MAX
        {
            value = cut(text.as_str().to_owned()).into();
        }
        self.data.attributes.push(KeyValue::new(name, value));
        self
    }

    /// Says that it failed: a stable word of what kind.
    #[must_use]
    pub fn failed(mut self, kind: impl Into<String>) -> Self {
        let kind = cut(kind.into());
        self.data.attributes.push(KeyValue::new("error.type", kind.clone()));
        self.data.status = Status::error(kind);
        self
    }

    /// Hands it to the exporter; never waits.
    pub fn export(self) {
        if self.is_wanted {
            export::offer(self.data);
        }
    }
}

/// Something that runs within the current place of a trace, and becomes a span when it ends.
#[derive(Debug)]
pub struct Running {
    parent: TraceContext,
    start: SystemTime,
}

impl Running {
    /// Begins; `None`, at no cost, where nobody follows.
    pub fn begin() -> Option<Self> {
        let parent = if is_exporting() { current()? } else { return None };
        Some(Self { parent, start: now() })
    }

    /// The span of what began, which ends now; `key` tells it from others of the same name.
    pub fn end(self, name: &str, key: &str) -> Span {
        let own = format!("{name} {key} below {:016x}", self.parent.span_id());
        Span::new(self.parent.span(&own), Some(self.parent), name, (self.start, now()))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only asked while spans are exported, which no simulated world does; it decides nothing"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn cut(mut text: String) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text.truncate(end);
    text
}
