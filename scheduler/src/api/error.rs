//! Errors in Spring's shape on Gate's routes, each with a stable code.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared_ports::PortError;

use crate::ControlError;

/// An error answer.
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    path: String,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        path: &str,
    ) -> Self {
        Self { status, code, message: message.into(), path: path.to_owned() }
    }

    pub(crate) fn timeout(path: &str) -> Self {
        let message = "the request took too long; look at the execution before sending it again";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "request-timeout", message, path)
    }

    pub(crate) fn no_execution(id: &str, path: &str) -> Self {
        let message = format!("No pipeline found for {id}");
        Self::new(StatusCode::NOT_FOUND, "execution-not-found", message, path)
    }

    pub(crate) fn port(error: &PortError, path: &str) -> Self {
        let (status, code) = match error {
            PortError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"),
            PortError::Full { .. } => (StatusCode::INSUFFICIENT_STORAGE, "store-full"),
            PortError::Refused { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "store-refused"),
        };
        Self::new(status, code, error.to_string(), path)
    }

    pub(crate) fn control(error: &ControlError, path: &str) -> Self {
        let (status, code) = match error {
            ControlError::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found"),
            ControlError::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
            ControlError::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid-request"),
            ControlError::Port(error) => return Self::port(error, path),
            ControlError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, error.to_string(), path)
    }
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        let reason = error.status.canonical_reason().unwrap_or_default();
        let body = json!({
            "status": error.status.as_u16(),
            "error": reason,
            "code": error.code,
            "message": error.message,
            "path": error.path,
        });
        (error.status, Json(body)).into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.into()
    }
}
