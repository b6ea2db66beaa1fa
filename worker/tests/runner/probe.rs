//! A stage type that does what a test says, and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::Value;
use shared_model::{Capability, TaskAnswer, TaskResult};
use shared_plugin::{Effects, StageDescriptor, StageType, TaskContext, TaskDescriptor, When};

/// How often a stage type was run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs {
    begun: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    cancelled: Arc<AtomicUsize>,
}

impl Runs {
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Those that have neither ended nor been dropped.
    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    /// How often it was told that nobody waits for it any more.
    pub(crate) fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// The most at one time.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    fn begin(&self) -> Running {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Running(Arc::clone(&self.now))
    }
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A stage type with one task, of a capability of the same name.
pub(crate) struct Probe<F> {
    name: &'static str,
    run: F,
    runs: Runs,
}

/// A stage type that runs `run`.
pub(crate) fn probe<F, R>(name: &'static str, run: F) -> (Probe<F>, Runs)
where
    F: Fn(TaskContext) -> R + Send + Sync,
    R: Future<Output = TaskAnswer> + Send,
{
    let runs = Runs::default();
    (Probe { name, run, runs: runs.clone() }, runs)
}

#[async_trait]
impl<F, R> StageType for Probe<F>
where
    F: Fn(TaskContext) -> R + Send + Sync,
    R: Future<Output = TaskAnswer> + Send,
{
    fn describe(&self) -> StageDescriptor {
        StageDescriptor {
            name: self.name.to_owned(),
            aliases: Vec::new(),
            summary: "For tests.".to_owned(),
            schema: Value::Null,
            tasks: vec![TaskDescriptor {
                name: "work".to_owned(),
                capability: Capability::new(self.name),
                effects: Effects::None,
                when: When::Always,
            }],
            timeout: SignedDuration::from_hours(1),
        }
    }

    async fn run(&self, task: &str, cx: &TaskContext) -> TaskAnswer {
        assert_eq!(task, "work");
        let _running = self.runs.begin();
        (self.run)(cx.clone()).await
    }

    async fn cancelled(&self, task: &str, cx: &TaskContext) {
        assert!(task == "work" && cx.end.why().is_none());
        self.runs.cancelled.fetch_add(1, Ordering::SeqCst);
    }
}

/// Works until it is told to end, as every stage type that lasts.
pub(crate) async fn until_cancelled(cx: TaskContext) -> TaskAnswer {
    cx.told_to_end().await;
    TaskAnswer::Canceled { result: TaskResult::default() }
}
