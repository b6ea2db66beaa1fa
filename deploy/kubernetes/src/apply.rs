//! Server-side apply, once per effect key (D5, D30).

use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, Scope};
use serde_json::Value;
use shared_model::{EffectKey, Retry, TaskError};

use crate::account::Cluster;
use crate::labels::{CONTENT_HASH, EFFECT_KEY, EFFECT_LABEL, effect_label, sign};
use crate::manifest::Manifest;
use crate::ownership::{FIELD_MANAGER, migration};

/// What applying one manifest came to.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// The object as the server has it now.
    pub(crate) live: Value,
    /// What was done, for the log.
    pub(crate) done: &'static str,
}

/// Why a manifest was not applied.
#[derive(Debug)]
pub(crate) struct ApplyFailure {
    pub(crate) error: TaskError,
    pub(crate) retry: Retry,
}

/// Where objects of a kind live.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) api: Api<DynamicObject>,
    pub(crate) namespace: String,
}

/// Finds where a manifest's object lives; its namespace is filled in.
pub(crate) async fn place(
    cluster: &Cluster,
    manifest: &mut Manifest,
    namespace_override: &str,
) -> Result<Place, ApplyFailure> {
    let what = manifest.full_name();
    let (resource, capabilities) = discover(cluster, manifest, &what).await?;
    if capabilities.scope == Scope::Cluster {
        let api = Api::all_with(cluster.client.clone(), &resource);
        return Ok(Place { api, namespace: String::new() });
    }
    let own = manifest.namespace().to_owned();
    let named = [namespace_override, &own, &cluster.default_namespace];
    let namespace = named.into_iter().find(|one| !one.is_empty()).unwrap_or("default").to_owned();
    if !cluster.account.allows(&namespace) {
        let why = format!(
            "`{what}` is for the namespace `{namespace}`, which the account `{}` may not deploy to",
            cluster.name
        );
        return Err(never("NamespaceNotAllowed", why));
    }
    manifest.map_mut(&["metadata"]).insert("namespace".into(), namespace.clone().into());
    let api = Api::namespaced_with(cluster.client.clone(), &namespace, &resource);
    Ok(Place { api, namespace })
}

async fn discover(
    cluster: &Cluster,
    manifest: &Manifest,
    what: &str,
) -> Result<(ApiResource, ApiCapabilities), ApplyFailure> {
    let (group, version) =
        manifest.api_version().rsplit_once('/').unwrap_or(("", manifest.api_version()));
    let kind = GroupVersionKind::gvk(group, version, manifest.kind());
    match kube::discovery::pinned_kind(&cluster.client, &kind).await {
        Ok(found) => Ok(found),
        Err(kube::Error::Discovery(error)) => Err(never(
            "KindUnknown",
            format!(
                "the cluster `{}` knows no `{}` in `{}` (for `{what}`): {error}; install its CRD first, \
                 or mend apiVersion and kind",
                cluster.name,
                manifest.kind(),
                manifest.api_version()
            ),
        )),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(never(
            "KindUnknown",
            format!(
                "the cluster `{}` does not serve `{}` (for `{what}`); mend apiVersion, or install its CRD \
                 first",
                cluster.name,
                manifest.api_version()
            ),
        )),
        Err(error) => Err(explain(cluster, what, "looking up its kind", &error)),
    }
}

/// Applies one manifest, unless this task did so already.
pub(crate) async fn apply(
    cluster: &Cluster,
    place: &Place,
    manifest: &mut Manifest,
    key: &EffectKey,
) -> Result<Applied, ApplyFailure> {
    let what = manifest.full_name();
    let hash = sign(manifest, key);
    if manifest.name().is_empty() {
        return create(cluster, place, manifest, key, &what).await;
    }
    let failed = |error: &kube::Error| explain(cluster, &what, "reading", error);
    let live = place.api.get_opt(manifest.name()).await.map_err(|error| failed(&error))?;
    if let Some(live) = &live {
        let live = serde_json::to_value(live).unwrap_or_default();
        if carries(&live, key, &hash) {
            return Ok(Applied { live, done: "was applied by this task already" });
        }
        take_ownership(cluster, place, manifest, &live, &what).await?;
    }
    let force =
        manifest.annotation("strategy.spinnaker.io/server-side-apply") == Some("force-conflicts");
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.into()), force, ..Default::default() };
    let patched = place.api.patch(manifest.name(), &params, &Patch::Apply(&manifest.value)).await;
    let patched = patched.map_err(|error| explain(cluster, &what, "applying", &error))?;
    let done = if live.is_some() { "applied" } else { "created" };
    Ok(Applied { live: serde_json::to_value(patched).unwrap_or_default(), done })
}

fn carries(live: &Value, key: &EffectKey, hash: &str) -> bool {
    let annotation = |name: &str| live.get("metadata")?.get("annotations")?.get(name)?.as_str();
    annotation(EFFECT_KEY) == Some(key.as_str()) && annotation(CONTENT_HASH) == Some(hash)
}

/// An object whose name the server makes is looked for by its effect first.
async fn create(
    cluster: &Cluster,
    place: &Place,
    manifest: &Manifest,
    key: &EffectKey,
    what: &str,
) -> Result<Applied, ApplyFailure> {
    let list = ListParams::default().labels(&format!("{EFFECT_LABEL}={}", effect_label(key)));
    let found = place.api.list(&list).await;
    let found = found.map_err(|error| explain(cluster, what, "listing", &error))?;
    if let Some(live) = found.items.first() {
        let live = serde_json::to_value(live).unwrap_or_default();
        return Ok(Applied { live, done: "was created by this task already" });
    }
    let object: DynamicObject = serde_json::from_value(manifest.value.clone())
        .map_err(|error| never("InvalidManifest", format!("`{what}`: {error}")))?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
    let made = place.api.create(&params, &object).await;
    let made = made.map_err(|error| explain(cluster, what, "creating", &error))?;
    Ok(Applied { live: serde_json::to_value(made).unwrap_or_default(), done: "created" })
}

async fn take_ownership(
    cluster: &Cluster,
    place: &Place,
    manifest: &Manifest,
    live: &Value,
    what: &str,
) -> Result<(), ApplyFailure> {
    let Some(patch) = migration(live) else { return Ok(()) };
    let params = PatchParams::default();
    let done = place.api.patch(manifest.name(), &params, &Patch::Merge(&patch)).await;
    done.map(|_| ()).map_err(|error| explain(cluster, what, "taking over from kubectl", &error))
}

fn never(kind: &str, why: String) -> ApplyFailure {
    ApplyFailure { error: TaskError::new(kind, why), retry: Retry::Never }
}

/// What a server's refusal means, and what to do.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the client's own errors only a server's answer is told apart; the rest is the way there"
)]
pub(crate) fn explain(
    cluster: &Cluster,
    what: &str,
    doing: &str,
    error: &kube::Error,
) -> ApplyFailure {
    let name = &cluster.name;
    match error {
        kube::Error::Api(status) => match status.code {
            401 => never(
                "Unauthorized",
                format!(
                    "the cluster `{name}` does not know us ({doing} `{what}`): {}; renew the credentials in the kubeconfig",
                    status.message
                ),
            ),
            403 => never(
                "Forbidden",
                format!(
                    "the cluster `{name}` forbids {doing} `{what}`: {}; give the account that right, or use another account",
                    status.message
                ),
            ),
            409 => conflict(what, &status.message),
            404 => never(
                "NotFound",
                format!("{doing} `{what}`: {}; does its namespace exist?", status.message),
            ),
            400..=499 if status.code != 429 => never(
                "InvalidManifest",
                format!(
                    "the cluster `{name}` refused {doing} `{what}`: {}; mend the manifest",
                    status.message
                ),
            ),
            _ => later(format!(
                "the cluster `{name}` cannot do it now ({doing} `{what}`): {}",
                status.message
            )),
        },
        other => later(format!(
            "the cluster `{name}` cannot be reached ({doing} `{what}`): {}; check its address in the \
             kubeconfig, the network, and whether the API server runs",
            chain(other)
        )),
    }
}

fn later(why: String) -> ApplyFailure {
    ApplyFailure { error: TaskError::new("ClusterUnavailable", why), retry: Retry::Later }
}

fn conflict(what: &str, message: &str) -> ApplyFailure {
    let mut failure =
        never("FieldConflict", format!("`{what}` has fields that somebody else owns: {message}"));
    failure.error = failure.error.and(
        "remove those fields from the manifest, or take them over with the annotation \
         strategy.spinnaker.io/server-side-apply: force-conflicts",
    );
    failure
}

/// An error with its causes; addresses stay, nothing else of the configuration is in it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
