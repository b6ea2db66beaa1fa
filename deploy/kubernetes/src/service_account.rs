//! The service account of the pod that a process runs in.

use std::path::{Path, PathBuf};

use kube::config::{
    AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};

use crate::account::AccountError;

/// Where Kubernetes mounts it.
const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The API server's address, in every pod's environment.
const HOST: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";

/// A service account's files, and the cluster that they are for. Kubernetes renews the token in them
/// all the time; it is read again as it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// The API server.
    server: String,
    /// Of `token`, `ca.crt` and `namespace`.
    folder: PathBuf,
}

impl ServiceAccount {
    /// That of the pod that this runs in.
    ///
    /// # Errors
    /// [`AccountError::OwnCluster`] if this is no pod.
    pub fn of_pod() -> Result<Self, AccountError> {
        let variable = |name: &str| {
            std::env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty())
        };
        let (Some(host), Some(port)) = (variable(HOST), variable(PORT)) else {
            let why = format!(
                "this is no pod of one ({HOST} and {PORT} are not set); use a kubeconfig, or run it there"
            );
            return Err(AccountError::OwnCluster { why });
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Ok(Self::new(format!("https://{host}:{port}"), Path::new(FOLDER)))
    }

    /// One with its files in another folder.
    pub fn new(server: impl Into<String>, folder: &Path) -> Self {
        Self { server: server.into(), folder: folder.to_owned() }
    }

    /// Whether its files are there.
    pub(crate) fn check(&self) -> Result<(), AccountError> {
        for name in ["token", "ca.crt"] {
            self.read(name)?;
        }
        Ok(())
    }

    /// The same as a kubeconfig would say it.
    pub(crate) fn config(&self, name: &str) -> Result<Kubeconfig, AccountError> {
        let path = |file: &str| self.folder.join(file).display().to_string();
        let own = || name.to_owned();
        let cluster = Cluster {
            server: Some(self.server.clone()),
            certificate_authority: Some(path("ca.crt")),
            ..Cluster::default()
        };
        let namespace = self.read("namespace").ok();
        let namespace = namespace.map(|text| text.trim().to_owned());
        let context =
            Context { cluster: own(), user: Some(own()), namespace, ..Default::default() };
        let user = AuthInfo { token_file: Some(path("token")), ..AuthInfo::default() };
        Ok(Kubeconfig {
            clusters: vec![NamedCluster {
                name: own(),
                cluster: Some(cluster),
                ..Default::default()
            }],
            contexts: vec![NamedContext {
                name: own(),
                context: Some(context),
                ..Default::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: own(),
                auth_info: Some(user),
                ..Default::default()
            }],
            ..Kubeconfig::default()
        })
    }

    fn read(&self, name: &str) -> Result<String, AccountError> {
        let file = self.folder.join(name);
        std::fs::read_to_string(&file).map_err(|error| AccountError::OwnCluster {
            why: format!(
                "its service account's file `{}` cannot be read ({error}); is a service account mounted \
                 (automountServiceAccountToken)?",
                file.display()
            ),
        })
    }
}
