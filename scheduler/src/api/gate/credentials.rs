//! Accounts, as Gate shows them.

use axum::Json;
use axum::extract::{Path, State as Shared};

use super::super::State;
use super::super::error::ApiError;
use super::super::request::Answer;
use crate::Account;

/// Lists the accounts that stages deploy to.
#[utoipa::path(get, path = "/credentials", tag = "credentials", operation_id = "getAccounts",
    responses((status = 200, description = "By name.", body = [Account])))]
pub(in super::super) async fn list(Shared(state): Shared<State>) -> Json<Vec<Account>> {
    Json(state.scheduler.accounts().to_vec())
}

/// Shows an account.
#[utoipa::path(get, path = "/credentials/{name}", tag = "credentials", operation_id = "getAccount",
    params(("name" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "The account.", body = Account),
        (status = 404, description = "There is none of that name.")))]
pub(in super::super) async fn get(
    Shared(state): Shared<State>,
    Path(name): Path<String>,
) -> Answer<Json<Account>> {
    let found = state.scheduler.accounts().iter().find(|account| account.name == name);
    let found = found.ok_or_else(|| ApiError::not_found(&format!("account `{name}`")))?;
    Ok(Json(found.clone()))
}
