//! Errors, each with a stable code.

mod shape;

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use shared_model::Problem;
use shared_ports::PortError;

pub(super) use self::shape::shape;
use super::REQUEST_TIMEOUT;
use crate::access::TokenError;
use crate::library::LibraryError;
use crate::{ControlError, SubmitError};

/// An error answer. It travels as an extension of its response until [`shape`](shape::shape) writes it out.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Everything that is wrong with a document.
    errors: Vec<Problem>,
    /// When it is worth trying again.
    retry_after: Option<Duration>,
}

/// When to submit again while too many executions are unfinished.
const RETRY_SUBMIT: Duration = Duration::from_secs(5);

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), errors: Vec::new(), retry_after: None }
    }

    /// Says when it is worth trying again.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// The same, as a header has it: whole seconds, at least one.
    fn retry_after_seconds(&self) -> Option<HeaderValue> {
        self.retry_after.map(|wait| wait.as_secs().saturating_add(1).into())
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
        let message = error.to_string();
        let (status, code, message) = match error {
            PortError::Unavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", message)
            }
            PortError::Full { doing } => {
                let why = format!(
                    "{doing} failed: no space left on the server's device; nothing was changed: \
                     free some room there and send it again; what runs waits, and goes on by itself"
                );
                (StatusCode::INSUFFICIENT_STORAGE, "store-full", why)
            }
            PortError::Refused { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "store-refused", message)
            }
        };
        Self::new(status, code, message)
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let message = error.to_string();
        match error {
            ControlError::NotFound { what } => Self::not_found(&what),
            ControlError::Conflict { .. } | ControlError::Overtaken => {
                Self::new(StatusCode::CONFLICT, "conflict", message)
            }
            ControlError::Invalid { .. } => Self::invalid(message),
            ControlError::RoleMissing { .. } => {
                Self::new(StatusCode::FORBIDDEN, "judgment-role-missing", message)
            }
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
            SubmitError::TooMany { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-executions", message)
                    .retry_after(RETRY_SUBMIT)
            }
            SubmitError::TooManyOfApplication { .. } => {
                let code = "too-many-executions-of-application";
                Self::new(StatusCode::TOO_MANY_REQUESTS, code, message).retry_after(RETRY_SUBMIT)
            }
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
