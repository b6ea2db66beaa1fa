//! Tokens: made, listed, taken back. Only `admin` gets here.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{Answer, json as read, user};
use crate::access::{NewToken, Token};

/// The token with its text, which is shown this once.
pub(in super::super) async fn create(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<(StatusCode, Json<Value>)> {
    let asked: NewToken = serde_json::from_value(read(&body)?)
        .map_err(|error| ApiError::invalid(format!("this asks for no token: {error}")))?;
    let (token, text) = state.scheduler.tokens().create(asked, user(&headers)?).await?;
    let mut answer = json!(token);
    answer["token"] = text.into();
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(in super::super) async fn list(Shared(state): Shared<State>) -> Answer<Json<Vec<Token>>> {
    Ok(Json(state.scheduler.tokens().list().await?))
}

pub(in super::super) async fn revoke(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    state.scheduler.tokens().revoke(&id, user(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
