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
    if !state.address.ip().is_loopback() {
        return next.run(request).await;
    }
    if let Some(refusal) = refusal(state.address.port(), request.headers()) {
        return refusal.into_response();
    }
    if changes_something(request.method(), request.headers()) && !is_json(request.headers()) {
        return wrong_type(request, next).await;
    }
    next.run(request).await
}

/// What is not there at all says so itself: routes are asked with a method that none of them has,
/// which tells those that they have.
async fn wrong_type(mut request: Request, next: Next) -> Response {
    let Ok(none) = Method::from_bytes(b"NONE") else { return not_json() };
    let asked = std::mem::replace(request.method_mut(), none);
    let response = next.run(request).await;
    let allowed = response.headers().get_all(header::ALLOW).iter();
    let mut allowed =
        allowed.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    match allowed.any(|method| method.trim() == asked.as_str()) {
        true => not_json(),
        false => response,
    }
}

fn not_json() -> Response {
    let why = "changes need the header `Content-Type: application/json`";
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", why).into_response()
}

fn refusal(port: u16, headers: &HeaderMap) -> Option<ApiError> {
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
