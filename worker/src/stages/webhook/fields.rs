//! PURE: what a stage's context asks for. Expressions leave texts where numbers and truth values are
//! meant, so both are read.

use std::collections::BTreeMap;

use serde_json::Value;
use shared_model::Object;
use shared_runtime::http::Method;

use super::error::WebhookError;

/// What is known from Spinnaker, changes what a webhook does, and is not built (D18).
const NOT_BUILT: [&str; 1] = ["account"];
/// How many codes or statuses a list may have.
const LIST_MAX: usize = 100;
/// Orca's `failFastStatusCodes` where the document has none: a gateway's timeout tells nothing of
/// what happened behind it.
const FAIL_FAST: [u16; 1] = [504];
/// Longest wait before the status is first asked, in seconds.
const SECONDS_MAX: u64 = 24 * 3_600;

/// Where the URL of the status comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusUrl {
    /// The webhook's own URL.
    GetMethod,
    /// The answer's header `Location`.
    LocationHeader,
    /// The answer's body, at `statusUrlJsonPath`.
    WebhookResponse,
}

/// A request that the document describes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) payload: Value,
    /// The fields that the document has them in; none where the target said it.
    pub(super) said_in: Option<[&'static str; 2]>,
}

/// A stage's fields.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fields {
    pub(super) url: String,
    pub(super) method: Method,
    pub(super) payload: Value,
    pub(super) headers: BTreeMap<String, Vec<String>>,
    /// Whether a target knows a repetition by its `Idempotency-Key`.
    pub(super) idempotent: bool,
    pub(super) fail_fast: Vec<u16>,
    pub(super) create_retries: Vec<u16>,
    pub(super) wait: bool,
    pub(super) monitor_only: bool,
    pub(super) status_url: StatusUrl,
    pub(super) status_url_path: String,
    pub(super) status_endpoint: String,
    pub(super) wait_before_seconds: u64,
    pub(super) status_path: String,
    pub(super) progress_path: String,
    pub(super) succeeded: Vec<String>,
    pub(super) canceled: Vec<String>,
    pub(super) terminal: Vec<String>,
    pub(super) monitor_retries: Vec<u16>,
    /// How often the status may answer with a code before that is a failure, code by code.
    pub(super) attempts_max: BTreeMap<u16, u64>,
    /// What is called when nobody waits any more.
    pub(super) cancel: Option<Call>,
    pub(super) expects_artifacts: bool,
}

impl Fields {
    /// Reads a context.
    ///
    /// # Errors
    /// [`WebhookError::Field`] that names the field.
    pub(super) fn read(context: &Object) -> Result<Self, WebhookError> {
        for field in NOT_BUILT {
            if context.get(field).is_some_and(|value| !value.is_null() && value != "") {
                return Err(invalid(
                    field,
                    "is not built; put what it stands for into `customHeaders`",
                ));
            }
        }
        let this = Self {
            url: text(context, "url")?.trim().to_owned(),
            method: method(context, "method")?,
            payload: context.get("payload").cloned().unwrap_or_default(),
            headers: headers(context)?,
            idempotent: flag(context, "idempotent")?,
            fail_fast: codes(context, "failFastStatusCodes")?.unwrap_or(FAIL_FAST.to_vec()),
            create_retries: codes(context, "webhookRetryStatusCodes")?.unwrap_or_default(),
            wait: flag(context, "waitForCompletion")?,
            monitor_only: flag(context, "monitorOnly")?,
            status_url: status_url(context)?,
            status_url_path: text(context, "statusUrlJsonPath")?,
            status_endpoint: text(context, "statusEndpoint")?.trim().to_owned(),
            wait_before_seconds: seconds(context, "waitBeforeMonitor")?,
            status_path: text(context, "statusJsonPath")?,
            progress_path: text(context, "progressJsonPath")?,
            succeeded: statuses(context, "successStatuses")?,
            canceled: statuses(context, "canceledStatuses")?,
            terminal: statuses(context, "terminalStatuses")?,
            monitor_retries: codes(context, "retryStatusCodes")?.unwrap_or_default(),
            attempts_max: attempts_max(context)?,
            cancel: cancel(context)?,
            expects_artifacts: !super::is_empty(context.get("expectedArtifacts")),
        };
        this.check()?;
        Ok(this)
    }

    fn check(&self) -> Result<(), WebhookError> {
        if self.monitor_only && !self.wait {
            let why =
                "is set while `waitForCompletion` is not: the stage would do nothing; set both";
            return Err(invalid("monitorOnly", why));
        }
        if self.url.is_empty() && (!self.monitor_only || self.status_endpoint.is_empty()) {
            return Err(invalid("url", "is missing; write it as `https://host[:port]/path`"));
        }
        let from_body = self.wait && !self.monitor_only;
        if from_body
            && self.status_url == StatusUrl::WebhookResponse
            && self.status_url_path.is_empty()
        {
            let why = "is missing; say where in the answer the URL of the status is";
            return Err(invalid("statusUrlJsonPath", why));
        }
        let waits_for_text = self.wait && !self.status_path.is_empty();
        if waits_for_text
            && [&self.canceled, &self.terminal].iter().any(|list| !list.is_empty())
            && self.succeeded.is_empty()
        {
            return Err(invalid(
                "successStatuses",
                "is missing; no status would end the stage well",
            ));
        }
        Ok(())
    }

    /// The request that the stage is for.
    pub(super) fn call(&self) -> Call {
        let (method, url, payload) = (self.method.clone(), self.url.clone(), self.payload.clone());
        Call { method, url, payload, said_in: Some(["url", "payload"]) }
    }

    /// Whether a second request does no harm: because of its method (RFC 9110 §9.2.2), or because the
    /// document says that the target knows its key.
    pub(super) fn may_repeat(&self) -> bool {
        self.idempotent || is_idempotent(&self.method)
    }
}

fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS].contains(method)
}

fn invalid(field: &str, why: impl Into<String>) -> WebhookError {
    WebhookError::Field { field: field.to_owned(), why: why.into() }
}

fn text(context: &Object, field: &str) -> Result<String, WebhookError> {
    match context.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(invalid(field, "is no text")),
    }
}

fn flag(context: &Object, field: &str) -> Result<bool, WebhookError> {
    match context.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" | "" => Ok(false),
            _ => Err(invalid(field, "is neither `true` nor `false`")),
        },
        Some(_) => Err(invalid(field, "is neither `true` nor `false`")),
    }
}

fn method(context: &Object, field: &str) -> Result<Method, WebhookError> {
    let name = text(context, field)?.trim().to_ascii_uppercase();
    match name.as_str() {
        "" => Ok(Method::POST),
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => {
            Method::from_bytes(name.as_bytes()).map_err(|error| invalid(field, error.to_string()))
        }
        _ => Err(invalid(field, "is none of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn seconds(context: &Object, field: &str) -> Result<u64, WebhookError> {
    let why = || invalid(field, format!("is no number of seconds up to {SECONDS_MAX}"));
    match context.get(field) {
        None | Some(Value::Null) => Ok(0),
        Some(value) if value == "" => Ok(0),
        Some(value) => number(value).filter(|found| *found <= SECONDS_MAX).ok_or_else(why),
    }
}

fn codes(context: &Object, field: &str) -> Result<Option<Vec<u16>>, WebhookError> {
    let why =
        || invalid(field, format!("is no list of at most {LIST_MAX} status codes such as `[503]`"));
    let list = match context.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) if list.len() <= LIST_MAX => list,
        Some(_) => return Err(why()),
    };
    let codes: Option<Vec<u16>> = list.iter().map(|one| u16::try_from(number(one)?).ok()).collect();
    codes.map(Some).ok_or_else(why)
}

/// Comma-separated statuses, in upper case: they are compared without case.
fn statuses(context: &Object, field: &str) -> Result<Vec<String>, WebhookError> {
    let text = text(context, field)?;
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_uppercase).collect();
    match names.len() {
        0..=LIST_MAX => Ok(names),
        _ => Err(invalid(field, format!("has more than {LIST_MAX} statuses"))),
    }
}

fn status_url(context: &Object) -> Result<StatusUrl, WebhookError> {
    let field = "statusUrlResolution";
    match text(context, field)?.as_str() {
        "" | "getMethod" => Ok(StatusUrl::GetMethod),
        "locationHeader" => Ok(StatusUrl::LocationHeader),
        "webhookResponse" => Ok(StatusUrl::WebhookResponse),
        _ => Err(invalid(field, "is none of `getMethod`, `locationHeader`, `webhookResponse`")),
    }
}

/// `retries`: `{"404": {"maxAttempts": 3}}`.
fn attempts_max(context: &Object) -> Result<BTreeMap<u16, u64>, WebhookError> {
    let field = "retries";
    let map = match context.get(field) {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(map)) if map.len() <= LIST_MAX => map,
        Some(_) => {
            return Err(invalid(field, "is no object such as `{\"404\": {\"maxAttempts\": 3}}`"));
        }
    };
    let one = |(code, limit): (&String, &Value)| {
        let attempts = limit.get("maxAttempts");
        // Below 1 means none, as in Orca.
        let attempts = attempts.and_then(|value| match value.as_i64() {
            Some(below) if below < 1 => Some(0),
            Some(_) | None => number(value),
        });
        let pair = code.trim().parse().ok().zip(attempts);
        pair.ok_or_else(|| invalid(&format!("{field}.{code}"), "has no `maxAttempts`"))
    };
    map.iter().map(one).collect()
}

fn headers(context: &Object) -> Result<BTreeMap<String, Vec<String>>, WebhookError> {
    let field = "customHeaders";
    let map = match context.get(field) {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(map)) if map.len() <= LIST_MAX => map,
        Some(_) => {
            return Err(invalid(field, format!("is no object with at most {LIST_MAX} headers")));
        }
    };
    let one = |(name, value): (&String, &Value)| {
        let values = match value {
            Value::Array(list) => list.iter().map(plain).collect::<Option<Vec<_>>>(),
            Value::Null => Some(Vec::new()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                plain(value).map(|value| vec![value])
            }
        };
        let why = || invalid(&format!("{field}.{name}"), "is no text, number or list of them");
        Ok((name.clone(), values.ok_or_else(why)?))
    };
    map.iter().map(one).collect()
}

/// The text of a plain value.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Deck hides the fields of a cancellation behind `signalCancellation`; Orca calls whatever
/// `cancelEndpoint` there is. Only what is switched off in so many words is not called.
fn cancel(context: &Object) -> Result<Option<Call>, WebhookError> {
    let url = text(context, "cancelEndpoint")?.trim().to_owned();
    let wanted =
        super::is_empty(context.get("signalCancellation")) || flag(context, "signalCancellation")?;
    let method = method(context, "cancelMethod")?;
    let payload = context.get("cancelPayload").cloned().unwrap_or_default();
    let said_in = Some(["cancelEndpoint", "cancelPayload"]);
    Ok((wanted && !url.is_empty()).then_some(Call { method, url, payload, said_in }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(context: Value) -> Result<Fields, WebhookError> {
        Fields::read(context.as_object().unwrap())
    }

    #[test]
    fn what_is_left_out_is_as_in_orca() {
        let fields = read(json!({ "url": " https://x/ " })).unwrap();
        assert_eq!((fields.url.as_str(), &fields.method), ("https://x/", &Method::POST));
        assert_eq!(fields.fail_fast, [504]);
        assert!(!fields.wait && !fields.monitor_only && fields.cancel.is_none());
        assert!(!fields.may_repeat());
    }

    #[test]
    fn texts_that_expressions_leave_are_read() {
        let fields = read(json!({
            "url": "u", "method": "put", "waitForCompletion": "true", "monitorOnly": "false",
            "waitBeforeMonitor": "7", "failFastStatusCodes": ["500", 501], "retryStatusCodes": [404],
            "retries": { "404": { "maxAttempts": "3" }, "500": { "maxAttempts": -1 } },
            "customHeaders": { "A": 1, "B": ["x", true] }, "successStatuses": " done,Ok ,,",
            "cancelEndpoint": "c", "cancelMethod": "delete", "signalCancellation": "true",
        }))
        .unwrap();
        assert!(fields.wait && fields.may_repeat());
        assert_eq!((fields.wait_before_seconds, &fields.fail_fast[..]), (7, &[500, 501][..]));
        assert_eq!(fields.attempts_max, [(404, 3), (500, 0)].into());
        assert_eq!(fields.succeeded, ["DONE", "OK"]);
        assert_eq!(fields.headers["B"], ["x", "true"]);
        assert_eq!(fields.cancel.unwrap().method, Method::DELETE);
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        for (field, context) in [
            ("url", json!({})),
            ("url", json!({ "url": 1 })),
            ("url", json!({ "monitorOnly": true, "waitForCompletion": true })),
            ("account", json!({ "url": "u", "account": "a" })),
            ("method", json!({ "url": "u", "method": "CONNECT" })),
            ("monitorOnly", json!({ "url": "u", "monitorOnly": true })),
            ("waitForCompletion", json!({ "url": "u", "waitForCompletion": "yes" })),
            ("waitBeforeMonitor", json!({ "url": "u", "waitBeforeMonitor": -1 })),
            ("failFastStatusCodes", json!({ "url": "u", "failFastStatusCodes": 503 })),
            ("retryStatusCodes", json!({ "url": "u", "retryStatusCodes": ["x"] })),
            ("retries", json!({ "url": "u", "retries": 3 })),
            ("retries.404", json!({ "url": "u", "retries": { "404": 3 } })),
            ("customHeaders", json!({ "url": "u", "customHeaders": "A: b" })),
            ("customHeaders.A", json!({ "url": "u", "customHeaders": { "A": {} } })),
            ("statusUrlResolution", json!({ "url": "u", "statusUrlResolution": "other" })),
            ("cancelMethod", json!({ "url": "u", "cancelMethod": "x" })),
            (
                "statusUrlJsonPath",
                json!({ "url": "u", "waitForCompletion": true, "statusUrlResolution": "webhookResponse" }),
            ),
            (
                "successStatuses",
                json!({ "url": "u", "waitForCompletion": true, "statusJsonPath": "$.s",
                        "terminalStatuses": "BAD" }),
            ),
        ] {
            let error = read(context).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{field}` ")), "{field}: {error}");
        }
    }

    #[test]
    fn a_cancellation_that_is_switched_off_is_none() {
        let context = json!({ "url": "u", "cancelEndpoint": "c", "signalCancellation": false });
        assert_eq!(read(context).unwrap().cancel, None);
        assert!(read(json!({ "url": "u", "cancelEndpoint": "c" })).unwrap().cancel.is_some());
    }
}
