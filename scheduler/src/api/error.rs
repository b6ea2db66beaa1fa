//! Errors in Spring's shape, each with a stable code.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared_ports::PortError;

use super::{REQUEST_TIMEOUT, State};
use crate::ControlError;

/// Most of a message that the framework wrote.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// An error answer. It travels as an extension of its response until [`shape`] writes it out.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("{what} was not found"))
    }

    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", why)
    }
}

impl From<PortError> for ApiError {
    fn from(error: PortError) -> Self {
        let (status, code) = match error {
            PortError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"),
            PortError::Full { .. } => (StatusCode::INSUFFICIENT_STORAGE, "store-full"),
            PortError::Refused { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "store-refused"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let message = error.to_string();
        match error {
            ControlError::NotFound { what } => Self::not_found(&what),
            ControlError::Conflict { .. } => Self::new(StatusCode::CONFLICT, "conflict", message),
            ControlError::Invalid { .. } => Self::invalid(message),
            ControlError::Port(error) => error.into(),
            ControlError::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Ends requests that take too long.
pub(super) async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let why = "the request took too long; look at the execution before sending it again";
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "request-timeout", why).into_response()
        }
    }
}

/// Gives every error Spring's shape (reference §6.3), those of the framework included.
pub(super) async fn shape(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let error = match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error,
        None => of_framework(response).await,
    };
    let body = json!({
        "timestamp": state.scheduler.ports().clock.now().as_millisecond(),
        "status": status.as_u16(),
        "error": status.canonical_reason().unwrap_or_default(),
        "code": error.code,
        "message": error.message,
        "path": path,
    });
    let mut shaped = (status, Json(body)).into_response();
    if let Some(allow) = allow {
        shaped.headers_mut().insert(header::ALLOW, allow);
    }
    shaped
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
            format!("the body is larger than {} bytes (body_bytes_max)", super::BODY_BYTES_MAX)
        }
        _ => text,
    };
    ApiError::new(status, code, message)
}
