//! The stage type `webhook`: asks a URL, and waits until the target says that it is done.

mod answer;
mod ask;
mod create;
mod error;
mod fields;
mod json_path;
mod monitor;
mod schema;
mod status;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared_model::{Capability, Effects, Object, Retry, TaskAnswer, TaskError, TaskResult};
use shared_plugin::{Secrets, StageDescriptor, StageType, TaskContext, TaskDescriptor, When};
pub use shared_runtime::http::{AllowEntry, AllowError, AllowList, HttpLimits};
use shared_runtime::http::{GuardedHttp, HttpError, Resolver};
use tokio::sync::Semaphore;

use self::error::WebhookError;
use self::fields::Fields;

/// Orca's names of the stage's tasks; the scheduler adds the one that binds artifacts.
const CREATE: &str = "createWebhook";
const WAIT: &str = "waitBeforeMonitorWebhook";
const MONITOR: &str = "monitorWebhook";
/// The fields that decide which of them a stage has.
const WAITS: &str = "waitForCompletion";
const MONITOR_ONLY: &str = "monitorOnly";
/// How long the stage may take where the document does not say: as long as Orca's tasks together.
const STAGE_TIMEOUT: SignedDuration = SignedDuration::from_mins(65);
/// How many stages that call a `cancelEndpoint` may hold a slot while they wait: who runs hears of a
/// cancel at once. The others wait without a slot, and need a free one to call it.
const WATCHES_MAX: usize = 4;

/// What webhooks may ask, and how long they wait.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// What is open beside the Internet.
    pub allow: AllowList,
    /// Limits on one request.
    pub limits: HttpLimits,
    /// Pause before a failed request is repeated.
    pub retry_interval: Duration,
    /// How long requests are repeated one after another before that is a failure.
    pub retry_for: Duration,
    /// Pause between two looks at the status.
    pub poll_interval: Duration,
    /// The same once it lasts longer than `poll_slower_after`.
    pub poll_interval_slow: Duration,
    /// When to look less often.
    pub poll_slower_after: Duration,
    /// How long the call of a `cancelEndpoint` may take.
    pub cancel_timeout: Duration,
    /// What references to secrets mean.
    pub secrets: Secrets,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        // An answer becomes part of the execution, which is stored and sent around as a whole.
        let limits = HttpLimits { response_bytes_max: 2 * 1024 * 1024, ..HttpLimits::default() };
        Self {
            allow: AllowList::default(),
            limits,
            retry_interval: Duration::from_secs(10),
            retry_for: Duration::from_secs(300),
            poll_interval: Duration::from_secs(1),
            poll_interval_slow: Duration::from_secs(15),
            poll_slower_after: Duration::from_secs(60),
            cancel_timeout: Duration::from_secs(5),
            secrets: Secrets::default(),
        }
    }
}

/// Asks a URL.
#[derive(Clone)]
pub struct Webhook {
    config: Arc<WebhookConfig>,
    http: GuardedHttp,
    watches: Arc<Semaphore>,
}

impl Webhook {
    /// The stage type under a configuration.
    pub fn new(config: WebhookConfig) -> Self {
        let http = GuardedHttp::new(config.allow.clone(), config.limits.clone());
        Self::with_http(config, http)
    }

    /// The stage type with names from elsewhere.
    pub fn with_resolver(config: WebhookConfig, resolver: Arc<dyn Resolver>) -> Self {
        let (allow, limits) = (config.allow.clone(), config.limits.clone());
        Self::with_http(config, GuardedHttp::with_resolver(allow, limits, resolver))
    }

    fn with_http(config: WebhookConfig, http: GuardedHttp) -> Self {
        let watches = Arc::new(Semaphore::new(WATCHES_MAX));
        Self { config: Arc::new(config), http, watches }
    }
}

#[async_trait]
impl StageType for Webhook {
    fn describe(&self) -> StageDescriptor {
        let task = |name: &str, effects, when| TaskDescriptor {
            name: name.into(),
            capability: Capability::new("webhook"),
            effects,
            when,
        };
        let set = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect();
        StageDescriptor {
            name: "webhook".to_owned(),
            aliases: Vec::new(),
            summary: "Asks a URL, and waits until the target says that it is done.".to_owned(),
            schema: schema::schema(),
            tasks: vec![
                // Fields that contradict each other are told by the first task.
                task(CREATE, Effects::Request, When::NotAllSet(set(&[MONITOR_ONLY, WAITS]))),
                task(WAIT, Effects::Watch, When::AllSet(set(&[WAITS, "waitBeforeMonitor"]))),
                task(MONITOR, Effects::Watch, When::AllSet(set(&[WAITS]))),
            ],
            timeout: STAGE_TIMEOUT,
        }
    }

    async fn run(&self, task: &str, cx: &TaskContext) -> TaskAnswer {
        let run = match self.read(cx) {
            Ok(run) => run,
            Err(error) => return TaskAnswer::terminal(TaskError::from(&error)),
        };
        match task {
            CREATE => run.create().await,
            WAIT => run.wait_before_monitor().await,
            _ => run.monitor().await,
        }
    }

    async fn cancelled(&self, _task: &str, cx: &TaskContext) {
        if let Ok(run) = self.read(cx) {
            run.cancel_remote().await;
        }
    }
}

impl Webhook {
    fn read<'a>(&'a self, cx: &'a TaskContext) -> Result<Run<'a>, WebhookError> {
        Ok(Run { stage: self, cx, fields: Fields::read(cx.context())? })
    }
}

/// One run of one task.
struct Run<'a> {
    stage: &'a Webhook,
    cx: &'a TaskContext,
    fields: Fields,
}

/// What one run of a task leaves for the next.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Checkpoint {
    /// When the task began.
    since: Option<Timestamp>,
    /// Since when requests fail, one after another.
    failing_since: Option<Timestamp>,
    /// When the next request is due.
    due: Option<Timestamp>,
    /// How many requests there were.
    asked: u32,
}

impl Checkpoint {
    fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Run<'_> {
    /// What the run before this one left.
    fn checkpoint(&self) -> Checkpoint {
        let left = self.cx.input.checkpoint.clone().unwrap_or_default();
        let mut found: Checkpoint = serde_json::from_value(left).unwrap_or_default();
        found.since = found.since.or_else(|| Some(self.cx.clock.now()));
        found
    }

    /// Waits until the next request is due: here, if somebody is to be told of a cancel, else without
    /// a slot. An answer ends this run.
    async fn until_due(&self, checkpoint: &Checkpoint) -> Option<TaskAnswer> {
        let hand_over = || Some(TaskAnswer::HandedOver { checkpoint: checkpoint.json() });
        if self.cx.end.why().is_some() {
            return hand_over();
        }
        let left = checkpoint.due?.duration_since(self.cx.clock.now());
        if !left.is_positive() {
            return None;
        }
        let watch = self.fields.cancel.as_ref().and_then(|_| self.stage.watches.try_acquire().ok());
        let Some(_watch) = watch else {
            let (checkpoint, result) = (checkpoint.json(), TaskResult::default());
            return Some(TaskAnswer::Again { after: left, checkpoint, result });
        };
        tokio::select! {
            biased;
            _ = self.cx.told_to_end() => hand_over(),
            () = self.cx.clock.sleep(left.unsigned_abs()) => None,
        }
    }

    /// Another run, after a pause.
    fn again(&self, mut next: Checkpoint, pause: Duration, context: Value) -> TaskAnswer {
        let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
        next.due = self.cx.clock.now().checked_add(pause).ok();
        let after = if self.fields.cancel.is_some() { SignedDuration::ZERO } else { pause };
        TaskAnswer::Again { after, checkpoint: next.json(), result: result(context) }
    }

    /// Whether requests have failed for so long that it is no use to go on.
    fn is_hopeless(&self, checkpoint: &Checkpoint) -> bool {
        let failing =
            checkpoint.failing_since.map(|since| self.cx.clock.now().duration_since(since));
        failing.is_some_and(|time| time.unsigned_abs() >= self.stage.config.retry_for)
    }

    /// A failure; what the target may still be doing is cancelled (as Orca does when a stage fails).
    async fn failed(&self, error: &WebhookError, context: Value) -> TaskAnswer {
        let answer = self.ended(error, context).await;
        self.cancel_remote().await;
        answer
    }

    /// A failure, and nothing to cancel.
    async fn ended(&self, error: &WebhookError, context: Value) -> TaskAnswer {
        // What the request came to stands in the log already.
        if !matches!(error, WebhookError::Http(_)) {
            self.cx.log.line(&error.to_string()).await;
        }
        let error = TaskError::from(error);
        TaskAnswer::Failed { error, retry: Retry::Never, result: result(context) }
    }

    async fn wait_before_monitor(&self) -> TaskAnswer {
        if !self.fields.wait || self.fields.wait_before_seconds == 0 {
            return TaskAnswer::Skipped { result: TaskResult::default() };
        }
        let mut checkpoint = self.checkpoint();
        if checkpoint.due.is_none() {
            let seconds = i64::try_from(self.fields.wait_before_seconds).unwrap_or(i64::MAX);
            let pause = SignedDuration::from_secs(seconds);
            checkpoint.due = self.cx.clock.now().checked_add(pause).ok();
            self.cx.log.line(&format!("the status is first looked at in {seconds} s")).await;
        }
        self.until_due(&checkpoint).await.unwrap_or_else(TaskAnswer::done)
    }
}

/// A result that adds to the stage's context.
fn result(context: Value) -> TaskResult {
    let Value::Object(context) = context else { return TaskResult::default() };
    TaskResult { context, ..TaskResult::default() }
}

/// Whether a field says nothing.
fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    }
}

/// Whether an error is but the end that we were told to make.
fn is_cancelled(error: &WebhookError) -> bool {
    matches!(error, WebhookError::Http(HttpError::Cancelled { .. }))
}

/// A context with what is known of a webhook.
fn context(webhook: Object) -> Value {
    json!({ "webhook": webhook })
}
