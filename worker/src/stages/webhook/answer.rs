//! PURE: an answer as Orca writes it into a stage's context.

use serde_json::{Value, json};
use shared_model::Object;
use shared_runtime::http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use shared_runtime::http::{HttpAnswer, StatusCode};

/// Longest pause that a target may ask for with `Retry-After`, in seconds.
const RETRY_AFTER_SECONDS_MAX: u64 = 60;

/// `statusCode`, `statusCodeValue`, `headers` and `body`, as far as they are there.
pub(super) fn fields(answer: &HttpAnswer) -> Object {
    let mut fields = Object::new();
    fields.insert("statusCode".into(), status_name(answer.status).into());
    fields.insert("statusCodeValue".into(), answer.status.as_u16().into());
    if let Some(body) = body(answer) {
        fields.insert("body".into(), body);
    }
    if !answer.headers.is_empty() {
        fields.insert("headers".into(), headers(&answer.headers));
    }
    fields
}

/// The body: JSON if it says so or looks so, else its text; nothing if there is none.
pub(super) fn body(answer: &HttpAnswer) -> Option<Value> {
    let text = String::from_utf8_lossy(&answer.body);
    if text.is_empty() {
        return None;
    }
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    let is_json = kind.contains("json") || text.starts_with(['{', '[']) && !kind.contains("html");
    let json = if is_json { serde_json::from_str(&text).ok() } else { None };
    Some(json.unwrap_or_else(|| Value::String(text.into_owned())))
}

/// Spring's name of a status, e.g. `NOT_FOUND`; its number where it has none.
pub(super) fn status_name(status: StatusCode) -> String {
    match (status.as_u16(), status.canonical_reason()) {
        (416, _) => "REQUESTED_RANGE_NOT_SATISFIABLE".to_owned(),
        (_, None) => status.as_u16().to_string(),
        (_, Some(reason)) => {
            let letters = reason.chars().filter(|letter| *letter != '\'');
            let letters = letters.map(|letter| if letter.is_alphanumeric() { letter } else { '_' });
            letters.collect::<String>().to_uppercase().replace("IM_A_", "I_AM_A_")
        }
    }
}

/// The first value of each header, under the name as it is usually written.
fn headers(headers: &HeaderMap) -> Value {
    let one = |name: &str| {
        let words: Vec<String> = name.split('-').map(capital).collect();
        words.join("-")
    };
    let pairs = headers.keys().filter_map(|name| {
        let value = headers.get(name)?;
        Some((one(name.as_str()), json!(String::from_utf8_lossy(value.as_bytes()))))
    });
    Value::Object(pairs.collect())
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// How long the target asks us to wait, in seconds.
pub(super) fn retry_after_seconds(headers: &HeaderMap) -> u64 {
    let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    RETRY_AFTER_SECONDS_MAX.min(seconds)
}

#[cfg(test)]
mod tests {
    use shared_runtime::http::Url;
    use shared_runtime::http::header::HeaderValue;

    use super::*;

    fn answer(kind: Option<&'static str>, body: &'static str) -> HttpAnswer {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let (url, status) = (Url::parse("http://x/").unwrap(), StatusCode::OK);
        HttpAnswer { url, status, headers, body: body.into() }
    }

    #[test]
    fn statuses_have_springs_names() {
        for (status, expected) in [
            (200, "OK"),
            (201, "CREATED"),
            (204, "NO_CONTENT"),
            (203, "NON_AUTHORITATIVE_INFORMATION"),
            (404, "NOT_FOUND"),
            (416, "REQUESTED_RANGE_NOT_SATISFIABLE"),
            (418, "I_AM_A_TEAPOT"),
            (429, "TOO_MANY_REQUESTS"),
            (503, "SERVICE_UNAVAILABLE"),
            (599, "599"),
        ] {
            assert_eq!(status_name(StatusCode::from_u16(status).unwrap()), expected);
        }
    }

    #[test]
    fn a_body_is_json_where_it_can_be() {
        for (kind, text, expected) in [
            (Some("application/json"), "{\"a\":1}", Some(json!({"a": 1}))),
            (Some("application/vnd.x+json; charset=utf-8"), "12", Some(json!(12))),
            (Some("application/json"), "{\"bad json\":", Some(json!("{\"bad json\":"))),
            (Some("text/plain"), "[1]", Some(json!([1]))),
            (Some("text/plain"), "123", Some(json!("123"))),
            (Some("text/html"), "<html></html>", Some(json!("<html></html>"))),
            (None, "true", Some(json!("true"))),
            (Some("application/json"), "", None),
        ] {
            assert_eq!(body(&answer(kind, text)), expected, "{kind:?} {text}");
        }
        let shown = fields(&answer(Some("text/plain"), "x"));
        assert_eq!(shown["headers"], json!({ "Content-Type": "text/plain" }));
    }
}
