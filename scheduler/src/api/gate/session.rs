//! Who a client is.

use axum::Json;
use axum::http::HeaderMap;

use super::super::request::{Acting, Answer, user};
use super::super::schema::User;

/// Says as whom a request acts.
///
/// Roles and accounts are not restricted yet.
#[utoipa::path(get, path = "/auth/user", tag = "session", operation_id = "user", params(Acting),
    responses((status = 200, description = "The user.", body = User)))]
pub(in super::super) async fn who(headers: HeaderMap) -> Answer<Json<User>> {
    Ok(Json(User::named(user(&headers)?)))
}
