//! Who a client is.

use axum::http::HeaderMap;
use axum::{Extension, Json};

use super::super::login::Roles;
use super::super::request::{Acting, Answer, user};
use super::super::schema::User;

/// Says as whom a request acts.
///
/// Roles are those of the token, if it has any. Accounts are not restricted yet.
#[utoipa::path(get, path = "/auth/user", tag = "session", operation_id = "user", params(Acting),
    responses((status = 200, description = "The user.", body = User)))]
pub(in super::super) async fn who(
    headers: HeaderMap,
    roles: Option<Extension<Roles>>,
) -> Answer<Json<User>> {
    let Roles(roles) = roles.unwrap_or_default().0;
    Ok(Json(User::named(user(&headers)?, roles.unwrap_or_default())))
}
