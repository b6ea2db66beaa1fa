//! Where objects live: their kinds looked up, their namespaces checked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, Scope};
use serde_json::Value;
use shared_ports::Clock;

use crate::account::Cluster;
use crate::manifest::Manifest;
use crate::refusal::{ApplyFailure, explain, never};

/// How long a kind may take to be served once its definition was applied.
const DEFINITION_TIMEOUT: Duration = Duration::from_secs(15);
/// How often it is looked for meanwhile.
const DEFINITION_PAUSE: Duration = Duration::from_millis(200);
/// Failures that one check names.
const FAILURES_MAX: usize = 20;

/// Where objects of a kind live.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) api: Api<DynamicObject>,
    /// Empty for objects of the whole cluster.
    pub(crate) namespace: String,
}

/// The places of one deploy's objects; each kind is looked up once.
pub(crate) struct Places<'a> {
    cluster: &'a Cluster,
    namespace_override: &'a str,
    /// By `apiVersion` and `kind`.
    kinds: BTreeMap<(String, String), (ApiResource, ApiCapabilities)>,
    /// Group and kind of what this deploy itself defines.
    defined: BTreeSet<(String, String)>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        namespace_override: &'a str,
        manifests: &[Manifest],
    ) -> Self {
        let defined = manifests.iter().filter_map(definition).collect();
        Self { cluster, namespace_override, kinds: BTreeMap::new(), defined }
    }

    /// Looks everything up before anything is applied. What this deploy itself defines may be missing yet.
    ///
    /// # Errors
    /// Every manifest that has no place, each with its reason.
    pub(crate) async fn check(&mut self, manifests: &[Manifest]) -> Result<(), ApplyFailure> {
        let mut failed: Option<ApplyFailure> = None;
        for manifest in manifests {
            let Err(failure) = self.of(&mut manifest.clone()).await else { continue };
            if self.is_defined(manifest) && failure.error.kind == KIND_UNKNOWN {
                continue;
            }
            match &mut failed {
                // What stops one stops all: the cluster cannot be asked.
                _ if failure.retry == shared_model::Retry::Later => return Err(failure),
                Some(first) => first.error.messages.extend(failure.error.messages),
                None => failed = Some(failure),
            }
        }
        let Some(mut failure) = failed else { return Ok(()) };
        failure.error.messages.truncate(FAILURES_MAX);
        Err(failure)
    }

    /// Finds where a manifest's object lives; its namespace is filled in.
    ///
    /// # Errors
    /// The cluster does not know its kind, its namespace is not allowed, or nobody answers.
    pub(crate) async fn of(&mut self, manifest: &mut Manifest) -> Result<Place, ApplyFailure> {
        let (resource, capabilities) = self.kind(manifest).await?;
        let client = self.cluster.client.clone();
        if capabilities.scope == Scope::Cluster {
            return Ok(Place { api: Api::all_with(client, &resource), namespace: String::new() });
        }
        let namespace = self.namespace(manifest)?;
        manifest.map_mut(&["metadata"]).insert("namespace".into(), namespace.clone().into());
        Ok(Place { api: Api::namespaced_with(client, &namespace, &resource), namespace })
    }

    /// The same, waiting for a kind whose definition this deploy has applied just now.
    ///
    /// # Errors
    /// As [`Places::of`].
    pub(crate) async fn of_served(
        &mut self,
        manifest: &mut Manifest,
        clock: &dyn Clock,
    ) -> Result<Place, ApplyFailure> {
        let mut waited = Duration::ZERO;
        loop {
            match self.of(manifest).await {
                Err(failure)
                    if failure.error.kind == KIND_UNKNOWN
                        && self.is_defined(manifest)
                        && waited < DEFINITION_TIMEOUT =>
                {
                    clock.sleep(DEFINITION_PAUSE).await;
                    waited += DEFINITION_PAUSE;
                }
                found => return found,
            }
        }
    }

    fn is_defined(&self, manifest: &Manifest) -> bool {
        let group = manifest.api_version().rsplit_once('/').map_or("", |(group, _)| group);
        self.defined.contains(&(group.to_owned(), manifest.kind().to_owned()))
    }

    fn namespace(&self, manifest: &Manifest) -> Result<String, ApplyFailure> {
        let named =
            [self.namespace_override, manifest.namespace(), &self.cluster.default_namespace];
        let namespace = named.into_iter().find(|one| !one.is_empty()).unwrap_or("default");
        if self.cluster.account.allows(namespace) {
            return Ok(namespace.to_owned());
        }
        let why = format!(
            "`{}` is for the namespace `{namespace}`, which the account `{}` may not deploy to; use another \
             namespace, or another account",
            manifest.full_name(),
            self.cluster.name
        );
        Err(never("NamespaceNotAllowed", why))
    }

    async fn kind(
        &mut self,
        manifest: &Manifest,
    ) -> Result<(ApiResource, ApiCapabilities), ApplyFailure> {
        let key = (manifest.api_version().to_owned(), manifest.kind().to_owned());
        if let Some(found) = self.kinds.get(&key) {
            return Ok(found.clone());
        }
        let (group, version) = key.0.rsplit_once('/').unwrap_or(("", &key.0));
        let kind = GroupVersionKind::gvk(group, version, &key.1);
        let found = kube::discovery::pinned_kind(&self.cluster.client, &kind).await;
        let found = found.map_err(|error| self.unknown(manifest, &error))?;
        self.kinds.insert(key, found.clone());
        Ok(found)
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of the client's own errors only those that mean `no such kind` are told apart"
    )]
    fn unknown(&self, manifest: &Manifest, error: &kube::Error) -> ApplyFailure {
        let why = match error {
            kube::Error::Discovery(_) => "it is not among that apiVersion's kinds",
            kube::Error::Api(status) if status.code == 404 => "that apiVersion is not served",
            other => return explain(&self.cluster.name, manifest, "looking up the kind of", other),
        };
        never(
            KIND_UNKNOWN,
            format!(
                "the cluster `{}` knows no `{}` in `{}` (for `{}`): {why}; mend apiVersion and kind, or \
                 install its CRD first",
                self.cluster.name,
                manifest.kind(),
                manifest.api_version(),
                manifest.full_name()
            ),
        )
    }
}

const KIND_UNKNOWN: &str = "KindUnknown";

/// Group and kind that a manifest defines.
fn definition(manifest: &Manifest) -> Option<(String, String)> {
    if manifest.kind() != "CustomResourceDefinition" {
        return None;
    }
    let text = |pointer: &str| manifest.value.pointer(pointer).and_then(Value::as_str);
    Some((text("/spec/group")?.to_owned(), text("/spec/names/kind")?.to_owned()))
}
