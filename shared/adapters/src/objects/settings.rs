use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use secrecy::SecretString;
use serde::de::{self, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::masked;

/// Where blobs and logs are kept so that every process has them.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// `s3://bucket/prefix` (anything that speaks S3), `file:///folder`, `gs://bucket/prefix` or
    /// `az://container/prefix`. The bucket must be there; the folder is made.
    pub url: String,
    /// What its client is told, by name: `endpoint`, `region`, `allow_http`, `access_key_id`,
    /// `secret_access_key` and so on. Any of them may be a secret, so none is shown to anybody.
    #[serde(default, deserialize_with = "options", serialize_with = "mask_options")]
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
    #[serde(default = "call_max", serialize_with = "masked::duration")]
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

/// Any of them may be a secret.
fn mask_options<S: Serializer>(
    options: &BTreeMap<String, SecretString>,
    to: S,
) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(options.len()))?;
    for name in options.keys() {
        map.serialize_entry(name, masked::MASK)?;
    }
    map.end()
}

/// `true` and `3` may be written without quotation marks, as whoever writes settings expects.
fn options<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, SecretString>, D::Error> {
    let options = BTreeMap::<String, Plain>::deserialize(from)?;
    Ok(options.into_iter().map(|(name, Plain(text))| (name, SecretString::from(text))).collect())
}

/// A text, or what is written like one.
struct Plain(String);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Plain;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Plain, E> {
                Ok(Plain(text.to_owned()))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }
        }
        from.deserialize_any(Any)
    }
}

fn call_max() -> SignedDuration {
    SignedDuration::from_secs(10)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn settings_are_read_with_defaults_and_unknown_ones_are_refused() {
        let text = r#"{"url": "s3://b/p", "options": {"secret_access_key": "pa55word",
                       "allow_http": true}}"#;
        let settings: Objects = serde_json::from_str(text).unwrap();
        assert_eq!(settings.call_max, SignedDuration::from_secs(10));
        assert!(!settings.ambient_credentials);
        let shown = format!("{settings:?}");
        assert!(shown.contains("secret_access_key") && !shown.contains("pa55word"), "{shown}");
        let shown = serde_json::to_string(&settings).unwrap();
        assert!(shown.contains(r#""secret_access_key":"***""#), "{shown}");
        assert_eq!(settings.options["allow_http"].expose_secret(), "true");
        let unknown: Result<Objects, _> = serde_json::from_str(r#"{"url": "s3://b", "regio": ""}"#);
        assert!(unknown.unwrap_err().to_string().contains("regio"));
    }
}
