//! Spans on their way to a collector: a bounded queue, one task behind it, and nobody who waits.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::WithHttpConfig;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::settings::{self, Settings};
use crate::metrics::metrics;
use crate::{Kind, Supervisor};

/// How long a connection to the collector may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long what waits may take to leave once we stop.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// Where ended spans go, once somebody wants them.
static QUEUE: OnceLock<mpsc::Sender<SpanData>> = OnceLock::new();

/// Whether anybody wants spans. Where not, nothing is to be spent on them.
pub fn is_exporting() -> bool {
    QUEUE.get().is_some()
}

/// Takes a span, or counts it as dropped. Never waits.
pub(super) fn offer(span: SpanData) {
    if let Some(queue) = QUEUE.get()
        && queue.try_send(span).is_err()
    {
        metrics().spans_dropped(1);
    }
}

/// Exports spans from here on, if the environment names a collector
/// (`OTEL_EXPORTER_OTLP_ENDPOINT`). What waits when the supervisor stops is sent first, for a while.
///
/// # Errors
/// If what the environment says cannot be used.
pub fn start(supervisor: &Supervisor) -> anyhow::Result<()> {
    let Some(settings) = Settings::read()? else { return Ok(()) };
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(settings.request_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("no HTTP client for spans")?;
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(Http(http));
    let mut exporter =
        exporter.build().context("spans cannot be exported (OTEL_EXPORTER_OTLP_*)")?;
    exporter.set_resource(&settings::resource());
    let (queue, spans) = mpsc::channel(settings.queue_spans_max);
    if QUEUE.set(queue).is_ok() {
        let stop = supervisor.stopping_of(Kind::Telemetry);
        let sender = Sender { exporter, spans, settings, batch: Vec::new(), is_failing: false };
        supervisor.spawn(Kind::Telemetry, sender.run(stop));
    }
    Ok(())
}

/// OpenTelemetry's exporter on our HTTP client.
#[derive(Debug)]
struct Http(reqwest::Client);

#[async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let request = self.0.request(parts.method, url).headers(parts.headers).body(body);
        let answer = request.send().await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            *headers = answer.headers().clone();
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}

struct Sender {
    exporter: opentelemetry_otlp::SpanExporter,
    spans: mpsc::Receiver<SpanData>,
    settings: Settings,
    /// What is sent next.
    batch: Vec<SpanData>,
    /// Said once, not with each batch.
    is_failing: bool,
}

impl Sender {
    async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let too_late = async {
            stop.cancelled().await;
            tokio::time::sleep(FLUSH_LIMIT).await;
        };
        tokio::select! {
            biased;
            () = self.send_all(&stop) => {}
            () = too_late => {
                tracing::warn!(limit = ?FLUSH_LIMIT, "the last spans did not reach the collector in time");
            }
        }
        Ok(())
    }

    /// Sends until we stop, then what is left.
    async fn send_all(&mut self, stop: &CancellationToken) {
        let mut stopping = false;
        while !stopping {
            stopping = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = self.gather() => false,
            };
            while stopping && let Ok(span) = self.spans.try_recv() {
                self.batch.push(span);
            }
            while !self.batch.is_empty() {
                let rest =
                    self.batch.split_off(self.batch.len().min(self.settings.batch_spans_max));
                let batch = std::mem::replace(&mut self.batch, rest);
                self.send(batch).await;
            }
        }
    }

    /// Takes what comes until there is enough for a request, or it waited long enough.
    async fn gather(&mut self) {
        let max = self.settings.batch_spans_max;
        if self.spans.recv_many(&mut self.batch, max).await == 0 {
            // The queue is never closed: it is the process's own.
            std::future::pending::<()>().await;
        }
        let late = tokio::time::sleep(self.settings.delay);
        tokio::pin!(late);
        while self.batch.len() < max {
            let left = max - self.batch.len();
            tokio::select! {
                biased;
                () = &mut late => break,
                _ = self.spans.recv_many(&mut self.batch, left) => {}
            }
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let count = batch.len();
        match self.exporter.export(batch).await {
            Ok(()) => {
                metrics().spans_exported(count);
                if std::mem::take(&mut self.is_failing) {
                    tracing::warn!("spans reach the collector again");
                }
            }
            Err(error) => {
                metrics().spans_dropped(count);
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "spans do not reach the collector and are dropped; the work goes on");
                }
            }
        }
    }
}
