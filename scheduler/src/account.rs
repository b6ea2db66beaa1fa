//! Accounts that stages deploy to, as clients see them: a name and a provider, never a secret.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// An account in Gate's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Its name, as stages write it.
    pub name: String,
    /// Its provider, e.g. `kubernetes`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same; clients read either.
    pub cloud_provider: String,
    /// Its name: no other kinds of accounts are told apart.
    pub account_type: String,
    /// Its name: no environments are told apart.
    pub environment: String,
    /// Whether it is taken where nothing is said.
    pub primary_account: bool,
    /// Groups that may use it; empty: everybody may.
    pub required_group_membership: Vec<String>,
    /// Who may do what with it; empty: everybody everything.
    pub permissions: BTreeMap<String, Vec<String>>,
    /// Whether whoever asks may use it.
    pub authorized: bool,
    /// Whether clients ask again before they take something down.
    pub challenge_destructive_actions: bool,
}

impl Account {
    /// An account of a provider.
    pub fn new(provider: &str, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: provider.to_owned(),
            cloud_provider: provider.to_owned(),
            account_type: name.to_owned(),
            environment: name.to_owned(),
            primary_account: false,
            required_group_membership: Vec::new(),
            permissions: BTreeMap::new(),
            authorized: true,
            challenge_destructive_actions: false,
        }
    }
}
