//! Bearer tokens: shown once, kept as a hash, named, scoped, and over at some time.
//!
//! A token reads `capstan_<id>_<secret>`: the id finds it, the secret proves it. The secret has 256
//! bits of chance, so that a plain SHA-256 keeps it (nobody can try them all).

use std::sync::Arc;

use jiff::Timestamp;
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared_ports::documents::{Change, Changed};
use shared_ports::{Clock, Documents, PortError, Ports};

use utoipa::ToSchema;

use super::Scope;

const KIND: &str = "token";
/// The id of the token whose text an operator chose.
const CONFIGURED: &str = "configured";
/// Length of such a text, in characters: short ones could be guessed.
const CONFIGURED_LEN_MIN: usize = 32;
/// How long it holds: its end is whenever the operator chooses another.
const CONFIGURED_DAYS: i64 = 36_500;
/// Schedulers that start at once all write it; each looks again so often.
const CONFIGURE_TRIES: usize = 10;
const PREFIX: &str = "capstan_";
const SECRET_BYTES: usize = 32;
/// Tokens that there may be.
const TOKENS_MAX: u32 = 10_000;
/// Length of a name, in bytes.
const NAME_BYTES_MAX: usize = 100;
/// Roles of one token.
const ROLES_MAX: usize = 100;

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Its public part.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// As whom its requests act.
    pub user: String,
    /// How far it reaches.
    pub scope: Scope,
    /// When it is over.
    pub expires_at: Timestamp,
    /// Whether `X-Spinnaker-User` is believed with it.
    pub speaks_for_others: bool,
    /// The roles of its user, where they are known: what wants certain roles is refused without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// What somebody asks for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewToken {
    /// What it is for: 1 to 100 visible ASCII characters.
    #[schema(pattern = "^[!-~]{1,100}$", example = "ci")]
    pub name: String,
    /// As whom its requests act; its name unless said.
    #[serde(default)]
    #[schema(pattern = "^[!-~]{1,100}$")]
    pub user: Option<String>,
    /// How far it reaches.
    pub scope: Scope,
    /// How long it lives, in seconds.
    #[schema(minimum = 1, example = 3_600)]
    pub expires_in_seconds: u32,
    /// Whether `X-Spinnaker-User` is believed with it.
    #[serde(default)]
    pub speaks_for_others: bool,
    /// The roles of its user, at most 100; not known unless said.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is none of that id.
    #[error("token `{0}` was not found")]
    NotFound(String),
    /// The operating system gave no random bytes.
    #[error("no random bytes can be had: {0}")]
    Chance(String),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The tokens that there are.
#[derive(Clone)]
pub struct Tokens {
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
}

impl Tokens {
    /// Tokens in this store.
    pub fn new(ports: &Ports) -> Self {
        Self { documents: Arc::clone(&ports.documents), clock: Arc::clone(&ports.clock) }
    }

    /// Makes a token. Answers it with its text, which is nowhere kept.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn create(&self, asked: NewToken, by: &str) -> Result<(Token, String), TokenError> {
        check(&asked)?;
        let now = self.clock.now();
        let id = self.clock.new_id().replace('-', "");
        let secret = secret()?;
        let token = Token {
            id: id.clone(),
            user: asked.user.unwrap_or_else(|| asked.name.clone()),
            name: asked.name,
            scope: asked.scope,
            expires_at: now + jiff::SignedDuration::from_secs(asked.expires_in_seconds.into()),
            speaks_for_others: asked.speaks_for_others,
            roles: asked.roles,
            created_by: by.to_owned(),
            created_at: now,
        };
        let mut body = serde_json::to_value(&token).unwrap_or_default();
        body["sha256"] = hash(&secret).into();
        self.store(&id, 0, Some(body), by).await?;
        Ok((token, format!("{PREFIX}{id}_{secret}")))
    }

    /// Makes the token whose text an operator chose, of scope `admin` and named `configured`; an
    /// earlier one with another text is over with that. Changes nothing where it is there already.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] for a text that is no token or could be guessed.
    pub async fn configure(&self, text: &str) -> Result<(), TokenError> {
        check_text(text)?;
        let by = CONFIGURED;
        for _ in 0..CONFIGURE_TRIES {
            let found = self.documents.get(KIND, CONFIGURED).await?;
            let now = self.clock.now();
            let is_there = found.as_ref().is_some_and(|found| {
                let over = found.body["expiresAt"].as_str().and_then(|at| at.parse().ok());
                found.body["sha256"] == hash(text) && over.is_some_and(|at: Timestamp| at > now)
            });
            if is_there {
                return Ok(());
            }
            let mut body = serde_json::to_value(configured(now)).unwrap_or_default();
            body["sha256"] = hash(text).into();
            let expected = found.map_or(0, |found| found.version);
            match self.store(CONFIGURED, expected, Some(body), by).await {
                Err(TokenError::NotFound(_)) => {}
                stored => return stored,
            }
        }
        Err(TokenError::Invalid("others keep writing another one; give all the same".into()))
    }

    /// Every token, by id, those that are over too.
    ///
    /// # Errors
    /// [`TokenError::Port`].
    pub async fn list(&self) -> Result<Vec<Token>, TokenError> {
        let found = self.documents.list(KIND, "", None, TOKENS_MAX).await?;
        Ok(found.into_iter().filter_map(|one| serde_json::from_value(one.body).ok()).collect())
    }

    /// Takes a token back, at once.
    ///
    /// # Errors
    /// [`TokenError::NotFound`] if there is none of that id.
    pub async fn revoke(&self, id: &str, by: &str) -> Result<(), TokenError> {
        let found = self.documents.get(KIND, id).await?;
        let found = found.ok_or_else(|| TokenError::NotFound(id.to_owned()))?;
        self.store(id, found.version, None, by).await
    }

    /// The token that a text proves; `None` if it is none, was taken back, or is over.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be looked up.
    pub async fn prove(&self, text: &str) -> Result<Option<Token>, PortError> {
        let parts = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
        let (id, secret) = parts.unwrap_or((CONFIGURED, text));
        let Some(found) = self.documents.get(KIND, id).await? else { return Ok(None) };
        let kept = found.body["sha256"].as_str().unwrap_or_default().to_owned();
        let token: Option<Token> = serde_json::from_value(found.body).ok();
        let now = self.clock.now();
        Ok(token.filter(|token| is_same(&kept, &hash(secret)) && token.expires_at > now))
    }

    /// Whether anybody could log in with a token now.
    ///
    /// # Errors
    /// [`TokenError::Port`].
    pub async fn has_live_one(&self) -> Result<bool, TokenError> {
        let now = self.clock.now();
        Ok(self.list().await?.iter().any(|token| token.expires_at > now))
    }

    async fn store(
        &self,
        id: &str,
        expected: u64,
        body: Option<Value>,
        by: &str,
    ) -> Result<(), TokenError> {
        let (kind, id, at) = (KIND.to_owned(), id.to_owned(), self.clock.now());
        let change = Change { kind, id: id.clone(), expected, body, by: by.to_owned(), at };
        match self.documents.change(change).await? {
            Changed::Stored(_) => Ok(()),
            // Somebody else took it back meanwhile.
            Changed::Conflict { .. } => Err(TokenError::NotFound(id)),
        }
    }
}

fn configured(now: Timestamp) -> Token {
    Token {
        id: CONFIGURED.to_owned(),
        name: CONFIGURED.to_owned(),
        user: CONFIGURED.to_owned(),
        scope: Scope::Admin,
        expires_at: now + jiff::SignedDuration::from_hours(24 * CONFIGURED_DAYS),
        speaks_for_others: true,
        roles: None,
        created_by: CONFIGURED.to_owned(),
        created_at: now,
    }
}

/// Never says what the text is.
fn check_text(text: &str) -> Result<(), TokenError> {
    if text.starts_with(PREFIX) {
        let why = "it begins with `capstan_`, as tokens do that are made here; choose another text";
        return Err(TokenError::Invalid(why.into()));
    }
    if text.len() < CONFIGURED_LEN_MIN || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(TokenError::Invalid(format!(
            "it needs {CONFIGURED_LEN_MIN} visible ASCII characters or more, chosen by chance: \
             `openssl rand -hex 32` prints such a text"
        )));
    }
    Ok(())
}

fn check(asked: &NewToken) -> Result<(), TokenError> {
    let names = [Some(&asked.name), asked.user.as_ref()];
    let is_name = |name: &str| {
        (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic())
    };
    if !names.into_iter().flatten().all(|name| is_name(name)) {
        let why = "the name of a token, and of its user, has 1 to 100 visible ASCII characters";
        return Err(TokenError::Invalid(why.into()));
    }
    let roles = asked.roles.as_deref().unwrap_or_default();
    if roles.len() > ROLES_MAX || !roles.iter().all(|role| is_name(role)) {
        let why = format!("at most {ROLES_MAX} roles, each of 1 to 100 visible ASCII characters");
        return Err(TokenError::Invalid(why));
    }
    if asked.expires_in_seconds == 0 {
        return Err(TokenError::Invalid(
            "`expiresInSeconds` is 0: it would be over at once".into(),
        ));
    }
    Ok(())
}

fn secret() -> Result<String, TokenError> {
    let mut bytes = [0_u8; SECRET_BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| TokenError::Chance(error.to_string()))?;
    Ok(hex::encode(bytes))
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Compares in a time that does not tell how much of it fits.
fn is_same(kept: &str, given: &str) -> bool {
    let differs = kept.bytes().zip(given.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    kept.len() == given.len() && differs == 0
}
