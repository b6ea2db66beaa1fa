//! Secrets by reference (D26): `secret://source/name#key` stands in documents, and for expressions is
//! a text as any other; what it means is read on the worker just before it is used.
//!
//! What was read is remembered, and taken out of whatever the worker says after that: log lines,
//! answers, errors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use shared_model::TaskError;

/// What a reference begins with.
pub const SCHEME: &str = "secret://";
/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 1024 * 1024;
/// What is shorter is not taken out of texts, in bytes: it would be found everywhere, and what others
/// need would be gone with it.
const HIDDEN_BYTES_MIN: usize = 8;
/// What stands in the place of a secret.
const MASK: &str = "***";

/// Where secrets come from.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// Reads one, as it is now.
    ///
    /// # Errors
    /// Why there is none, without any secret, and what to do.
    async fn read(&self, name: &str, key: Option<&str>) -> Result<SecretString, String>;
}

/// Why a reference means nothing here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{reference}` cannot be read on this worker: {why}")]
pub struct SecretError {
    /// The reference.
    pub reference: String,
    /// Why not, and what to do.
    pub why: String,
}

impl From<SecretError> for TaskError {
    fn from(error: SecretError) -> Self {
        Self::new("SecretUnavailable", error.to_string())
    }
}

/// Every source of a worker, and what was read from them.
#[derive(Clone, Default)]
pub struct Secrets {
    sources: BTreeMap<&'static str, Arc<dyn SecretSource>>,
    hidden: Arc<RwLock<BTreeSet<String>>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("sources", &self.sources.keys()).finish_non_exhaustive()
    }
}

/// A reference, taken apart.
struct Reference<'a> {
    source: &'a str,
    name: &'a str,
    key: Option<&'a str>,
}

impl Secrets {
    /// The same with one more source, under the name that references give it.
    #[must_use]
    pub fn with(mut self, name: &'static str, source: impl SecretSource + 'static) -> Self {
        self.sources.insert(name, Arc::new(source));
        self
    }

    /// A text with every reference in it replaced by what it means.
    ///
    /// # Errors
    /// [`SecretError`] for the first that means nothing here.
    pub async fn reveal(&self, text: &str) -> Result<String, SecretError> {
        let mut revealed = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(SCHEME) {
            revealed.push_str(&rest[..at]);
            let (reference, after) = rest[at..].split_at(length(&rest[at..]));
            revealed.push_str(self.read(reference).await?.expose_secret());
            rest = after;
        }
        revealed.push_str(rest);
        Ok(revealed)
    }

    /// The same for every text of a value that is at a JSON pointer, where `is_read` says so of the
    /// text's own pointer.
    ///
    /// # Errors
    /// [`SecretError`] for the first that means nothing here.
    pub async fn reveal_all(
        &self,
        value: &Value,
        at: &str,
        is_read: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Value, SecretError> {
        Ok(match value {
            Value::String(text) if text.contains(SCHEME) && is_read(at) => {
                Value::String(self.reveal(text).await?)
            }
            Value::Array(list) => {
                let mut all = Vec::with_capacity(list.len());
                for (index, one) in list.iter().enumerate() {
                    let at = format!("{at}/{index}");
                    all.push(Box::pin(self.reveal_all(one, &at, is_read)).await?);
                }
                Value::Array(all)
            }
            Value::Object(map) => {
                let mut all = Map::new();
                for (key, one) in map {
                    let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                    all.insert(key.clone(), Box::pin(self.reveal_all(one, &at, is_read)).await?);
                }
                Value::Object(all)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        })
    }

    async fn read(&self, reference: &str) -> Result<SecretString, SecretError> {
        let wrong = |why: String| SecretError { reference: reference.to_owned(), why };
        let Reference { source, name, key } = parse(reference).map_err(&wrong)?;
        let Some(found) = self.sources.get(source) else {
            return Err(wrong(self.no_source(source)));
        };
        let secret = found.read(name, key).await.map_err(&wrong)?;
        let bytes = secret.expose_secret().len();
        if bytes > SECRET_BYTES_MAX {
            return Err(wrong(format!(
                "it has {bytes} bytes, the limit is {SECRET_BYTES_MAX} (secret_bytes_max)"
            )));
        }
        self.note(secret.expose_secret());
        Ok(secret)
    }

    fn no_source(&self, source: &str) -> String {
        let known: Vec<_> = self.sources.keys().map(|name| format!("`{name}`")).collect();
        let known = match known.as_slice() {
            [] => "none is configured".to_owned(),
            known => format!("there are {}", known.join(", ")),
        };
        format!("there is no source `{source}`; {known} (`worker.secrets`)")
    }

    /// Remembers that a text is secret, as it is, line by line, in base64 and as JSON writes it.
    pub fn note(&self, secret: &str) {
        let mut hidden = self.hidden.write().unwrap_or_else(PoisonError::into_inner);
        let json = Value::from(secret).to_string();
        let base64 = STANDARD.encode(secret);
        let forms = [secret, secret.trim(), &json[1..json.len() - 1], &base64];
        for form in forms.into_iter().chain(secret.lines()) {
            if form.len() >= HIDDEN_BYTES_MIN {
                hidden.insert(form.to_owned());
            }
        }
    }

    /// A text without what is secret in it.
    pub fn hide(&self, text: &str) -> String {
        let hidden = self.hidden.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<&String> =
            hidden.iter().filter(|secret| text.contains(*secret)).collect();
        // A part of a secret must not break the whole up.
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        found.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }

    /// Takes what is secret out of every text of a value.
    pub fn hide_all(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.hide(text),
            Value::Array(list) => list.iter_mut().for_each(|one| self.hide_all(one)),
            Value::Object(map) => {
                for (key, mut one) in std::mem::take(map) {
                    self.hide_all(&mut one);
                    map.insert(self.hide(&key), one);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Whether anything secret was read.
    pub fn are_known(&self) -> bool {
        !self.hidden.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_./".contains(c)
}

/// How long the reference is that a text begins with.
fn length(text: &str) -> usize {
    let path = SCHEME.len() + run(&text[SCHEME.len()..]);
    match text[path..].strip_prefix('#').map(run) {
        Some(key @ 1..) => path + 1 + key,
        Some(0) | None => path,
    }
}

fn run(text: &str) -> usize {
    text.find(|c: char| !is_of_name(c)).unwrap_or(text.len())
}

fn parse(reference: &str) -> Result<Reference<'_>, String> {
    let (path, key) = match reference[SCHEME.len()..].split_once('#') {
        Some((path, key)) => (path, Some(key)),
        None => (&reference[SCHEME.len()..], None),
    };
    let named =
        path.split_once('/').filter(|(source, name)| !source.is_empty() && !name.is_empty());
    let (source, name) =
        named.ok_or("write `secret://source/name`, or `secret://source/name#key`")?;
    let is_odd = |part: &str| part.is_empty() || part == "." || part == "..";
    let parts = name.split('/').chain(key.into_iter().flat_map(|key| key.split('/')));
    match parts.into_iter().find(|part| is_odd(part)) {
        None => Ok(Reference { source, name, key }),
        Some(part) => Err(format!("`{part}` is no part of a secret's name")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Echo;

    #[async_trait]
    impl SecretSource for Echo {
        async fn read(&self, name: &str, key: Option<&str>) -> Result<SecretString, String> {
            match name {
                "missing" => Err("it is not there; make it".into()),
                _ => Ok(format!("[{name}:{}]", key.unwrap_or("-")).into()),
            }
        }
    }

    fn secrets() -> Secrets {
        Secrets::default().with("echo", Echo)
    }

    #[tokio::test]
    async fn references_are_found_wherever_they_stand() {
        let secrets = secrets();
        for (text, revealed) in [
            ("Bearer secret://echo/a#b, and", "Bearer [a:b], and"),
            ("secret://echo/a/b.c", "[a/b.c:-]"),
            ("secret://echo/a#", "[a:-]#"),
            ("secret://echo/asecret://echo/b", "[asecret:-]://echo/b"),
            ("no secret", "no secret"),
        ] {
            assert_eq!(secrets.reveal(text).await.unwrap(), revealed, "{text}");
        }
        let value = json!({ "a": ["secret://echo/x", 1], "b": "secret://echo/y" });
        let all = secrets.reveal_all(&value, "/at", &|pointer| pointer == "/at/a/0").await;
        assert_eq!(all.unwrap(), json!({ "a": ["[x:-]", 1], "b": "secret://echo/y" }));
    }

    #[tokio::test]
    async fn what_means_nothing_is_named_and_what_to_do() {
        let secrets = secrets();
        for (text, part) in [
            ("secret://", "write `secret://source/name`"),
            ("secret://echo", "write `secret://source/name`"),
            ("secret://vault/a", "there is no source `vault`; there are `echo`"),
            ("secret://echo/../etc", "`..` is no part"),
            ("secret://echo/a#..", "`..` is no part"),
            ("secret://echo//a", "is no part"),
            ("secret://echo/missing", "make it"),
        ] {
            let error = secrets.reveal(text).await.unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
            assert_eq!(error.reference, text);
        }
    }

    #[test]
    fn what_was_read_is_hidden_in_every_form() {
        let secrets = Secrets::default();
        assert!(!secrets.are_known());
        let secret = "pass\"w0rd\nw0rd-of-the-second-line\n";
        secrets.note(secret);
        secrets.note("abc");
        let base64 = STANDARD.encode(secret);
        let json = json!({ "a": secret }).to_string();
        for text in ["x pass\"w0rd y", "w0rd-of-the-second-line", &json, &base64] {
            let hidden = secrets.hide(text);
            assert!(!hidden.contains("w0rd") && !hidden.contains(&base64), "{hidden}");
        }
        let mut value = json!({ "w0rd-of-the-second-line": ["abc", "w0rd-of-the-second-line!"] });
        secrets.hide_all(&mut value);
        assert_eq!(value, json!({ "***": ["abc", "***!"] }));
    }
}
