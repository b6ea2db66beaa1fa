use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use secrecy::SecretString;
use serde::Deserialize;

/// Where blobs and logs are kept so that every process has them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// `s3://bucket/prefix` (anything that speaks S3), `file:///folder`, `gs://bucket/prefix` or
    /// `az://container/prefix`. The bucket must be there; the folder is made.
    pub url: String,
    /// What its client is told, by name: `endpoint`, `region`, `allow_http`, `access_key_id`,
    /// `secret_access_key` and so on. Any of them may be a secret, so none is shown to anybody.
    #[serde(default)]
    pub options: BTreeMap<String, SecretString>,
    /// Whether the machine's own credentials may be used: those of its environment, of its
    /// service account, of its instance. Without it only those of `options` are.
    #[serde(default)]
    pub ambient_credentials: bool,
    /// PEM file with the authorities that signed the server's certificate; without it those that
    /// the system trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How long a call is tried, over lost connections; a second more for each MiB that it moves.
    #[serde(default = "call_max")]
    pub call_max: SignedDuration,
}

impl Objects {
    /// With no options.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            options: BTreeMap::new(),
            ambient_credentials: false,
            ca_file: None,
            call_max: call_max(),
        }
    }

    /// With one option more.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl Into<String>) -> Self {
        self.options.insert(name.to_owned(), SecretString::from(value.into()));
        self
    }

    /// A negative one is none at all.
    pub(super) fn call_limit(&self) -> Duration {
        Duration::try_from(self.call_max).unwrap_or_default()
    }
}

fn call_max() -> SignedDuration {
    SignedDuration::from_secs(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_with_defaults_and_unknown_ones_are_refused() {
        let text = r#"{"url": "s3://b/p", "options": {"secret_access_key": "pa55word"}}"#;
        let settings: Objects = serde_json::from_str(text).unwrap();
        assert_eq!(settings.call_max, SignedDuration::from_secs(10));
        assert!(!settings.ambient_credentials);
        let shown = format!("{settings:?}");
        assert!(shown.contains("secret_access_key") && !shown.contains("pa55word"), "{shown}");
        let unknown: Result<Objects, _> = serde_json::from_str(r#"{"url": "s3://b", "regio": ""}"#);
        assert!(unknown.unwrap_err().to_string().contains("regio"));
    }
}
