//! A folder, the stage types on it, and a log; runs a stage's tasks as a worker does.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deploy_local::{DeployLocal, LocalConfig, OperateLocal, Operation};
use serde_json::{Map, Value, json};
use shared_adapters::SystemClock;
use shared_adapters::memory::MemoryBlobs;
use shared_model::{AttemptId, Epoch, ExecutionId, StageRef, TaskAnswer, TaskError};
use shared_plugin::{EndSignal, StageLog, StageType, TaskContext};
use shared_ports::messages::TaskInput;
use shared_runtime::tool::GuardCommand;

/// No task of these tests takes longer.
const TASK_TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<String>>);

#[async_trait]
impl StageLog for Lines {
    async fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
    async fn flush(&self) {}
}

pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) log: Arc<Lines>,
}

/// How a stage ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) answer: TaskAnswer,
    pub(crate) context: Map<String, Value>,
    pub(crate) outputs: Map<String, Value>,
}

impl Ended {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert!(matches!(self.answer, TaskAnswer::Succeeded { .. }), "{:#?}", self.answer);
        self
    }
    #[track_caller]
    pub(crate) fn failed(self) -> TaskError {
        let TaskAnswer::Failed { error, .. } = self.answer else { panic!("{:#?}", self.answer) };
        error
    }
    pub(crate) fn port(&self) -> u16 {
        u16::try_from(self.outputs["loadBalancers"][0]["port"].as_u64().unwrap()).unwrap()
    }
}

/// The programs of `programs.rs`: an example, so it lies beside the folder of the tests.
pub(crate) fn programs() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/local-programs")
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), log: Arc::default() }
    }

    /// Everything that was logged.
    pub(crate) fn said(&self) -> String {
        self.log.0.lock().unwrap().join("\n")
    }

    fn config(&self) -> LocalConfig {
        let balancer = GuardCommand { program: programs(), args: vec!["balancer".into()] };
        LocalConfig::new(self.folder.path(), balancer, std::env::var_os("PATH").unwrap()).unwrap()
    }

    pub(crate) fn stage_type(&self, name: &str) -> Box<dyn StageType> {
        let operate = |operation| OperateLocal::new(operation, self.config());
        let found = Operation::ALL.map(operate).into_iter().find(|it| it.describe().name == name);
        match found {
            Some(found) => Box::new(found),
            None => Box::new(DeployLocal::new(self.config())),
        }
    }

    pub(crate) fn cx(
        &self,
        execution: &str,
        task: u16,
        context: &Map<String, Value>,
        end: EndSignal,
    ) -> TaskContext {
        let attempt = AttemptId {
            execution: ExecutionId::new(format!("{}-{execution}", self.folder.path().display())),
            stage: StageRef::new("1"),
            run: 1,
            task,
            number: 1,
        };
        let input = TaskInput { context: context.clone(), ..TaskInput::default() };
        TaskContext {
            attempt,
            epoch: Epoch(1),
            input: Arc::new(input),
            log: Arc::clone(&self.log) as Arc<dyn StageLog>,
            end,
            clock: Arc::new(SystemClock::default()),
            blobs: Arc::new(MemoryBlobs::default()),
        }
    }

    /// Runs a stage's tasks one after the other until one does not succeed; each on new stage types,
    /// as after a restart.
    pub(crate) async fn stage(&self, execution: &str, name: &str, context: Value) -> Ended {
        let mut context = context.as_object().cloned().unwrap();
        context.entry("cloudProvider").or_insert_with(|| "local".into());
        let mut outputs = Map::new();
        let mut last = None;
        for (index, task) in (0..).zip(self.stage_type(name).describe().tasks) {
            let cx = self.cx(execution, index, &context, EndSignal::default());
            let stage_type = self.stage_type(name);
            let run = tokio::time::timeout(TASK_TIMEOUT, stage_type.run(&task.name, &cx));
            let answer = run.await.unwrap_or_else(|_| panic!("`{}` does not end", task.name));
            if let TaskAnswer::Succeeded { result } = &answer {
                context.extend(result.context.clone());
                outputs.extend(result.outputs.clone());
                last = Some(answer);
                continue;
            }
            last = Some(answer);
            break;
        }
        Ended { answer: last.unwrap(), context, outputs }
    }

    pub(crate) async fn deploy(&self, execution: &str, more: Value) -> Ended {
        self.stage(execution, "deploy", service(more)).await
    }

    /// The records of a cluster's server groups.
    pub(crate) fn groups(&self) -> Vec<Value> {
        let folder = self.folder.path().join("local/clusters/shop-prod");
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files = files.map(|entry| entry.path());
        let mut groups: Vec<Value> = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
            .collect();
        groups.sort_by_key(|group| group["age_order"].as_u64());
        groups
    }

    /// `name enabled instances` of those that are there.
    pub(crate) fn shown(&self) -> Vec<String> {
        let live = self.groups().into_iter().filter(|group| group["destroyed"].is_null());
        live.map(|group| {
            let count = group["instances"].as_array().unwrap().len();
            format!("{} {} {count}", group["name"].as_str().unwrap(), group["enabled"])
        })
        .collect()
    }
}

/// Processes that this folder's effects started, by their environment.
pub(crate) fn processes(folder: &Path) -> Vec<i32> {
    let mark = format!("CAPSTAN_EFFECT={}", folder.display());
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|one| one.starts_with(mark.as_bytes()))
    })
    .collect()
}

pub(crate) fn service(more: Value) -> Value {
    let mut context = json!({
        "application": "shop", "stack": "prod", "account": "local", "cloudProvider": "local",
        "command": [programs(), "sample"], "loadBalancers": ["web"],
        "capacity": {"min": 2, "max": 2, "desired": 2},
    });
    context.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    context
}

impl Drop for Scene {
    /// Ends what the tests left, each by its own number.
    fn drop(&mut self) {
        for pid in processes(self.folder.path()) {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}
