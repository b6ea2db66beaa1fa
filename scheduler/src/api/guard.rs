//! Keeps pages on other origins out (D27): without login, anybody's browser could be made to talk to
//! a loopback port.

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::State;
use super::error::ApiError;

/// Refuses requests whose Host is not ours, whose Origin is not ours, and changes that are not JSON.
pub(super) async fn check(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    // Elsewhere a token is needed, which no page of another origin has.
    let is_open = !state.address.ip().is_loopback();
    let refused = refusal(state.address.port(), request.method(), request.headers());
    match refused.filter(|_| !is_open) {
        None => next.run(request).await,
        Some(refusal) => refusal.into_response(),
    }
}

fn refusal(port: u16, method: &Method, headers: &HeaderMap) -> Option<ApiError> {
    let ours = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
    let is_ours = |host: &str| ours.iter().any(|known| known.eq_ignore_ascii_case(host));
    let host = text(headers, header::HOST).unwrap_or_default();
    if !is_ours(host) {
        let why = format!("Host is `{host}`; send one of {}", ours.join(", "));
        return Some(ApiError::new(StatusCode::FORBIDDEN, "foreign-host", why));
    }
    // Browsers send `null` for pages of files and sandboxes: those are foreign too.
    if headers.contains_key(header::ORIGIN) {
        let origin = text(headers, header::ORIGIN).unwrap_or_default();
        if !origin.strip_prefix("http://").is_some_and(is_ours) {
            let why = format!("pages of the origin `{origin}` may not use this API");
            return Some(ApiError::new(StatusCode::FORBIDDEN, "foreign-origin", why));
        }
    }
    if changes_something(method, headers) && !is_json(headers) {
        let why = "changes need the header `Content-Type: application/json`";
        return Some(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", why));
    }
    None
}

/// Whether a request needs the content type of JSON: what a page may send without being allowed to
/// is a POST of another type. PUT, PATCH and DELETE it may not send, so that without a body (as
/// `spin` deletes and cancels) they need none.
fn changes_something(method: &Method, headers: &HeaderMap) -> bool {
    let is_empty = matches!(text(headers, header::CONTENT_LENGTH), None | Some("0"))
        && !headers.contains_key(header::TRANSFER_ENCODING);
    let asks_first = matches!(*method, Method::PUT | Method::PATCH | Method::DELETE);
    let reads = method.is_safe();
    let has_no_type = !headers.contains_key(header::CONTENT_TYPE);
    !(reads || (asks_first && is_empty && has_no_type))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// A header that is there once, as text.
fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    if all.next().is_some() { None } else { first.to_str().ok() }
}
