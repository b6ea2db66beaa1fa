//! A stage's context, and what a bake needs to run in a test.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bake::{BakeManifest, Config};
use base64::Engine as _;
use serde_json::Value;
use shared_adapters::SystemClock;
use shared_adapters::memory::MemoryBlobs;
use shared_model::{AttemptId, Epoch, ExecutionId, StageRef, TaskAnswer, TaskError};
use shared_plugin::{EndSignal, StageLog, StageType, TaskContext};
use shared_ports::messages::TaskInput;
use shared_runtime::Tools;
use shared_runtime::tool::GuardCommand;
use tempfile::TempDir;

/// A data folder, and a log that is kept.
pub(crate) struct Scene {
    pub(crate) data: TempDir,
    pub(crate) log: Arc<Lines>,
    pub(crate) end: EndSignal,
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
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        Self { data, log: Arc::default(), end: EndSignal::default() }
    }

    /// Tools from `path`, charts from this crate's `tests/charts`.
    pub(crate) fn config(&self, path: &str) -> Config {
        let guard = GuardCommand { program: guard(), args: vec!["guard".into()] };
        let tools = Tools::new(guard, &self.data.path().join("tools"), path.into()).unwrap();
        Config::new(tools, charts())
    }

    /// Runs the stage's task; the same stage each time, so the same effect.
    pub(crate) async fn bake(&self, config: &Config, context: &Value) -> TaskAnswer {
        let stage_type = BakeManifest::new(config.clone());
        let task = stage_type.describe().tasks[0].name.clone();
        stage_type.run(&task, &self.context(context)).await
    }

    pub(crate) fn context(&self, context: &Value) -> TaskContext {
        let attempt = AttemptId {
            execution: ExecutionId::new("execution"),
            stage: StageRef::new("1"),
            run: 1,
            task: 0,
            number: 1,
        };
        let input =
            TaskInput { context: context.as_object().unwrap().clone(), ..TaskInput::default() };
        TaskContext {
            attempt,
            epoch: Epoch(1),
            input: Arc::new(input),
            log: Arc::clone(&self.log) as Arc<dyn StageLog>,
            end: self.end.clone(),
            clock: Arc::new(SystemClock::default()),
            blobs: Arc::new(MemoryBlobs::default()),
        }
    }
}

pub(crate) fn charts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts")
}

/// What was baked.
pub(crate) fn manifest(answer: &TaskAnswer) -> String {
    let TaskAnswer::Succeeded { result } = answer else { panic!("it failed: {answer:?}") };
    let [artifact] = &result.artifacts[..] else { panic!("not one artifact: {result:?}") };
    assert_eq!(artifact.kind(), "embedded/base64");
    let bytes = base64::engine::general_purpose::STANDARD.decode(artifact.reference()).unwrap();
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn error(answer: TaskAnswer) -> TaskError {
    let TaskAnswer::Failed { error, .. } = answer else { panic!("it did not fail: {answer:?}") };
    error
}

/// The example `bake-guard`, which `cargo test` builds beside the tests.
pub(crate) fn guard() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let guard = test.ancestors().nth(2).unwrap().join("examples/bake-guard");
    assert!(guard.is_file(), "{} is not built: run all of `cargo test`", guard.display());
    guard
}
