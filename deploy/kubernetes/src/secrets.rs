//! Secrets by reference (D26): those that a cluster has, and those that a manifest names.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use secrecy::SecretString;
use serde_json::Value;
use shared_plugin::secrets::SCHEME;
use shared_plugin::{SecretError, SecretSource, Secrets};

use crate::account::Accounts;
use crate::manifest::Manifest;

/// The Secrets of one namespace: `secret://kubernetes/name#key`. Read anew for each use.
pub struct ClusterSecrets {
    accounts: Accounts,
    account: String,
    namespace: String,
}

impl ClusterSecrets {
    /// Those of a namespace, in the cluster of an account.
    pub fn new(accounts: Accounts, account: &str, namespace: &str) -> Self {
        Self { accounts, account: account.to_owned(), namespace: namespace.to_owned() }
    }
}

#[async_trait]
impl SecretSource for ClusterSecrets {
    async fn read(&self, name: &str, key: Option<&str>) -> Result<SecretString, String> {
        let Some(key) = key else {
            return Err(format!("which key is meant? write `secret://kubernetes/{name}#key`"));
        };
        let Self { account, namespace, .. } = self;
        let cluster = self.accounts.cluster(account).await.map_err(|error| error.to_string())?;
        let found = Api::<Secret>::namespaced(cluster.client, namespace).get_opt(name).await;
        let found = found.map_err(|error| {
            format!(
                "the cluster of the account `{account}` does not say it: {}; the account needs the verb \
                 `get` on `secrets` in the namespace `{namespace}`",
                crate::refusal::chain(&error)
            )
        })?;
        let found = found.ok_or_else(|| {
            format!("the namespace `{namespace}` of the account `{account}` has no Secret `{name}`")
        })?;
        let data = found.data.unwrap_or_default();
        let value = data.get(key).ok_or_else(|| {
            let keys: Vec<&str> = data.keys().map(String::as_str).collect();
            format!("the Secret `{name}` has no key `{key}`; it has: {}", keys.join(", "))
        })?;
        let text = String::from_utf8(value.0.clone());
        text.map(SecretString::from).map_err(|_| format!("`{key}` is not UTF-8 text"))
    }
}

/// A Secret's manifest with what its references mean; any other as it is.
pub(crate) async fn revealed(
    secrets: &Secrets,
    manifest: &Manifest,
) -> Result<Manifest, SecretError> {
    let mut value = manifest.value.clone();
    if manifest.kind() != "Secret" {
        return Ok(Manifest { value });
    }
    for (field, is_base64) in [("stringData", false), ("data", true)] {
        let map = value.get_mut(field).and_then(Value::as_object_mut);
        for entry in map.into_iter().flat_map(|map| map.values_mut()) {
            let Some(text) = entry.as_str().and_then(|text| decoded(text, is_base64)) else {
                continue;
            };
            let text = secrets.reveal(&text).await?;
            *entry = if is_base64 { STANDARD.encode(text) } else { text }.into();
        }
    }
    Ok(Manifest { value })
}

/// A text that has a reference.
fn decoded(text: &str, is_base64: bool) -> Option<String> {
    let text = match is_base64 {
        true => String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?,
        false => text.to_owned(),
    };
    text.contains(SCHEME).then_some(text)
}

/// Whether a manifest has references that nobody reads.
pub(crate) fn is_unread(manifest: &Manifest) -> bool {
    manifest.kind() != "Secret" && manifest.value.to_string().contains(SCHEME)
}
