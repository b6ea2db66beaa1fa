//! Keeps pages on other origins out (D27): without login, anybody's browser could be made to talk to
//! a loopback port.

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::State;
use super::error::ApiError;

/// Refuses requests whose Host is not ours, whose Origin is not ours, and changes that are not JSON.
pub(crate) async fn check(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match refusal(&state, request.method(), request.headers()) {
        None => next.run(request).await,
        Some((status, code, why)) => ApiError::new(status, code, why, &path).into(),
    }
}

type Refusal = (StatusCode, &'static str, String);

fn refusal(state: &State, method: &Method, headers: &HeaderMap) -> Option<Refusal> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let port = state.address.port();
    let ours = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
    let host = text(header::HOST).unwrap_or_default();
    if !ours.iter().any(|known| known == host) {
        let why = format!("Host is `{host}`; send one of {}", ours.join(", "));
        return Some((StatusCode::FORBIDDEN, "foreign-host", why));
    }
    if let Some(origin) = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("?")) {
        let known = ours.iter().any(|host| origin == format!("http://{host}"));
        if !known {
            let why = format!("pages of the origin `{origin}` may not use this API");
            return Some((StatusCode::FORBIDDEN, "foreign-origin", why));
        }
    }
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let json = text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
    if changes && !json {
        let why = "changes need the header `Content-Type: application/json`".to_owned();
        return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", why));
    }
    None
}
