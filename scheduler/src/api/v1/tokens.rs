//! Tokens: made, listed, taken back. Only `admin` gets here.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};

use super::super::State;
use super::super::error::ApiError;
use super::super::request::{Acting, Answer, json as read, user};
use super::super::schema::MadeToken;
use crate::access::{NewToken, Token};

/// Makes a token; its text is shown this once.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", operation_id = "createToken",
    request_body = NewToken, params(Acting),
    responses((status = 201, description = "The token with its text.", body = MadeToken)))]
pub(in super::super) async fn create(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<(StatusCode, Json<MadeToken>)> {
    let asked: NewToken = serde_json::from_value(read(&body)?)
        .map_err(|error| ApiError::invalid(format!("this asks for no token: {error}")))?;
    let (token, text) = state.scheduler.tokens().create(asked, user(&headers)?).await?;
    Ok((StatusCode::CREATED, Json(MadeToken { kept: token, token: text })))
}

/// Lists tokens, without their texts.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", operation_id = "listTokens",
    responses((status = 200, description = "By id, those that are over too.", body = [Token])))]
pub(in super::super) async fn list(Shared(state): Shared<State>) -> Answer<Json<Vec<Token>>> {
    Ok(Json(state.scheduler.tokens().list().await?))
}

/// Takes a token back, at once.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", operation_id = "revokeToken",
    params(("id" = String, Path, description = "Its id."), Acting),
    responses(
        (status = 204, description = "It is worth nothing any more."),
        (status = 404, description = "There is none of that id.")))]
pub(in super::super) async fn revoke(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    state.scheduler.tokens().revoke(&id, user(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
