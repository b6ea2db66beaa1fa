//! One request and the head of its answer: no redirect is followed here.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use super::allow::AllowList;
use super::error::HttpError;
use super::resolver::{Guarded, NameError, Resolver};
use super::target::Target;
use super::{HttpLimits, HttpRequest, answer};

/// How many ports have a client that is kept.
const CLIENTS_MAX: usize = 32;
/// How many headers an answer may have; together they are bounded by `header_bytes_max`.
const HEADERS_MAX: usize = 256;

/// Who connects. There is one client per port, as a resolver is told a name without its port.
/// Connections are not used again: an idle one that the other side closes just then would leave it
/// open whether a request was received.
pub(super) struct Exchange {
    clients: Mutex<BTreeMap<u16, reqwest::Client>>,
    resolver: Arc<dyn Resolver>,
    allow: Arc<AllowList>,
    limits: HttpLimits,
}

impl Exchange {
    pub(super) fn new(
        resolver: Arc<dyn Resolver>,
        allow: Arc<AllowList>,
        limits: HttpLimits,
    ) -> Self {
        Self { clients: Mutex::default(), resolver, allow, limits }
    }

    /// Asks; the answer's body is still to be read.
    ///
    /// # Errors
    /// [`HttpError`].
    pub(super) async fn ask(
        &self,
        target: &Target,
        request: &HttpRequest,
    ) -> Result<reqwest::Response, HttpError> {
        let client = self.client(target.port)?;
        let mut asked = client.request(request.method.clone(), target.url.clone());
        asked = asked.headers(request.headers.clone());
        if let Some(body) = &request.body {
            asked = asked.body(body.clone());
        }
        asked.send().await.map_err(|error| self.understood(&error, &target.shown()))
    }

    fn client(&self, port: u16) -> Result<reqwest::Client, HttpError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&port) {
            return Ok(client.clone());
        }
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        let client = self.new_client(port)?;
        clients.insert(port, client.clone());
        Ok(client)
    }

    fn new_client(&self, port: u16) -> Result<reqwest::Client, HttpError> {
        let (resolver, allow) = (Arc::clone(&self.resolver), Arc::clone(&self.allow));
        reqwest::Client::builder()
            .dns_resolver(Guarded { resolver, allow, port })
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .http1_only()
            .http1_max_headers(HEADERS_MAX)
            .pool_max_idle_per_host(0)
            .connect_timeout(self.limits.connect_timeout)
            .user_agent(concat!("capstan/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HttpError::Client { why: innermost(&error) })
    }

    /// What an error of the client means to us.
    fn understood(&self, error: &reqwest::Error, url: &str) -> HttpError {
        let url = url.to_owned();
        if let Some(name) = causes(error).find_map(|cause| cause.downcast_ref::<NameError>()) {
            return of_name(name, url);
        }
        if error.is_connect() && error.is_timeout() {
            let why =
                format!("no connection within {:?} (connect_timeout)", self.limits.connect_timeout);
            return HttpError::Unreachable { url, why };
        }
        let why = innermost(error);
        if error.is_connect() {
            return HttpError::Unreachable { url, why };
        }
        // The parser's own bound: it is met before the headers are there to be counted.
        if why.contains("message head is too large") {
            return answer::headers_too_large(&self.limits, &url);
        }
        HttpError::Broken { url, why }
    }
}

fn of_name(error: &NameError, url: String) -> HttpError {
    match error {
        NameError::Refused(HttpError::Refused { address, inside, open, .. }) => {
            let (address, inside) = (*address, *inside);
            HttpError::Refused { url, address, inside, open: open.clone() }
        }
        NameError::Refused(_) | NameError::NotFound(_) => {
            HttpError::NotFound { url, why: error.to_string() }
        }
    }
}

/// The error that everything began with: what is around it repeats the URL, or says nothing.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "no reason is known".to_owned(), ToString::to_string)
}

fn causes<'e>(error: &'e reqwest::Error) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}
