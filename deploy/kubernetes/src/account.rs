//! A kubeconfig → accounts → clients.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::Mutex;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take; watches renew themselves within it.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// One cluster, as documents name it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// The context in the kubeconfig.
    pub context: String,
    /// Only these namespaces may be deployed to; all if it is empty.
    pub namespaces: Vec<String>,
    /// These namespaces may not be deployed to.
    pub omit_namespaces: Vec<String>,
}

impl Account {
    /// Whether it may deploy to a namespace.
    pub(crate) fn allows(&self, namespace: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|one| one == namespace);
        (self.namespaces.is_empty() || listed(&self.namespaces)) && !listed(&self.omit_namespaces)
    }
}

/// Why a cluster cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The kubeconfig cannot be read.
    #[error("the kubeconfig `{}` cannot be used: {why}; check the path and its content", file.display())]
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// A context does not exist.
    #[error(
        "the account `{account}` means the context `{context}`, which the kubeconfig does not have; it has: {known}"
    )]
    NoContext {
        /// The account.
        account: String,
        /// The context.
        context: String,
        /// Those that it has.
        known: String,
    },
    /// An account does not exist.
    #[error("there is no account `{account}`; {known}")]
    Unknown {
        /// The account.
        account: String,
        /// Those that exist.
        known: String,
    },
}

/// Every account, and a client for each that was used.
#[derive(Clone, Default)]
pub struct Accounts {
    file: Option<PathBuf>,
    accounts: BTreeMap<String, Account>,
    clients: Arc<Mutex<BTreeMap<String, Cluster>>>,
}

/// A cluster that can be talked to.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) default_namespace: String,
    pub(crate) account: Account,
    pub(crate) name: String,
}

impl Accounts {
    /// No account: every deploy says so.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every context of a kubeconfig as an account of its name, and further ones.
    ///
    /// # Errors
    /// [`AccountError`] if the file cannot be read, or an account means a context that it lacks.
    pub fn of_kubeconfig(
        file: &Path,
        more: BTreeMap<String, Account>,
    ) -> Result<Self, AccountError> {
        let config = read(file)?;
        let contexts: Vec<String> = config.contexts.iter().map(|one| one.name.clone()).collect();
        for (account, Account { context, .. }) in &more {
            if !contexts.contains(context) {
                let (account, context) = (account.clone(), context.clone());
                let known = contexts.join(", ");
                return Err(AccountError::NoContext { account, context, known });
            }
        }
        let own = contexts
            .into_iter()
            .map(|context| (context.clone(), Account { context, ..Account::default() }));
        let accounts = own.chain(more).collect();
        Ok(Self { file: Some(file.to_owned()), accounts, clients: Arc::default() })
    }

    /// A client for an account.
    ///
    /// # Errors
    /// [`AccountError`] if there is no such account or its kubeconfig cannot be used.
    pub(crate) async fn cluster(&self, name: &str) -> Result<Cluster, AccountError> {
        let account = self.accounts.get(name).ok_or_else(|| self.unknown(name))?;
        let mut clients = self.clients.lock().await;
        if let Some(cluster) = clients.get(name) {
            return Ok(cluster.clone());
        }
        let cluster = self.connect(name, account).await?;
        clients.insert(name.to_owned(), cluster.clone());
        Ok(cluster)
    }

    fn unknown(&self, name: &str) -> AccountError {
        let known = if self.accounts.is_empty() {
            "no cluster is configured; give a kubeconfig with --kubeconfig".to_owned()
        } else {
            let names: Vec<&str> = self.accounts.keys().map(String::as_str).collect();
            format!("known accounts: {}", names.join(", "))
        };
        AccountError::Unknown { account: name.to_owned(), known }
    }

    async fn connect(&self, name: &str, account: &Account) -> Result<Cluster, AccountError> {
        let file = self.file.clone().unwrap_or_default();
        let wrong = |why: String| AccountError::Kubeconfig { file: file.clone(), why };
        let options =
            KubeConfigOptions { context: Some(account.context.clone()), ..Default::default() };
        let mut config = Config::from_custom_kubeconfig(read(&file)?, &options)
            .await
            .map_err(|error| wrong(error.to_string()))?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(READ_TIMEOUT);
        let default_namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| wrong(error.to_string()))?;
        let (account, name) = (account.clone(), name.to_owned());
        Ok(Cluster { client, default_namespace, account, name })
    }
}

fn read(file: &Path) -> Result<Kubeconfig, AccountError> {
    let wrong = |why: String| AccountError::Kubeconfig { file: file.to_owned(), why };
    let config = Kubeconfig::read_from(file).map_err(|error| wrong(error.to_string()))?;
    if config.contexts.is_empty() {
        return Err(wrong("it has no context".into()));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_kept_to() {
        let only = Account { namespaces: vec!["a".into()], ..Account::default() };
        assert!(only.allows("a") && !only.allows("b"));
        let not = Account { omit_namespaces: vec!["a".into()], ..Account::default() };
        assert!(!not.allows("a") && not.allows("b"));
    }

    #[test]
    fn what_is_wrong_with_a_kubeconfig_is_said() {
        let missing = Accounts::of_kubeconfig(Path::new("/no/such/file"), BTreeMap::new());
        let error = missing.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("/no/such/file"), "{error}");
        let unknown = Accounts::none().unknown("prod").to_string();
        assert!(unknown.contains("--kubeconfig"), "{unknown}");
    }
}
