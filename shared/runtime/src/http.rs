//! The one HTTP client for URLs that users give: it asks nothing inside a network that an operator
//! has not opened, waits for nothing without end, and keeps no more of an answer than is allowed.
//!
//! Every address is checked where the connection is made, so that a name that comes to mean another
//! address in between (DNS rebinding) opens nothing; and so is every redirect.

mod address;
mod allow;
mod answer;
mod error;
mod exchange;
mod redirect;
mod resolver;
mod target;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
pub use reqwest::header;
use reqwest::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
pub use reqwest::{Method, StatusCode, Url};
use tokio_util::sync::CancellationToken;

pub use self::address::{Inside, inside};
pub use self::allow::{AllowEntry, AllowError, AllowList};
pub use self::error::HttpError;
use self::exchange::Exchange;
pub use self::resolver::{Resolver, SystemResolver};
use self::target::Target;
pub use self::target::shown;

/// Headers that are the connection's own. `Host` would ask for another host than the one checked.
const OURS: [HeaderName; 8] =
    [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// Limits on one request, redirects included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Length of a URL, in bytes.
    pub url_bytes_max: usize,
    /// Size of the request's headers or body, each, in bytes.
    pub request_bytes_max: usize,
    /// Size of the answer's headers, in bytes.
    pub header_bytes_max: usize,
    /// Size of the answer's body, in bytes.
    pub response_bytes_max: usize,
    /// Redirects that are followed.
    pub redirects_max: usize,
    /// How long one connection may take, the name's lookup and TLS included.
    pub connect_timeout: Duration,
    /// How long everything may take, from the name's lookup to the last byte.
    pub request_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            url_bytes_max: 8 * 1024,
            request_bytes_max: 10 * 1024 * 1024,
            header_bytes_max: 64 * 1024,
            response_bytes_max: 10 * 1024 * 1024,
            redirects_max: 5,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// How.
    pub method: Method,
    /// Of whom.
    pub url: String,
    /// Headers; those whose values are marked as sensitive do not leave the URL's origin.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Bytes>,
}

impl HttpRequest {
    /// A request without headers and body.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), headers: HeaderMap::new(), body: None }
    }
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// Who answered, behind the redirects; show it with [`shown`] only.
    pub url: Url,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

/// Asks what users want to be asked. Clones share what is kept.
#[derive(Clone)]
pub struct GuardedHttp {
    exchange: Arc<Exchange>,
    allow: Arc<AllowList>,
    limits: HttpLimits,
}

impl std::fmt::Debug for GuardedHttp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { exchange: _, allow, limits } = self;
        f.debug_struct("GuardedHttp").field("allow", allow).field("limits", limits).finish()
    }
}

impl GuardedHttp {
    /// A client that uses the resolver of this machine.
    pub fn new(allow: AllowList, limits: HttpLimits) -> Self {
        Self::with_resolver(allow, limits, Arc::new(SystemResolver))
    }

    /// A client that finds names elsewhere.
    pub fn with_resolver(
        allow: AllowList,
        limits: HttpLimits,
        resolver: Arc<dyn Resolver>,
    ) -> Self {
        let allow = Arc::new(allow);
        let exchange = Exchange::new(resolver, Arc::clone(&allow), limits.clone());
        Self { exchange: Arc::new(exchange), allow, limits }
    }

    /// Asks, follows redirects, and takes the answer in. Any status is an answer.
    ///
    /// # Errors
    /// [`HttpError`]; [`HttpError::Cancelled`] at once when `cancel` says so.
    pub async fn send(
        &self,
        request: HttpRequest,
        cancel: &CancellationToken,
    ) -> Result<HttpAnswer, HttpError> {
        self.check_request(&request)?;
        let target = Target::read(&request.url, self.limits.url_bytes_max, &self.allow)?;
        let (url, limit) = (target.shown(), self.limits.request_timeout);
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(HttpError::Cancelled { url }),
            answer = tokio::time::timeout(limit, self.follow(target, request)) => {
                answer.unwrap_or(Err(HttpError::TimedOut { url, limit }))
            }
        }
    }

    fn check_request(&self, request: &HttpRequest) -> Result<(), HttpError> {
        if let Some(name) = OURS.iter().find(|name| request.headers.contains_key(*name)) {
            let why = "belongs to the connection and cannot be set; remove it";
            return Err(HttpError::Header { name: name.to_string(), why });
        }
        let headers = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let headers: usize = headers.sum();
        let bytes = headers.max(request.body.as_ref().map_or(0, Bytes::len));
        let limit = self.limits.request_bytes_max;
        if bytes > limit {
            return Err(HttpError::RequestTooLarge { bytes, limit, setting: "request_bytes_max" });
        }
        Ok(())
    }

    async fn follow(
        &self,
        mut target: Target,
        mut request: HttpRequest,
    ) -> Result<HttpAnswer, HttpError> {
        let mut from: Option<String> = None;
        for _ in 0..=self.limits.redirects_max {
            let shown = target.shown();
            let behind = |error: HttpError| error.behind(from.as_deref());
            let response = self.exchange.ask(&target, &request).await.map_err(behind)?;
            answer::check_headers(response.headers(), &self.limits, &shown).map_err(behind)?;
            let status = response.status();
            let next = redirect::location(status, response.headers(), &target.url);
            let Some(next) = next.map_err(|error| error.behind(Some(&shown)))? else {
                let headers = response.headers().clone();
                let body = answer::body(response, &self.limits, &shown).await.map_err(behind)?;
                return Ok(HttpAnswer { url: target.url, status, headers, body });
            };
            redirect::follow(&mut request, status, &target.url, &next)?;
            let checked = Target::check(next, &self.allow);
            target = checked.map_err(|error| error.behind(Some(&shown)))?;
            from = Some(shown);
        }
        let (url, limit) = (from.unwrap_or_default(), self.limits.redirects_max);
        Err(HttpError::Redirects { url, limit })
    }
}
