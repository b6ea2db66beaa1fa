//! Who a client is.

use axum::Json;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::super::request::{Answer, user};

/// The acting user in Gate's shape; roles and accounts are not restricted yet.
pub(in super::super) async fn who(headers: HeaderMap) -> Answer<Json<Value>> {
    let name = user(&headers)?;
    Ok(Json(json!({
        "username": name, "email": name, "firstName": name, "lastName": "",
        "roles": [], "allowedAccounts": [], "authorities": [], "isAdmin": false,
        "enabled": true, "accountNonExpired": true, "accountNonLocked": true,
        "credentialsNonExpired": true,
    })))
}
