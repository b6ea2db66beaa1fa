//! The accounts that documents name, and a client for each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::config::Kubeconfig;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::credentials::{self, Print};
use crate::service_account::ServiceAccount;

/// How long a client is used. What it was made of is looked at before every use; this is for what only
/// a plugin knows: a certificate that it gave is not asked for again by itself.
const CLIENT_KEPT: Duration = Duration::from_mins(10);

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
    /// The cluster that this runs in cannot be used.
    #[error("the cluster that this runs in cannot be used: {why}")]
    OwnCluster {
        /// Why not, and what to do.
        why: String,
    },
    /// Two accounts have one name.
    #[error(
        "`{account}` names a context of the kubeconfig already; give the cluster that this runs in \
         another name"
    )]
    Twice {
        /// The name.
        account: String,
    },
    /// There are no credentials for a cluster.
    #[error("the account `{account}` has no credentials: {why}")]
    Credentials {
        /// The account.
        account: String,
        /// Why not, without anything secret.
        why: String,
    },
}

/// Every account, and a client for each that was used.
#[derive(Clone, Default)]
pub struct Accounts {
    accounts: BTreeMap<String, (Account, Source)>,
    clients: Arc<Mutex<BTreeMap<String, Kept>>>,
}

/// Where an account's credentials come from.
#[derive(Debug, Clone)]
enum Source {
    Kubeconfig(PathBuf),
    OwnCluster(ServiceAccount),
}

/// A client, and what it was made of.
struct Kept {
    cluster: Cluster,
    print: Print,
    since: Instant,
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
        let source = Source::Kubeconfig(file.to_owned());
        let sourced = own.chain(more).map(|(name, account)| (name, (account, source.clone())));
        Ok(Self { accounts: sourced.collect(), clients: Arc::default() })
    }

    /// The same, and the cluster that this runs in, reached by a service account, under a name.
    ///
    /// # Errors
    /// [`AccountError`] if the name is taken, or the service account has no files.
    pub fn and_own_cluster(
        mut self,
        name: &str,
        service_account: &ServiceAccount,
    ) -> Result<Self, AccountError> {
        service_account.check()?;
        let account = Account { context: name.to_owned(), ..Account::default() };
        let source = Source::OwnCluster(service_account.clone());
        match self.accounts.insert(name.to_owned(), (account, source)) {
            None => Ok(self),
            Some(_) => Err(AccountError::Twice { account: name.to_owned() }),
        }
    }

    /// A client for an account, with its credentials as they are now.
    ///
    /// # Errors
    /// [`AccountError`] if there is no such account or its credentials cannot be used.
    pub(crate) async fn cluster(&self, name: &str) -> Result<Cluster, AccountError> {
        let (account, source) = self.accounts.get(name).ok_or_else(|| self.unknown(name))?;
        let config = source.config(name)?;
        let print = credentials::print(&config);
        let is_good = |kept: &&Kept| kept.print == print && kept.since.elapsed() < CLIENT_KEPT;
        if let Some(kept) = self.clients.lock().await.get(name).filter(is_good) {
            return Ok(kept.cluster.clone());
        }
        // Not under the lock: a plugin may take its time, and others have clients already.
        let (client, default_namespace) = source.connect(name, config, account).await?;
        let (account, own) = (account.clone(), name.to_owned());
        let cluster = Cluster { client, default_namespace, account, name: own };
        let kept = Kept { cluster: cluster.clone(), print, since: Instant::now() };
        self.clients.lock().await.insert(name.to_owned(), kept);
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
}

impl Source {
    /// What there is now; it may have changed since the last time.
    fn config(&self, name: &str) -> Result<Kubeconfig, AccountError> {
        match self {
            Self::Kubeconfig(file) => read(file),
            Self::OwnCluster(service_account) => service_account.config(name),
        }
    }

    async fn connect(
        &self,
        name: &str,
        config: Kubeconfig,
        account: &Account,
    ) -> Result<(Client, String), AccountError> {
        if let Self::Kubeconfig(file) = self
            && let Some(user) = missing_user(&config, &account.context)
        {
            let context = &account.context;
            let why = format!("its context `{context}` names the user `{user}`, who is not in it");
            return Err(AccountError::Kubeconfig { file: file.clone(), why });
        }
        let connected = credentials::connect(config, account.context.clone()).await;
        connected.map_err(|why| match self {
            Self::Kubeconfig(file) if !why.is_of_plugin => {
                AccountError::Kubeconfig { file: file.clone(), why: why.text }
            }
            Self::Kubeconfig(_) | Self::OwnCluster(_) => {
                AccountError::Credentials { account: name.to_owned(), why: why.text }
            }
        })
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
