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

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.accounts.keys().map(String::as_str)
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
        let kubeconfig = read(&file)?;
        if let Some(user) = missing_user(&kubeconfig, &account.context) {
            let context = &account.context;
            return Err(wrong(format!(
                "its context `{context}` names the user `{user}`, who is not in it"
            )));
        }
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
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

/// The client would go on as nobody, and be told that nobody may do anything.
fn missing_user<'a>(config: &'a Kubeconfig, context: &str) -> Option<&'a str> {
    let named = config.contexts.iter().find(|one| one.name == context)?;
    let user = named.context.as_ref()?.user.as_deref().filter(|user| !user.is_empty())?;
    config.auth_infos.iter().all(|one| one.name != user).then_some(user)
}

/// Reads a kubeconfig, or several with `:` between them as kubectl does: what comes first counts.
fn read(file: &Path) -> Result<Kubeconfig, AccountError> {
    let wrong = |why: String| AccountError::Kubeconfig { file: file.to_owned(), why };
    let parts: Vec<PathBuf> = std::env::split_paths(file).filter(|part| part.is_file()).collect();
    let (first, more) = match parts.split_first() {
        Some((first, more)) if !file.is_file() => (first.as_path(), more),
        Some(_) | None => (file, [].as_slice()),
    };
    let more = more.iter().map(Kubeconfig::read_from);
    let config = more
        .fold(Kubeconfig::read_from(first), |all, next| all?.merge(next?))
        .map_err(|error| wrong(error.to_string()))?;
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

    fn kubeconfig(context: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: 'https://c'}}}}]\n\
             users: [{{name: ada, user: {{token: t}}}}]\n\
             contexts: [{{name: {context}, context: {{cluster: c, user: {user}}}}}]\n"
        )
    }

    #[test]
    fn several_kubeconfigs_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two, none] = ["one", "two", "none"].map(|name| folder.path().join(name));
        std::fs::write(&one, kubeconfig("dev", "ada")).unwrap();
        std::fs::write(&two, kubeconfig("prod", "ada")).unwrap();
        let list = std::env::join_paths([&none, &one, &two]).unwrap();
        let accounts = Accounts::of_kubeconfig(Path::new(&list), BTreeMap::new()).unwrap();
        assert_eq!(accounts.accounts.keys().collect::<Vec<_>>(), ["dev", "prod"]);
    }

    #[tokio::test]
    async fn a_user_who_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig("dev", "ghost")).unwrap();
        let accounts = Accounts::of_kubeconfig(&file, BTreeMap::new()).unwrap();
        let error = accounts.cluster("dev").await.err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("the user `ghost`")));
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
