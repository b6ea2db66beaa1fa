//! Tokens of the server's API.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{Client, Error};

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken<'a> {
    /// What it is for.
    pub name: &'a str,
    /// `read`, `operate` or `admin`.
    pub scope: &'a str,
    /// How long it lives, in seconds.
    pub expires_in_seconds: u32,
    /// As whom its requests act; its name unless said.
    pub user: Option<&'a str>,
    /// Whether the server believes requests with it that name somebody else.
    pub speaks_for_others: bool,
    /// The roles of its user; none if they are not known.
    pub roles: &'a [String],
}

impl Client {
    /// Makes a token; the answer holds its text as `token`, which is told this once.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_token(&self, token: &NewToken<'_>) -> Result<Value, Error> {
        let mut asked = json!({
            "name": token.name, "scope": token.scope,
            "expiresInSeconds": token.expires_in_seconds,
            "speaksForOthers": token.speaks_for_others,
        });
        token.user.into_iter().for_each(|user| asked["user"] = user.into());
        if !token.roles.is_empty() {
            asked["roles"] = token.roles.into();
        }
        let answer = self.change(Method::POST, &["v1", "tokens"], &[], Some(&asked)).await?;
        let made = serde_json::from_slice(&answer);
        made.map_err(|error| self.foreign("POST /v1/tokens", error.to_string()))
    }

    /// The tokens that there are, without their texts.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn tokens(&self) -> Result<Vec<Value>, Error> {
        self.list(&["v1", "tokens"], &[]).await
    }

    /// Takes a token back, at once.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn revoke_token(&self, id: &str) -> Result<(), Error> {
        self.change(Method::DELETE, &["v1", "tokens", id], &[], None).await?;
        Ok(())
    }
}
