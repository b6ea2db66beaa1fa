//! A guard for the tests' tools, and a worker that can be killed: what `capstan` is, in small.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bake::{Bake, PackerConfig};
use serde_json::Value;
use shared_adapters::SystemClock;
use shared_adapters::memory::MemoryBlobs;
use shared_model::{AttemptId, Epoch, ExecutionId, StageRef, TaskAnswer};
use shared_plugin::{EndSignal, StageLog, StageType, TaskContext};
use shared_ports::messages::TaskInput;
use shared_runtime::Tools;
use shared_runtime::tool::GuardCommand;

/// `guard`, or `bake DATA RECIPES DOCKER_HOST EPOCH CONTEXT`: runs a `bake` stage, says its log
/// and then its answer on stderr.
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("guard") => shared_runtime::guard::main(std::env::args_os().skip(2)),
        Some("bake") => bake(&args[1..]),
        _ => ExitCode::from(64),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn bake(args: &[String]) -> ExitCode {
    let [data, recipes, docker, epoch, context] = args else { return ExitCode::from(64) };
    let stage_type = Bake::new(config(Path::new(data), recipes.into(), docker.clone()));
    let context = serde_json::from_str(context).unwrap_or(Value::Null);
    let cx = task(&context, epoch.parse().unwrap_or_default());
    let answer = stage_type.run("createBake", &cx).await;
    eprintln!("{}", serde_json::to_string(&answer).unwrap_or_default());
    ExitCode::from(u8::from(!matches!(answer, TaskAnswer::Succeeded { .. })))
}

fn config(data: &Path, recipes: PathBuf, docker: String) -> PackerConfig {
    let guard = GuardCommand::this_program("guard").unwrap_or_else(|error| panic!("{error}"));
    let tools = Tools::new(guard, &data.join("tools"), "/usr/bin:/bin".into());
    let tools = tools.unwrap_or_else(|error| panic!("{error}"));
    let mut config = PackerConfig::new(tools, recipes.clone(), recipes);
    config.tools.limits.finish_grace = Duration::from_millis(500);
    config.env = vec![("DOCKER_HOST".into(), docker)];
    config
}

fn task(context: &Value, epoch: u64) -> TaskContext {
    let attempt = AttemptId {
        execution: ExecutionId::new("execution"),
        stage: StageRef::new("1"),
        run: 1,
        task: 0,
        number: 1,
    };
    let context = context.as_object().cloned().unwrap_or_default();
    TaskContext {
        attempt,
        epoch: Epoch(epoch),
        input: Arc::new(TaskInput { context, ..TaskInput::default() }),
        log: Arc::new(Printed),
        end: EndSignal::default(),
        clock: Arc::new(SystemClock::default()),
        blobs: Arc::new(MemoryBlobs::default()),
    }
}

struct Printed;

#[async_trait]
impl StageLog for Printed {
    async fn line(&self, text: &str) {
        eprintln!("{text}");
    }
    async fn flush(&self) {}
}
