//! The stage type `deployManifest`.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared_model::{
    Artifact, Capability, Effects, Object, Retry, TaskAnswer, TaskError, TaskResult,
};
use shared_plugin::context::embedded_bytes;
use shared_plugin::{
    Ending, Secrets, StageDescriptor, StageType, TaskContext, TaskDescriptor, When,
};

use crate::account::{Accounts, Cluster};
use crate::apply::apply;
use crate::bind::Target;
use crate::manifest::{self, Manifest};
use crate::place::Places;
use crate::progress::Progress;
use crate::refusal::ApplyFailure;
use crate::wait::{Waited, Waiter};
use crate::{bind, labels, order, stability, unsupported};

const RESOLVE: &str = "resolveDeploySourceManifest";
const DEPLOY: &str = "deployManifest";
const WAIT: &str = "waitForManifestToStabilize";

/// Applies manifests and waits until they are stable.
#[derive(Clone)]
pub struct DeployManifest {
    accounts: Accounts,
    secrets: Secrets,
}

impl DeployManifest {
    /// The stage type, with the clusters that it may deploy to.
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts, secrets: Secrets::default() }
    }

    /// The same, with what references to secrets mean.
    #[must_use]
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }
}

fn task(name: &str, effects: Effects) -> TaskDescriptor {
    TaskDescriptor {
        name: name.into(),
        capability: Capability::new("deploy.kubernetes"),
        effects,
        when: When::Always,
    }
}

#[async_trait]
impl StageType for DeployManifest {
    fn describe(&self) -> StageDescriptor {
        StageDescriptor {
            name: "deployManifest".into(),
            aliases: Vec::new(),
            summary: "Applies Kubernetes manifests and waits until they are stable.".into(),
            schema: schema(),
            tasks: vec![
                task(RESOLVE, Effects::None),
                task(DEPLOY, Effects::Keyed),
                task(WAIT, Effects::None),
            ],
            timeout: SignedDuration::from_mins(30),
        }
    }

    fn accounts(&self) -> Vec<String> {
        self.accounts.names().map(str::to_owned).collect()
    }

    async fn run(&self, task: &str, cx: &TaskContext) -> TaskAnswer {
        let done = match task {
            RESOLVE => resolve(cx).map(|()| TaskAnswer::done()),
            DEPLOY => self.deploy(cx).await,
            WAIT => self.wait(cx).await,
            other => Err(failure(TaskError::new("NoSuchTask", format!("no task `{other}`")))),
        };
        done.unwrap_or_else(|failure| failure.answer())
    }
}

/// Why a task failed, and what it had done by then.
/// Boxed where it is passed on: it carries all that was done.
struct Failure {
    error: TaskError,
    retry: Retry,
    result: TaskResult,
}

impl Failure {
    fn answer(self) -> TaskAnswer {
        TaskAnswer::Failed { error: self.error, retry: self.retry, result: self.result }
    }
}

fn failure(error: TaskError) -> Box<Failure> {
    Box::new(Failure { error, retry: Retry::Never, result: TaskResult::default() })
}

/// Everything that can be known to be wrong before a cluster is asked.
fn resolve(cx: &TaskContext) -> Result<(), Box<Failure>> {
    prepare(cx).map(|_| ())
}

/// Manifests, in the order in which they are applied, and what was bound into them.
struct Prepared {
    manifests: Vec<Manifest>,
    bound: Vec<Artifact>,
    warnings: Vec<String>,
}

fn prepare(cx: &TaskContext) -> Result<Prepared, Box<Failure>> {
    unsupported::check_fields(cx.context()).map_err(failure)?;
    let mut manifests = manifests(cx).map_err(failure)?;
    for manifest in &manifests {
        unsupported::check_manifest(manifest).map_err(failure)?;
    }
    let required = required(cx).map_err(failure)?;
    let bound = bind_images(cx, &mut manifests, &required).map_err(failure)?;
    order::sort(&mut manifests);
    let warnings = unsupported::warnings(&manifests);
    Ok(Prepared { manifests, bound, warnings })
}

fn manifests(cx: &TaskContext) -> Result<Vec<Manifest>, TaskError> {
    let invalid =
        |error: manifest::ManifestError| TaskError::new("InvalidManifest", error.to_string());
    if cx.text("source") == "artifact" || !cx.text("manifestArtifactId").is_empty() {
        let artifact = cx.artifact("manifestArtifact")?;
        let bytes = embedded_bytes(&artifact)?;
        let text = String::from_utf8(bytes.to_vec())
            .map_err(|_| TaskError::new("InvalidManifest", "the artifact is not UTF-8 text"))?;
        return manifest::of_text(&text).map_err(invalid);
    }
    let list = cx.context().get("manifests").or_else(|| cx.context().get("manifest"));
    let list = list.ok_or_else(|| {
        TaskError::new("InvalidStage", "neither `manifests` nor `manifestArtifactId` is set")
    })?;
    manifest::of_context(list).map_err(invalid)
}

/// Artifacts that must be bound somewhere.
fn required(cx: &TaskContext) -> Result<Vec<Artifact>, TaskError> {
    let list =
        |key: &str| cx.context().get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for id in list("requiredArtifactIds").iter().filter_map(Value::as_str) {
        found.push(cx.bound("requiredArtifactIds", id)?);
    }
    for (index, one) in list("requiredArtifacts").iter().enumerate() {
        let id = one.get("expectedArtifactId").and_then(Value::as_str).unwrap_or_default();
        let artifact = one.get("artifact").and_then(Value::as_object).cloned().map(Artifact);
        match artifact {
            Some(artifact) => found.push(artifact),
            None => found.push(cx.bound(&format!("requiredArtifacts[{index}]"), id)?),
        }
    }
    Ok(found)
}

fn bind_images(
    cx: &TaskContext,
    manifests: &mut [Manifest],
    required: &[Artifact],
) -> Result<Vec<Artifact>, TaskError> {
    let enabled =
        cx.context().get("enableArtifactBinding").is_none_or(|value| is_true(Some(value)));
    let mut candidates = required.to_vec();
    if enabled {
        candidates.extend(cx.input.artifacts.iter().cloned());
    }
    let target = Target {
        account: cx.text("account"),
        namespace: cx.text("namespaceOverride"),
        names_only: false,
    };
    let bound = bind::bind(manifests, &candidates, target);
    match bind::unbound(required, &bound).first() {
        None => Ok(bound),
        Some(artifact) => Err(TaskError::new(
            "ArtifactNotBound",
            format!(
                "the required artifact `{}` ({}) is used by no manifest; use its image in one, or do not \
                 require it",
                artifact.name(),
                artifact.kind()
            ),
        )),
    }
}

fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

impl DeployManifest {
    async fn cluster(&self, cx: &TaskContext) -> Result<Cluster, Box<Failure>> {
        let named = [cx.text("account"), cx.text("credentials")];
        let name = named.into_iter().find(|name| !name.is_empty()).ok_or_else(|| {
            failure(TaskError::new("InvalidStage", "`account` is missing: which cluster is meant?"))
        })?;
        let found = self.accounts.cluster(name).await;
        found.map_err(|error| failure(TaskError::new("AccountUnavailable", error.to_string())))
    }

    async fn deploy(&self, cx: &TaskContext) -> Result<TaskAnswer, Box<Failure>> {
        let Prepared { manifests, bound, warnings } = prepare(cx)?;
        let cluster = self.cluster(cx).await?;
        for warning in &warnings {
            cx.log.line(&format!("warning: {warning}")).await;
        }
        let mut progress = Progress::new(&cluster.name, &manifests);
        let applied = tokio::select! {
            biased;
            why = cx.told_to_end() => Err(why),
            applied = apply_all(cx, &self.secrets, &cluster, manifests, &mut progress) => Ok(applied),
        };
        match applied {
            // Whoever takes it over finds what was applied by its keys.
            Err(Ending::HandOver) => Ok(cx.handed_over()),
            Err(Ending::Cancel) => {
                Ok(TaskAnswer::Canceled { result: progress.result(&bound, &warnings) })
            }
            Ok(Ok(())) => Ok(TaskAnswer::Succeeded { result: progress.result(&bound, &warnings) }),
            Ok(Err(ApplyFailure { error, retry })) => {
                let error = progress.tell(error);
                let result = progress.result(&bound, &warnings);
                Err(Box::new(Failure { error, retry, result }))
            }
        }
    }

    async fn wait(&self, cx: &TaskContext) -> Result<TaskAnswer, Box<Failure>> {
        let cluster = self.cluster(cx).await?;
        let manifests = cx.context().get("outputs.manifests").and_then(Value::as_array).cloned();
        let mut places = Places::new(&cluster, "", &[]);
        let mut stable = Vec::new();
        for value in manifests.unwrap_or_default() {
            let mut manifest = Manifest { value };
            if !stability::has_rules(manifest.kind()) {
                continue;
            }
            let place = tokio::select! {
                biased;
                why = cx.told_to_end() => return Ok(ended(cx, why, Vec::new())),
                place = places.of(&mut manifest) => place,
            };
            let place = place.map_err(|ApplyFailure { error, retry }| Failure {
                error,
                retry,
                result: TaskResult::default(),
            })?;
            let mut waiter = Waiter {
                cluster: &cluster,
                place: &place,
                what: manifest.full_name(),
                kind: manifest.kind().to_owned(),
                name: manifest.name().to_owned(),
                cx,
                told: BTreeSet::new(),
            };
            match waiter.wait().await {
                Waited::Stable => stable.push(named(&manifest, &place.namespace)),
                Waited::Failed(reasons) => {
                    return Err(not_stable(&manifest, &place.namespace, reasons));
                }
                Waited::Cancelled(reasons) => return Ok(cancelled(reasons)),
                Waited::HandedOver => return Ok(cx.handed_over()),
            }
        }
        let context = object(json!({ "stableManifests": stable }));
        Ok(TaskAnswer::Succeeded { result: TaskResult { context, ..TaskResult::default() } })
    }
}

/// Applies one manifest after the other; what can be known to be wrong is known before the first.
async fn apply_all(
    cx: &TaskContext,
    secrets: &Secrets,
    cluster: &Cluster,
    manifests: Vec<Manifest>,
    progress: &mut Progress<'_>,
) -> Result<(), ApplyFailure> {
    let mut places = Places::new(cluster, cx.text("namespaceOverride"), &manifests);
    places.check(&manifests).await?;
    let app = cx.context().get("moniker").and_then(|moniker| moniker.get("app")?.as_str());
    let app = app.unwrap_or(&cx.input.application);
    let skip = is_true(cx.context().get("skipSpecTemplateLabels"));
    for (ordinal, mut manifest) in (0_u32..).zip(manifests) {
        let place = places.of_served(&mut manifest, &*cx.clock).await?;
        // After its namespace is known: an annotation tells it.
        labels::write(&mut manifest, app, skip);
        let applied =
            apply(cluster, &place, &mut manifest, &cx.effect(ordinal), (secrets, &*cx.clock))
                .await?;
        let shown = if place.namespace.is_empty() { "the cluster" } else { &place.namespace };
        cx.log.line(&format!("{} {} in {shown}", manifest.full_name(), applied.done)).await;
        progress.add(&manifest, &place.namespace, &applied);
    }
    Ok(())
}

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap_or_default()
}

fn named(manifest: &Manifest, namespace: &str) -> Value {
    json!({ "manifestName": manifest.full_name(), "location": namespace })
}

fn not_stable(manifest: &Manifest, namespace: &str, reasons: Vec<String>) -> Box<Failure> {
    let context = object(json!({
        "failedManifests": [named(manifest, namespace)], "messages": reasons,
    }));
    let error = TaskError { kind: "ManifestNotStable".into(), messages: reasons };
    let result = TaskResult { context, ..TaskResult::default() };
    Box::new(Failure { error, retry: Retry::Never, result })
}

fn ended(cx: &TaskContext, why: Ending, reasons: Vec<String>) -> TaskAnswer {
    match why {
        Ending::Cancel => cancelled(reasons),
        Ending::HandOver => cx.handed_over(),
    }
}

/// What kept it is kept with the stage: the engine says that its time was up, this says why.
fn cancelled(reasons: Vec<String>) -> TaskAnswer {
    let details = json!({ "details": { "errors": reasons } });
    let context = object(json!({ "messages": reasons, "exception": details }));
    TaskAnswer::Canceled { result: TaskResult { context, ..TaskResult::default() } }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["account"],
        "properties": {
            "account": { "type": "string", "format": "account" },
            "credentials": { "type": "string", "format": "account" },
            "source": { "enum": ["text", "artifact"] },
            "manifests": { "type": "array" },
            "manifestArtifactId": { "type": "string" },
            "manifestArtifact": { "type": "object" },
            "namespaceOverride": { "type": "string" },
            "moniker": { "type": "object" },
            "requiredArtifactIds": { "type": "array", "items": { "type": "string" } },
            "requiredArtifacts": { "type": "array" },
            "enableArtifactBinding": { "type": "boolean" },
            "skipSpecTemplateLabels": { "type": "boolean" },
        },
    })
}
