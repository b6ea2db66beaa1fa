//! What is seen of requests: how long each took, and a span for each that changes something.

use std::time::SystemTime;

use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use shared_runtime::metrics::metrics;
use shared_runtime::telemetry::{Span, TraceContext, is_exporting};

use super::State;
use super::request::{TRACEPARENT, trace};

/// The route of what has none: paths that people make up are not bounded.
const NO_ROUTE: &str = "none";

/// Measures a request.
pub(super) async fn observe(
    Shared(state): Shared<State>,
    mut request: Request,
    next: Next,
) -> Response {
    let clock = &state.scheduler.ports().clock;
    let method = name_of(request.method());
    let call = Call::begin(&state, &mut request);
    let began = clock.elapsed();
    let response = next.run(request).await;
    let status = response.status();
    let route = response.extensions().get::<MatchedPath>();
    let route = route.map_or(NO_ROUTE, MatchedPath::as_str);
    metrics().http(method, route, class(status), clock.elapsed().saturating_sub(began));
    if let Some(call) = call {
        call.end(method, route, status, clock.now());
    }
    response
}

/// Notes in the answer which route it came from: whoever measures stands before routes are chosen.
pub(super) async fn note_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// A request that becomes a span.
struct Call {
    own: TraceContext,
    caller: Option<TraceContext>,
    at: Timestamp,
}

impl Call {
    /// Begins where spans are exported and something is to change; what the request starts then
    /// stands below it.
    fn begin(state: &State, request: &mut Request) -> Option<Self> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if reads || !is_exporting() {
            return None;
        }
        let clock = &state.scheduler.ports().clock;
        let (name, caller) = (format!("request {}", clock.new_id()), trace(request.headers()));
        let own = caller.unwrap_or_else(|| TraceContext::of(&name)).span(&name);
        let header = HeaderValue::from_str(&own.to_string()).ok()?;
        request.headers_mut().insert(TRACEPARENT, header);
        Some(Self { own, caller, at: clock.now() })
    }

    fn end(self, method: &'static str, route: &str, status: StatusCode, at: Timestamp) {
        let times = (SystemTime::from(self.at), SystemTime::from(at));
        let span = Span::new(self.own, self.caller, format!("{method} {route}"), times)
            .server()
            .with("http.request.method", method)
            .with("http.route", route.to_owned())
            .with("http.response.status_code", i64::from(status.as_u16()));
        let span = if status.is_server_error() { span.failed(status.as_str()) } else { span };
        span.export();
    }
}

/// A method by name; people may make some up.
fn name_of(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.into_iter().find(|name| *name == method.as_str()).unwrap_or("_OTHER")
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
