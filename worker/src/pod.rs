//! Tells Kubernetes while a worker's pod is busy, so that of several pods that are one too many an idle
//! one goes. It is a hint: what runs in a pod that goes all the same is ended or handed over.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deploy_kubernetes::OwnPod;
use serde::{Deserialize, Serialize};
use shared_ports::Clock;
use shared_runtime::{Kind, Supervisor};

use crate::Standing;

/// How often a worker looks whether it is busy: each change is a write to the API server.
const INTERVAL: Duration = Duration::from_secs(2);

/// The pod that a worker runs in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The cluster, by the current context of a file; by the pod's service account if there is none.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
}

/// Tells until the supervisor stops.
pub fn tell(pod: Pod, standing: Standing, clock: Arc<dyn Clock>, supervisor: &Supervisor) {
    supervisor.spawn(Kind::Upkeep, run(pod, standing, clock));
}

async fn run(pod: Pod, standing: Standing, clock: Arc<dyn Clock>) -> anyhow::Result<()> {
    // A pod without the annotation is idle.
    let (mut told, mut is_warned) = (false, false);
    let mut found = None;
    loop {
        let is_busy = standing.is_busy();
        if told != is_busy {
            match say(&pod, &mut found, is_busy).await {
                Ok(()) => (told, is_warned) = (is_busy, false),
                Err(error) if is_warned => tracing::debug!("still: {error:#}"),
                Err(error) => {
                    tracing::warn!("{error:#}; until then it may be ended while others are idle");
                    is_warned = true;
                }
            }
        }
        clock.sleep(INTERVAL).await;
    }
}

async fn say(pod: &Pod, found: &mut Option<OwnPod>, is_busy: bool) -> anyhow::Result<()> {
    let own = match found.take() {
        Some(own) => own,
        None => OwnPod::find(&pod.namespace, &pod.name, pod.kubeconfig.as_deref()).await?,
    };
    found.insert(own).tell(is_busy).await?;
    Ok(())
}
