//! Server-side apply, once per effect key (D5, D30).

use std::time::Duration;

use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::Value;
use shared_model::EffectKey;
use shared_plugin::Secrets;
use shared_ports::Clock;

use crate::account::Cluster;
use crate::labels::{CONTENT_HASH, EFFECT_KEY, EFFECT_LABEL, effect_label, sign};
use crate::manifest::Manifest;
use crate::ownership::{FIELD_MANAGER, migration};
use crate::place::Place;
use crate::refusal::{ApplyFailure, explain, may_pass, never};
use crate::secrets::revealed;

/// How long is waited for what may come in a moment: a new namespace's service account, the end of
/// somebody else's change.
const PASSING_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile.
const PASSING_PAUSE: Duration = Duration::from_millis(200);

/// What applying one manifest came to.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// The object as the server has it now.
    pub(crate) live: Value,
    /// What was done, for the log.
    pub(crate) done: &'static str,
}

/// A step that failed, and what was being done.
type Step<T> = Result<T, (&'static str, kube::Error)>;

/// Applies one manifest, unless this task did so already.
///
/// # Errors
/// The cluster refused it, or does not answer.
pub(crate) async fn apply(
    cluster: &Cluster,
    place: &Place,
    manifest: &mut Manifest,
    key: &EffectKey,
    (secrets, clock): (&Secrets, &dyn Clock),
) -> Result<Applied, ApplyFailure> {
    // Of what the document says: nothing that is secret is hashed.
    let hash = sign(manifest, key);
    let manifest = &revealed(secrets, manifest).await.map_err(|error| {
        never("SecretUnavailable", format!("`{}`: {error}", manifest.full_name()))
    })?;
    let mut waited = Duration::ZERO;
    loop {
        let tried = match manifest.name() {
            "" => create(place, object(manifest)?, key).await,
            _ => patch(place, manifest, key, &hash).await,
        };
        match tried {
            Ok(applied) => return Ok(applied),
            Err((_, error)) if may_pass(&error) && waited < PASSING_TIMEOUT => {
                clock.sleep(PASSING_PAUSE).await;
                waited += PASSING_PAUSE;
            }
            Err((doing, error)) => return Err(explain(&cluster.name, manifest, doing, &error)),
        }
    }
}

fn object(manifest: &Manifest) -> Result<DynamicObject, ApplyFailure> {
    serde_json::from_value(manifest.value.clone()).map_err(|error| {
        never("InvalidManifest", format!("`{}`: {error}; mend the manifest", manifest.full_name()))
    })
}

async fn patch(place: &Place, manifest: &Manifest, key: &EffectKey, hash: &str) -> Step<Applied> {
    let name = manifest.name();
    let live = place.api.get_opt(name).await.map_err(|error| ("reading", error))?;
    let existed = live.is_some();
    if let Some(live) = live {
        let live = value(live);
        if carries(&live, key, hash) {
            return Ok(Applied { live, done: "was applied by this task already" });
        }
        take_ownership(place, name, &live).await?;
    }
    let force =
        manifest.annotation("strategy.spinnaker.io/server-side-apply") == Some("force-conflicts");
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.into()), force, ..Default::default() };
    let patched = place.api.patch(name, &params, &Patch::Apply(&manifest.value)).await;
    let patched = patched.map_err(|error| ("applying", error))?;
    Ok(Applied { live: value(patched), done: if existed { "applied" } else { "created" } })
}

fn value(object: DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn carries(live: &Value, key: &EffectKey, hash: &str) -> bool {
    let annotation = |name: &str| live.get("metadata")?.get("annotations")?.get(name)?.as_str();
    annotation(EFFECT_KEY) == Some(key.as_str()) && annotation(CONTENT_HASH) == Some(hash)
}

/// An object whose name the server makes is looked for by its effect first.
async fn create(place: &Place, object: DynamicObject, key: &EffectKey) -> Step<Applied> {
    let list = ListParams::default().labels(&format!("{EFFECT_LABEL}={}", effect_label(key)));
    let found = place.api.list(&list).await.map_err(|error| ("listing", error))?;
    if let Some(live) = found.items.into_iter().next() {
        return Ok(Applied { live: value(live), done: "was created by this task already" });
    }
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
    let made = place.api.create(&params, &object).await.map_err(|error| ("creating", error))?;
    Ok(Applied { live: value(made), done: "created" })
}

async fn take_ownership(place: &Place, name: &str, live: &Value) -> Step<()> {
    let Some(patch) = migration(live) else { return Ok(()) };
    let params = PatchParams::default();
    let done = place.api.patch(name, &params, &Patch::Merge(&patch)).await;
    done.map(|_| ()).map_err(|error| ("taking over from kubectl", error))
}
