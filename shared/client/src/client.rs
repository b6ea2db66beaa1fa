//! Requests out, answers in.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::address::Address;
use crate::{Error, answer};

/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take; a little longer than the server gives itself.
const CALL_TIMEOUT: Duration = Duration::from_secs(35);
/// Size of an answer. A list of large executions is the largest there is.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Whom to ask, and as whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server's URL, e.g. `http://127.0.0.1:8084`.
    pub server: String,
    /// The bearer token, if the server wants one.
    pub token: Option<SecretString>,
    /// As whom we act where the server believes it.
    pub user: Option<String>,
    /// How long a call may take.
    pub call_timeout: Duration,
    /// Size of an answer.
    pub body_bytes_max: usize,
}

impl Config {
    /// The defaults, for a server.
    pub fn of(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            token: None,
            user: None,
            call_timeout: CALL_TIMEOUT,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }
}

/// Asks one server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    pub(crate) address: Address,
    pub(crate) call_timeout: Duration,
    pub(crate) body_bytes_max: usize,
}

/// A request on its way, with what messages call it.
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) request: RequestBuilder,
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Setting`] if the address, the token or the user cannot be used.
    pub fn new(config: Config) -> Result<Self, Error> {
        let address = Address::parse(&config.server)?;
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .default_headers(headers(&config)?)
            .user_agent(concat!("capstan/", env!("CARGO_PKG_VERSION")))
            // A token must not travel to where nobody sent it.
            .redirect(Policy::none());
        if !address.is_encrypted() {
            // Machines without certificates of authorities can do without them here.
            http = http.tls_certs_only([]);
        }
        if address.is_loopback() {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| Error::Setting {
            what: format!("the server `{address}`"),
            why: error.to_string(),
        })?;
        let Config { call_timeout, body_bytes_max, .. } = config;
        Ok(Self { http, address, call_timeout, body_bytes_max })
    }

    /// The server's address, without a slash at its end.
    pub fn server(&self) -> String {
        self.address.to_string()
    }

    /// Asks for JSON.
    pub(crate) async fn get(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, Error> {
        let call = self.call(Method::GET, self.address.of(segments, query)?);
        self.json(call).await
    }

    /// Sends a change. Every change says that it is JSON: browsers cannot without asking first.
    pub(crate) async fn change(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Vec<u8>, Error> {
        let mut call = self.call(method, self.address.of(segments, query)?);
        let body = body.map(Value::to_string).unwrap_or_default();
        call.request = call.request.header("content-type", "application/json").body(body);
        self.within(&call.name.clone(), async {
            let (name, response) = self.send(call).await?;
            answer::bytes(self, &name, response).await
        })
        .await
    }

    async fn json(&self, call: Call) -> Result<Value, Error> {
        self.within(&call.name.clone(), async {
            let (name, response) = self.send(call).await?;
            answer::json(self, &name, response).await
        })
        .await
    }

    pub(crate) fn call(&self, method: Method, url: Url) -> Call {
        let name = format!("{method} {}", url.path());
        Call { name, request: self.http.request(method, url) }
    }

    /// Sends a request; an answer that is an error is one.
    pub(crate) async fn send(&self, call: Call) -> Result<(String, Response), Error> {
        let Call { name, request } = call;
        let response =
            request.send().await.map_err(|error| self.failure(&name, error.without_url()))?;
        if response.status().is_success() {
            return Ok((name, response));
        }
        Err(answer::refusal(self, &name, response).await)
    }

    pub(crate) async fn within<T>(
        &self,
        call: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let done = tokio::time::timeout(self.call_timeout, work).await;
        done.unwrap_or_else(|_| Err(self.too_slow(call, self.call_timeout)))
    }

    pub(crate) fn too_slow(&self, call: &str, limit: Duration) -> Error {
        Error::TooSlow { server: self.server(), call: call.to_owned(), limit }
    }

    pub(crate) fn failure(&self, call: &str, source: reqwest::Error) -> Error {
        let (server, call) = (self.server(), call.to_owned());
        if source.is_connect() {
            return Error::Unreachable { server, source };
        }
        Error::Broken { server, call, source: Some(source) }
    }

    pub(crate) fn foreign(&self, call: &str, why: impl Into<String>) -> Error {
        Error::Foreign { server: self.server(), call: call.to_owned(), why: why.into() }
    }
}

fn headers(config: &Config) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    if let Some(user) = &config.user {
        let name = HeaderName::from_static("x-spinnaker-user");
        headers.insert(name, visible(&format!("the user `{user}`"), user)?);
    }
    if let Some(token) = &config.token {
        let text = format!("Bearer {}", token.expose_secret());
        let mut value = visible("the token", &text)?;
        value.set_sensitive(true);
        headers.insert(reqwest::header::AUTHORIZATION, value);
    }
    Ok(headers)
}

fn visible(what: &str, text: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(text).ok().filter(|_| text.is_ascii());
    value.ok_or_else(|| Error::Setting {
        what: what.to_owned(),
        why: "only visible ASCII characters can be sent".to_owned(),
    })
}
