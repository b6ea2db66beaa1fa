//! How errors are written: on Gate's routes as Spring writes them (reference §6.3), on `/v1` as problem
//! details (RFC 9457).

use super::ApiError;
use crate::api::schema::{ProblemDetails, SpringError};
use crate::api::{BODY_BYTES_MAX, State};
use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Most of a message that the framework wrote.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Gives every error its shape, those of the framework included.
pub(in crate::api) async fn shape(
    Shared(state): Shared<State>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if !is_to_be_shaped(&response) {
        return response;
    }
    let status = response.status();
    let allow = response.headers().get(header::ALLOW).cloned();
    let error = match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error,
        None => of_framework(response).await,
    };
    let retry_after = error.retry_after_seconds();
    let mut shaped = if path.starts_with("/v1/") {
        let kind = HeaderValue::from_static("application/problem+json");
        (status, [(header::CONTENT_TYPE, kind)], Json(problem(status, error, path))).into_response()
    } else {
        let at = state.scheduler.ports().clock.now().as_millisecond();
        (status, Json(spring(status, error, path, at))).into_response()
    };
    if status == StatusCode::UNAUTHORIZED {
        shaped.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(retry_after) = retry_after {
        shaped.headers_mut().insert(header::RETRY_AFTER, retry_after);
    }
    if let Some(allow) = allow {
        shaped.headers_mut().insert(header::ALLOW, allow);
    }
    shaped
}

/// What answers with JSON of its own and a status of 5xx (readiness) has said what it wants to say.
fn is_to_be_shaped(response: &Response) -> bool {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    is_error && !is_json
}

fn spring(status: StatusCode, error: ApiError, path: String, timestamp: i64) -> SpringError {
    SpringError {
        timestamp,
        status: status.as_u16(),
        error: status.canonical_reason().unwrap_or_default(),
        code: error.code,
        message: error.message,
        path,
        errors: error.errors,
    }
}

fn problem(status: StatusCode, error: ApiError, instance: String) -> ProblemDetails {
    ProblemDetails {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: error.message,
        instance,
        code: error.code,
        errors: error.errors,
    }
}

async fn of_framework(response: Response) -> ApiError {
    let status = response.status();
    let text = to_bytes(response.into_body(), MESSAGE_BYTES_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let code = match status {
        StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "body-too-large",
        _ => "invalid-request",
    };
    let message = match status {
        StatusCode::METHOD_NOT_ALLOWED => "this route has no such method; see `Allow`".to_owned(),
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("the body is larger than {} bytes (body_bytes_max)", BODY_BYTES_MAX)
        }
        _ => text,
    };
    ApiError::new(status, code, message)
}
