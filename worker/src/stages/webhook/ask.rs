//! Requests as a stage's fields describe them, and a line in the stage's log for each.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use shared_model::EffectKey;
use shared_runtime::http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use shared_runtime::http::{HttpAnswer, HttpError, HttpRequest, Method, Url, shown};
use tokio_util::sync::CancellationToken;

use super::error::WebhookError;
use super::fields::{Call, plain};
use super::{Run, is_empty};

/// Names a request for its target, whichever attempt makes it (D5).
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Headers that speak for a Spinnaker user; Orca leaves them out, too.
const DENIED: [&str; 5] = [
    "x-spinnaker-user",
    "x-spinnaker-account",
    "x-spinnaker-user-origin",
    "x-spinnaker-request-id",
    "x-spinnaker-execution-id",
];
/// Headers that hold no secrets: they follow a redirect to another origin.
const HARMLESS: [HeaderName; 4] = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_TYPE];
const FORM: &str = "application/x-www-form-urlencoded";
/// How long an answer may still come once the task is told to end, where nobody could tell otherwise
/// whether the target did what it was asked.
const LAST_WORD: Duration = Duration::from_secs(1);
/// The effect of a cancellation, beside those of the task's requests, which count from 0.
const CANCEL_ORDINAL: u32 = u32::MAX;

impl Run<'_> {
    /// Asks, and says so in the log.
    pub(super) async fn ask(
        &self,
        call: &Call,
        key: EffectKey,
        cancel: &CancellationToken,
    ) -> Result<HttpAnswer, WebhookError> {
        let what = format!("{} {}", call.method, shown_text(&call.url));
        let call = &self.revealed(call).await?;
        let request = self.request(call, &key).await?;
        let began = self.cx.clock.elapsed();
        let answer = self.stage.http.send(request, cancel).await;
        let took = self.cx.clock.elapsed().saturating_sub(began).as_millis();
        let line = match &answer {
            Ok(answer) => {
                let (status, bytes) = (answer.status, answer.body.len());
                let by = shown(&answer.url);
                let by = if what.ends_with(&by) { String::new() } else { format!(" by {by}") };
                format!("{what}: answered {status}{by}, {bytes} bytes, after {took} ms")
            }
            Err(error) => format!("{what}: no answer after {took} ms: {error}"),
        };
        self.cx.log.line(&line).await;
        Ok(answer?)
    }

    /// Asks what must not be asked twice: cancelled, it waits a moment for the answer; where only its
    /// worker stops, as long as that lets it.
    pub(super) async fn ask_once(
        &self,
        call: &Call,
        key: EffectKey,
    ) -> Result<HttpAnswer, WebhookError> {
        let never = CancellationToken::new();
        let late = async {
            self.cx.end.cancelled().await;
            self.cx.clock.sleep(LAST_WORD).await;
        };
        tokio::select! {
            biased;
            answer = self.ask(call, key, &never) => answer,
            () = late => Err(HttpError::Cancelled { url: shown_text(&call.url) }.into()),
        }
    }

    /// Calls the `cancelEndpoint`, if there is one. Whatever comes of it, the stage ends as it does.
    pub(super) async fn cancel_remote(&self) {
        let Some(call) = &self.fields.cancel else { return };
        let limit = self.stage.config.cancel_timeout;
        self.cx.log.line("the target is told that nobody waits any more (cancelEndpoint)").await;
        let key = self.cx.effect(CANCEL_ORDINAL);
        let never = CancellationToken::new();
        let failure = tokio::select! {
            biased;
            answer = self.ask(call, key, &never) => match answer {
                Err(error @ WebhookError::Field { .. }) => Some(error.to_string()),
                Ok(_) | Err(_) => None,
            },
            () = self.cx.clock.sleep(limit) => Some(format!("no answer within {limit:?}")),
        };
        if let Some(why) = failure {
            self.cx.log.line(&format!("the target was not told: {why}")).await;
        }
    }

    /// The call with what its references to secrets mean, which is nowhere kept.
    async fn revealed(&self, call: &Call) -> Result<Call, WebhookError> {
        let Some([url_field, payload_field]) = call.said_in else { return Ok(call.clone()) };
        let url =
            self.reveal(url_field, &format!("/{url_field}"), &call.url.as_str().into()).await?;
        let url = url.as_str().unwrap_or_default().to_owned();
        if url != call.url {
            // A part of it is enough to be a secret, and it is all that logs have of a URL.
            self.stage.config.secrets.note(&shown_text(&url));
        }
        let at = format!("/{payload_field}");
        let payload = self.reveal(payload_field, &at, &call.payload).await?;
        Ok(Call { url, payload, ..call.clone() })
    }

    async fn reveal(&self, field: &str, at: &str, value: &Value) -> Result<Value, WebhookError> {
        let revealed = self.cx.reveal(&self.stage.config.secrets, at, value).await;
        revealed.map_err(|error| WebhookError::Field {
            field: field.to_owned(),
            why: format!("names a secret, and {error}"),
        })
    }

    /// A header's value; a document has one, or a list of them.
    async fn header(&self, name: &str, index: usize, value: &str) -> Result<String, WebhookError> {
        let field = format!("customHeaders.{name}");
        let at = format!("/customHeaders/{}", name.replace('~', "~0").replace('/', "~1"));
        let is_list =
            self.cx.context().get("customHeaders").is_some_and(|all| all[name].is_array());
        let at = if is_list { format!("{at}/{index}") } else { at };
        let revealed = self.reveal(&field, &at, &value.into()).await?;
        Ok(revealed.as_str().unwrap_or_default().to_owned())
    }

    async fn request(&self, call: &Call, key: &EffectKey) -> Result<HttpRequest, WebhookError> {
        let mut request = HttpRequest::new(call.method.clone(), &call.url);
        request.headers = self.headers(key).await?;
        let payload = &call.payload;
        if matches!(call.method, Method::GET | Method::HEAD) && !is_empty(Some(payload)) {
            let why =
                format!("cannot be sent with {}: remove it, or use another method", call.method);
            return Err(WebhookError::Field { field: "payload".into(), why });
        }
        let bare = payload.is_null() || matches!(call.method, Method::GET | Method::HEAD);
        if !bare {
            request.body = Some(body(payload, &mut request.headers)?);
        }
        Ok(request)
    }

    async fn headers(&self, key: &EffectKey) -> Result<HeaderMap, WebhookError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*"));
        headers.insert(KEY, header_value("Idempotency-Key", key.as_str())?);
        for (name, values) in &self.fields.headers {
            let known = HeaderName::from_bytes(name.trim().as_bytes());
            let known = known.map_err(|_| header_error(name, "is no name of a header"))?;
            if DENIED.contains(&known.as_str()) {
                continue;
            }
            headers.remove(&known);
            for (index, value) in values.iter().enumerate() {
                let mut value = header_value(name, &self.header(name, index, value).await?)?;
                value.set_sensitive(!HARMLESS.contains(&known));
                headers.append(known.clone(), value);
            }
        }
        Ok(headers)
    }
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, WebhookError> {
    let why = "has a value that no header can hold, such as a line break";
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| header_error(name, why))
}

fn header_error(name: &str, why: &str) -> WebhookError {
    WebhookError::Field { field: format!("customHeaders.{name}"), why: why.to_owned() }
}

/// The body, as Orca sends it: a text as it is, an object as a form if its type says so, anything
/// else as JSON.
fn body(payload: &Value, headers: &mut HeaderMap) -> Result<Bytes, WebhookError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (body, default) = match payload {
        Value::String(text) => (text.clone(), "text/plain;charset=UTF-8"),
        Value::Object(fields) if kind == FORM => (form(fields)?, FORM),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            (payload.to_string(), "application/json")
        }
    };
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(default));
    Ok(body.into())
}

fn form(fields: &shared_model::Object) -> Result<String, WebhookError> {
    let base = "http://form/";
    let why = |error: String| WebhookError::Field { field: "payload".into(), why: error };
    let mut url = Url::parse(base).map_err(|error| why(error.to_string()))?;
    for (name, value) in fields {
        let text = if value.is_null() { Some(String::new()) } else { plain(value) };
        let text = text.unwrap_or_else(|| value.to_string());
        url.query_pairs_mut().append_pair(name, &text);
    }
    Ok(url.query().unwrap_or_default().to_owned())
}

/// What may be shown of a URL that a document has.
pub(super) fn shown_text(url: &str) -> String {
    Url::parse(url.trim()).map_or_else(|_| "an unreadable URL".to_owned(), |url| shown(&url))
}
