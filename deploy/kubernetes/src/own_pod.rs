//! The pod that a process runs in, and what Kubernetes is told about ending it.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// Of the pods that may go, those with the lowest cost go first; without the annotation it is 0.
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Of a pod that is busy.
const BUSY: &str = "1000";

/// A pod of ours.
pub struct OwnPod {
    pods: Api<Pod>,
    name: String,
}

/// Why nothing can be said about a pod.
#[derive(Debug, thiserror::Error)]
pub enum OwnPodError {
    /// The cluster's configuration cannot be used.
    #[error(
        "the cluster that the pod `{pod}` runs in cannot be asked, by {}",
        .file.as_ref().map_or("the service account in it".into(), |file| format!("`{}`", file.display()))
    )]
    Config {
        /// Which pod.
        pod: String,
        /// The kubeconfig; the service account's files where there is none.
        file: Option<PathBuf>,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server did not do it.
    #[error(
        "the pod `{pod}` was not told how much its end costs; its service account needs the verb `patch` on `pods`"
    )]
    Refused {
        /// Which pod.
        pod: String,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
}

impl OwnPod {
    /// A pod, by the service account that it runs as, or by a kubeconfig's current context.
    ///
    /// # Errors
    /// [`OwnPodError::Config`] if neither can be used.
    pub async fn find(
        namespace: &str,
        name: &str,
        kubeconfig: Option<&Path>,
    ) -> Result<Self, OwnPodError> {
        let wrong = |source| OwnPodError::Config {
            pod: name.to_owned(),
            file: kubeconfig.map(Path::to_owned),
            source,
        };
        let config = config(kubeconfig).await.map_err(wrong)?;
        let client = Client::try_from(config).map_err(|error| wrong(error.into()))?;
        Ok(Self { pods: Api::namespaced(client, namespace), name: name.to_owned() })
    }

    /// Tells whether the pod is busy: of several that are one too many, one that is not goes.
    ///
    /// # Errors
    /// [`OwnPodError::Refused`] if the API server does not take it.
    pub async fn tell(&self, is_busy: bool) -> Result<(), OwnPodError> {
        let cost = if is_busy { Value::from(BUSY) } else { Value::Null };
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { COST: cost } } }));
        let patched = self.pods.patch_metadata(&self.name, &PatchParams::default(), &patch).await;
        patched.map(drop).map_err(|source| OwnPodError::Refused {
            pod: self.name.clone(),
            source: source.into(),
        })
    }
}

async fn config(
    kubeconfig: Option<&Path>,
) -> Result<Config, Box<dyn std::error::Error + Send + Sync>> {
    let Some(file) = kubeconfig else { return Ok(Config::incluster()?) };
    let read = Kubeconfig::read_from(file)?;
    Ok(Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?)
}
