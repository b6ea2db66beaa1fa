//! A namespace, a stage type and a log; runs a stage's tasks as a worker does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deploy_kubernetes::{Account, Accounts, DeployManifest};
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde_json::{Map, Value, json};
use shared_adapters::SystemClock;
use shared_adapters::memory::MemoryBlobs;
use shared_model::{AttemptId, Epoch, ExecutionId, Retry, StageRef, TaskAnswer, TaskError};
use shared_plugin::{EndSignal, StageLog, StageType, TaskContext};
use shared_ports::Clock;
use shared_ports::messages::TaskInput;
use shared_testkit::audit::{self, Write};
use shared_testkit::env;

/// The account that may do everything.
pub(crate) const ACCOUNT: &str = "capstan-test";
/// No stage of these tests takes longer.
const STAGE_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    pub(crate) namespace: String,
    pub(crate) log: Arc<Lines>,
    pub(crate) end: EndSignal,
    pub(crate) clock: Arc<SystemClock>,
    client: Client,
    stage_type: DeployManifest,
}

#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<String>>);

#[async_trait]
impl StageLog for Lines {
    async fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
    async fn flush(&self) {}
}

impl Lines {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

/// How a stage ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) answer: TaskAnswer,
    /// The stage's context with what its tasks added.
    pub(crate) context: Map<String, Value>,
    /// The task that ended it.
    pub(crate) task: String,
}

impl Ended {
    /// The context of a stage that must have succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Map<String, Value> {
        let Self { answer, context, task } = self;
        assert!(matches!(answer, TaskAnswer::Succeeded { .. }), "`{task}` did not: {answer:#?}");
        context
    }

    /// The error of a stage that must have failed for good: the engine makes it TERMINAL.
    #[track_caller]
    pub(crate) fn terminal(self) -> TaskError {
        let TaskAnswer::Failed { error, retry: Retry::Never, .. } = self.answer else {
            panic!("`{}` did not end for good: {:#?}", self.task, self.answer);
        };
        error
    }
}

/// Fails unless a text has every part.
#[track_caller]
pub(crate) fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

impl Scene {
    /// A namespace that exists.
    pub(crate) async fn new(name: &str) -> Self {
        let scene = Self::without_namespace(name).await;
        scene
            .create(
                "v1",
                json!({"kind": "Namespace", "metadata": {"name": scene.namespace}}),
                "test",
            )
            .await;
        scene
    }

    /// A namespace that does not exist yet.
    pub(crate) async fn without_namespace(name: &str) -> Self {
        Self::with_accounts(name, &env::kubeconfig(), |_| BTreeMap::new()).await
    }

    /// Further accounts, which may depend on the namespace.
    pub(crate) async fn with_accounts(
        name: &str,
        kubeconfig: &Path,
        accounts: impl FnOnce(&str) -> BTreeMap<String, Account>,
    ) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let clock = Arc::new(SystemClock::default());
        let id = clock.new_id();
        let namespace = format!("deploy-{name}-{}", &id[id.len() - 8..]).to_lowercase();
        let config = Kubeconfig::read_from(env::kubeconfig()).unwrap();
        let options = KubeConfigOptions { context: Some(ACCOUNT.into()), ..Default::default() };
        let config = Config::from_custom_kubeconfig(config, &options).await.unwrap();
        let accounts = Accounts::of_kubeconfig(kubeconfig, accounts(&namespace)).unwrap();
        Self {
            namespace,
            log: Arc::default(),
            end: EndSignal::default(),
            clock,
            client: Client::try_from(config).unwrap(),
            stage_type: DeployManifest::new(accounts),
        }
    }

    /// The same with another stage type.
    pub(crate) fn with(self, stage_type: DeployManifest) -> Self {
        Self { stage_type, ..self }
    }

    /// Deploys manifests, and waits until they are stable.
    pub(crate) async fn deploy(&self, execution: &str, manifests: &[Value]) -> Ended {
        self.stage(execution, json!({ "manifests": manifests })).await
    }

    /// Runs a stage's tasks one after the other until one does not succeed.
    pub(crate) async fn stage(&self, execution: &str, context: Value) -> Ended {
        let mut context = context.as_object().cloned().unwrap();
        context.entry("account").or_insert_with(|| ACCOUNT.into());
        context.entry("namespaceOverride").or_insert_with(|| self.namespace.clone().into());
        context.entry("moniker").or_insert_with(|| json!({"app": "shop"}));
        let began = self.clock.elapsed();
        let mut last = None;
        for (index, task) in (0..).zip(self.stage_type.describe().tasks) {
            let cx = self.task_context(execution, index, &context);
            let run = tokio::time::timeout(STAGE_TIMEOUT, self.stage_type.run(&task.name, &cx));
            let answer = run
                .await
                .unwrap_or_else(|_| panic!("`{}` does not end: {}", task.name, self.log.text()));
            let TaskAnswer::Succeeded { result } = &answer else {
                last = Some((answer, task.name));
                break;
            };
            context.extend(result.context.clone());
            last = Some((answer, task.name));
        }
        let (answer, task) = last.unwrap();
        let seconds = (self.clock.elapsed() - began).as_secs_f64();
        eprintln!("{} {execution}: ended in {task} after {seconds:.2} s", self.namespace);
        Ended { answer, context, task }
    }

    fn task_context(
        &self,
        execution: &str,
        task: u16,
        context: &Map<String, Value>,
    ) -> TaskContext {
        let attempt = AttemptId {
            execution: ExecutionId::new(format!("{}-{execution}", self.namespace)),
            stage: StageRef::new("1"),
            run: 1,
            task,
            number: 1,
        };
        let input = TaskInput {
            application: "of-the-pipeline".into(),
            context: context.clone(),
            ..TaskInput::default()
        };
        TaskContext {
            attempt,
            epoch: Epoch(1),
            input: Arc::new(input),
            log: Arc::clone(&self.log) as Arc<dyn StageLog>,
            end: self.end.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            blobs: Arc::new(MemoryBlobs::default()),
        }
    }

    fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match kind {
            "Namespace" | "CustomResourceDefinition" | "ClusterRole" => {
                Api::all_with(self.client.clone(), &resource)
            }
            _ => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
        }
    }

    /// An object as the server has it.
    pub(crate) async fn get(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let found = self.api(api_version, kind).get_opt(name).await.unwrap();
        found.map(|object| serde_json::to_value(object).unwrap())
    }

    /// An object that must be there.
    pub(crate) async fn live(&self, api_version: &str, kind: &str, name: &str) -> Value {
        let found = self.get(api_version, kind, name).await;
        found.unwrap_or_else(|| panic!("no {kind} {name} in {}", self.namespace))
    }

    /// The names of a kind's objects.
    pub(crate) async fn names(&self, api_version: &str, kind: &str) -> Vec<String> {
        let list = self.api(api_version, kind).list(&Default::default()).await.unwrap();
        list.items.into_iter().filter_map(|object| object.metadata.name).collect()
    }

    /// Creates an object as somebody else.
    pub(crate) async fn create(&self, api_version: &str, object: Value, manager: &str) {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let mut object = object;
        object["apiVersion"] = api_version.into();
        let params = PostParams { field_manager: Some(manager.into()), ..Default::default() };
        let object = serde_json::from_value(object).unwrap();
        self.api(api_version, &kind).create(&params, &object).await.unwrap();
    }

    /// Changes an object as somebody else.
    pub(crate) async fn merge(
        &self,
        api_version: &str,
        kind: &str,
        name: &str,
        patch: Value,
        manager: &str,
    ) {
        let params =
            kube::api::PatchParams { field_manager: Some(manager.into()), ..Default::default() };
        self.api(api_version, kind)
            .patch(name, &params, &kube::api::Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn delete(&self, api_version: &str, kind: &str, name: &str) {
        self.api(api_version, kind).delete(name, &DeleteParams::background()).await.unwrap();
    }

    /// What we wrote into this namespace with success, dry runs left out.
    pub(crate) fn writes(&self) -> Vec<Write> {
        let all = audit::writes(&env::audit_log()).unwrap();
        let ours = |write: &Write| {
            let here = write.namespace == self.namespace || write.name == self.namespace;
            here && write.request_uri.contains("fieldManager=capstan")
        };
        all.into_iter()
            .filter(|write| ours(write) && !write.is_dry_run() && write.status < 300)
            .collect()
    }

    /// Lets the cluster forget it all; nobody waits for that.
    pub(crate) async fn end(self) {
        self.delete("v1", "Namespace", &self.namespace).await;
    }
}
