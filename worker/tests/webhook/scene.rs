//! Runs a stage's tasks one after another, as the engine and a worker do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use shared_adapters::SystemClock;
use shared_adapters::memory::MemoryBlobs;
use shared_model::{AttemptId, Epoch, ExecutionId, StageRef, TaskAnswer};
use shared_plugin::{EndSignal, StageLog, StageType, TaskContext};
use shared_ports::messages::TaskInput;
use worker::stages::webhook::{AllowList, HttpLimits, Webhook, WebhookConfig};

/// No stage of these tests takes longer.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<String>>);

#[async_trait]
impl StageLog for Lines {
    async fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
    async fn flush(&self) {}
}

/// A stage on its way through its tasks.
pub(crate) struct Scene {
    pub(crate) stage: Webhook,
    pub(crate) context: Map<String, Value>,
    pub(crate) end: EndSignal,
    pub(crate) checkpoint: Option<Value>,
    log: Arc<Lines>,
}

/// How a stage ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `createWebhook:SUCCEEDED` and so on.
    pub(crate) tasks: Vec<String>,
    pub(crate) context: Value,
    pub(crate) answer: TaskAnswer,
    pub(crate) log: String,
    /// How often a task asked to be run again.
    pub(crate) again: usize,
}

impl Ended {
    /// What is at a pointer below `webhook`.
    pub(crate) fn webhook(&self, pointer: &str) -> Value {
        let at = self.context["webhook"].pointer(pointer);
        at.cloned().unwrap_or_default()
    }

    /// The kind of the failure, and its first line.
    pub(crate) fn failure(&self) -> (String, String) {
        match &self.answer {
            TaskAnswer::Failed { error, .. } => (error.kind.clone(), error.messages[0].clone()),
            other => panic!("did not fail: {other:?}\n{}", self.log),
        }
    }

    pub(crate) fn succeeded(&self) -> &Self {
        let done = matches!(self.answer, TaskAnswer::Succeeded { .. } | TaskAnswer::Skipped { .. });
        assert!(done, "{:?}\n{}", self.answer, self.log);
        self
    }
}

pub(crate) fn config(allow: &[&str]) -> WebhookConfig {
    WebhookConfig {
        allow: AllowList::new(allow.iter().map(|entry| entry.parse().unwrap())),
        limits: HttpLimits { request_timeout: Duration::from_secs(1), ..HttpLimits::default() },
        retry_interval: Duration::from_millis(10),
        retry_for: Duration::from_millis(600),
        poll_interval: Duration::from_millis(10),
        poll_interval_slow: Duration::from_millis(10),
        ..WebhookConfig::default()
    }
}

/// A stage to which this machine is open.
pub(crate) fn scene(context: Value) -> Scene {
    Scene::new(Webhook::new(config(&["127.0.0.1"])), context)
}

/// The same, run to its end.
pub(crate) async fn play(context: Value) -> Ended {
    scene(context).play().await
}

impl Scene {
    pub(crate) fn new(stage: Webhook, context: Value) -> Self {
        let context = context.as_object().unwrap().clone();
        let (end, log) = (EndSignal::default(), Arc::default());
        Self { stage, context, end, checkpoint: None, log }
    }

    pub(crate) fn cx(&self, task: u16) -> TaskContext {
        let attempt = AttemptId {
            execution: ExecutionId::new("e"),
            stage: StageRef::new("1"),
            run: 1,
            task,
            number: 1,
        };
        let (context, checkpoint) = (self.context.clone(), self.checkpoint.clone());
        TaskContext {
            attempt,
            epoch: Epoch(1),
            input: Arc::new(TaskInput { context, checkpoint, ..TaskInput::default() }),
            log: Arc::clone(&self.log) as Arc<dyn StageLog>,
            end: self.end.clone(),
            clock: Arc::new(SystemClock::default()),
            blobs: Arc::new(MemoryBlobs::default()),
        }
    }

    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap().join("\n")
    }

    /// One run of one task; what it made is kept.
    pub(crate) async fn run(&mut self, task: u16) -> TaskAnswer {
        let name = self.stage.describe().tasks[usize::from(task)].name.clone();
        let cx = self.cx(task);
        let answer = tokio::time::timeout(LIMIT, self.stage.run(&name, &cx)).await;
        let answer = answer.unwrap();
        if let Some(result) = answer.result() {
            self.context.extend(result.context.clone());
        }
        self.checkpoint = match &answer {
            TaskAnswer::Again { checkpoint, .. } | TaskAnswer::HandedOver { checkpoint } => {
                Some(checkpoint.clone())
            }
            _ => None,
        };
        answer
    }

    /// All tasks, each as often as it asks to be run, until one fails.
    pub(crate) async fn play(mut self) -> Ended {
        let (mut tasks, mut again) = (Vec::new(), 0);
        let descriptor = self.stage.describe();
        let is_planned: Vec<bool> =
            descriptor.tasks.iter().map(|task| task.when.holds(&self.context)).collect();
        let last = is_planned.iter().rposition(|is| *is);
        let planned = descriptor.tasks.iter().enumerate().filter(|(at, _)| is_planned[*at]);
        for (index, task) in planned {
            let is_last = Some(index) == last;
            let index = u16::try_from(index).unwrap();
            let answer = loop {
                match self.run(index).await {
                    TaskAnswer::Again { after, .. } => {
                        tokio::time::sleep(after.unsigned_abs()).await
                    }
                    answer => break answer,
                }
                again += 1;
            };
            let status = match &answer {
                TaskAnswer::Succeeded { .. } => "SUCCEEDED",
                TaskAnswer::Skipped { .. } => "SKIPPED",
                TaskAnswer::Failed { .. } => "TERMINAL",
                _ => "CANCELED",
            };
            tasks.push(format!("{}:{status}", task.name));
            if !matches!(status, "SUCCEEDED" | "SKIPPED") || is_last {
                return Ended {
                    tasks,
                    context: json!(self.context),
                    answer,
                    log: self.log(),
                    again,
                };
            }
        }
        unreachable!("the last task returns");
    }
}
