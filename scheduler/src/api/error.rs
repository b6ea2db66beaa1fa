//! Errors in Spring's shape, each with a stable code.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared_model::Problem;
use shared_ports::PortError;

use super::{REQUEST_TIMEOUT, State};
use crate::access::TokenError;
use crate::library::LibraryError;
use crate::{ControlError, SubmitError};

/// Most of a message that the framework wrote.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// An error answer. It travels as an extension of its response until [`shape`] writes it out.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Everything that is wrong with a document.
    errors: Vec<Problem>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), errors: Vec::new() }
    }

    /// A document is refused.
    pub(super) fn refused(errors: Vec<Problem>) -> Self {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let status = match errors.iter().any(|problem| problem.code == "document-too-large") {
            true => StatusCode::PAYLOAD_TOO_LARGE,
            false => StatusCode::BAD_REQUEST,
        };
        let mut refused = Self::new(status, "invalid-request", all.join("; "));
        refused.errors = errors;
        refused
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

impl From<LibraryError> for ApiError {
    fn from(error: LibraryError) -> Self {
        match error {
            LibraryError::NotFound { what } => Self::not_found(&what),
            LibraryError::Conflict { why } => Self::new(StatusCode::CONFLICT, "conflict", why),
            LibraryError::Invalid { problems } => Self::refused(problems),
            LibraryError::Port(error) => error.into(),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid(why) => Self::invalid(why),
            TokenError::NotFound(id) => Self::not_found(&format!("token `{id}`")),
            TokenError::Chance(why) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no-random-bytes", why)
            }
            TokenError::Port(error) => error.into(),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::Refused { problems } => Self::refused(problems),
            SubmitError::Exists(_) => Self::new(StatusCode::CONFLICT, "conflict", message),
            SubmitError::Control(error) => error.into(),
            SubmitError::Port(error) => error.into(),
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
    let mut body = json!({
        "timestamp": state.scheduler.ports().clock.now().as_millisecond(),
        "status": status.as_u16(),
        "error": status.canonical_reason().unwrap_or_default(),
        "code": error.code,
        "message": error.message,
        "path": path,
    });
    if !error.errors.is_empty() {
        body["errors"] = json!(error.errors);
    }
    let mut shaped = (status, Json(body)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let scheme = header::HeaderValue::from_static("Bearer");
        shaped.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
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
