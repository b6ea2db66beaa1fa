//! The task `monitorWebhook`: looks at the status until it says that the target is done.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared_model::{Artifact, Object, TaskAnswer, TaskResult};
use shared_runtime::http::{HttpAnswer, Method};

use super::ask::shown_text;
use super::create::{artifacts, is_retried};
use super::error::WebhookError;
use super::fields::{Call, plain};
use super::status::{self, Says};
use super::{Checkpoint, Run, answer, context, is_cancelled, is_empty, result};

/// How many codes that were asked again are remembered.
const PAST_CODES_MAX: usize = 1_000;

impl Run<'_> {
    pub(super) async fn monitor(&self) -> TaskAnswer {
        if !self.fields.wait {
            return TaskAnswer::Skipped { result: TaskResult::default() };
        }
        let mut checkpoint = self.checkpoint();
        if let Some(answer) = self.until_due(&checkpoint).await {
            return answer;
        }
        let url = self.endpoint();
        let said_in = (url == self.fields.url).then_some(["url", "payload"]);
        let call = Call { method: Method::GET, url, payload: Value::Null, said_in };
        // Each look has a key of its own: under one key a target may repeat its first answer.
        let key = self.cx.effect(checkpoint.asked);
        match self.ask(&call, key, self.cx.end.token()).await {
            Ok(answer) => {
                checkpoint.asked = checkpoint.asked.saturating_add(1);
                self.looked(checkpoint, &answer).await
            }
            Err(error) if is_cancelled(&error) => {
                TaskAnswer::HandedOver { checkpoint: checkpoint.json() }
            }
            Err(error) => self.not_seen(checkpoint, error).await,
        }
    }

    fn endpoint(&self) -> String {
        match self.fields.status_endpoint.as_str() {
            "" => self.fields.url.clone(),
            endpoint => endpoint.to_owned(),
        }
    }

    async fn looked(&self, mut checkpoint: Checkpoint, answer: &HttpAnswer) -> TaskAnswer {
        if answer.status.is_client_error() || answer.status.is_server_error() {
            return self.look_refused(checkpoint, answer).await;
        }
        checkpoint.failing_since = None;
        let mut monitor = answer::fields(answer);
        if let Some(past) = self.past_codes() {
            monitor.insert("pastStatusCodes".into(), json!(past));
        }
        let body = answer::body(answer).unwrap_or_default();
        let says = match self.fields.status_path.is_empty() {
            true => Ok(Says::Done),
            false => status::read(&self.fields, &body, &mut monitor),
        };
        match says {
            Ok(Says::Goes) => {
                self.say_progress(&monitor).await;
                let pause = self.pause(&checkpoint);
                self.again(checkpoint, pause, self.with_monitor(monitor))
            }
            Ok(Says::Done) => self.done(&body, monitor).await,
            Ok(Says::Failed(status)) => {
                let text =
                    format!("the target says `{status}`, which is one of `terminalStatuses`");
                self.failed(&WebhookError::Answer(text), self.with_monitor(monitor)).await
            }
            Ok(Says::Canceled(status)) => {
                let text =
                    format!("the target says `{status}`, which is one of `canceledStatuses`");
                self.failed(&WebhookError::Canceled(text), self.with_monitor(monitor)).await
            }
            Err(error) => {
                monitor.insert("error".into(), error.to_string().into());
                self.failed(&error, self.with_monitor(monitor)).await
            }
        }
    }

    /// Tells what the target says of its progress, where it is something new.
    async fn say_progress(&self, monitor: &Object) {
        for field in ["progressMessage", "percentComplete"] {
            let before =
                self.cx.context().get("webhook").and_then(|webhook| webhook.get("monitor"));
            let before = before.and_then(|monitor| monitor.get(field));
            let now = monitor.get(field);
            if now != before
                && let Some(text) = now.and_then(plain)
            {
                self.cx.log.line(&format!("{field}: {text}")).await;
            }
        }
    }

    async fn done(&self, body: &Value, monitor: Object) -> TaskAnswer {
        let context = self.with_monitor(monitor);
        // Orca takes artifacts from the first answer only; the last one is the one that has them.
        let has_some = self.fields.expects_artifacts && !is_empty(body.get("artifacts"));
        let found: Result<Vec<Artifact>, WebhookError> =
            if has_some { artifacts(Some(body)) } else { Ok(Vec::new()) };
        match found {
            Ok(artifacts) => {
                TaskAnswer::Succeeded { result: TaskResult { artifacts, ..result(context) } }
            }
            Err(error) => self.failed(&error, context).await,
        }
    }

    /// An answer of a failure: looked at again if it may pass.
    async fn look_refused(&self, next: Checkpoint, answer: &HttpAnswer) -> TaskAnswer {
        let code = answer.status.as_u16();
        let mut past = self.past_codes().unwrap_or_default();
        let before = past.iter().filter(|seen| **seen == code).count();
        let again = match self.fields.attempts_max.get(&code) {
            Some(limit) => u64::try_from(before).unwrap_or(u64::MAX) < *limit,
            None => is_retried(answer.status, &self.fields.monitor_retries),
        };
        let mut monitor = Object::new();
        if again {
            past.push(code);
            past.truncate(PAST_CODES_MAX);
            monitor.insert("pastStatusCodes".into(), json!(past));
            let asked_for = Duration::from_secs(answer::retry_after_seconds(&answer.headers));
            let pause = self.pause(&next).max(asked_for);
            return self.again(next, pause, self.with_monitor(monitor));
        }
        monitor = answer::fields(answer);
        if !past.is_empty() {
            monitor.insert("pastStatusCodes".into(), json!(past));
        }
        let (url, status) = (shown_text(&self.endpoint()), answer.status);
        let text = format!("an exception occurred in webhook monitor to {url}: {status}");
        monitor.insert("error".into(), text.as_str().into());
        self.failed(&WebhookError::Answer(text), self.with_monitor(monitor)).await
    }

    /// No answer: looked at again for a while, as a look does no harm.
    async fn not_seen(&self, mut next: Checkpoint, error: WebhookError) -> TaskAnswer {
        next.failing_since = next.failing_since.or_else(|| Some(self.cx.clock.now()));
        let passes = match &error {
            WebhookError::Http(http) => http.may_pass(),
            WebhookError::Field { .. }
            | WebhookError::AnswerNotTaken(_)
            | WebhookError::AnswerLost(_)
            | WebhookError::Answer(_)
            | WebhookError::Canceled(_) => false,
        };
        let mut monitor = Object::new();
        if let Some(past) = self.past_codes() {
            monitor.insert("pastStatusCodes".into(), json!(past));
        }
        if passes && !self.is_hopeless(&next) {
            let pause = self.pause(&next);
            return self.again(next, pause, self.with_monitor(monitor));
        }
        let text = format!(
            "an exception occurred in webhook monitor to {}: {error}",
            shown_text(&self.endpoint())
        );
        monitor.insert("error".into(), text.into());
        self.failed(&error, self.with_monitor(monitor)).await
    }

    /// Often at first, then less often.
    fn pause(&self, checkpoint: &Checkpoint) -> Duration {
        let config = &self.stage.config;
        let now = self.cx.clock.now();
        let lasted =
            checkpoint.since.map_or(SignedDuration::ZERO, |since| now.duration_since(since));
        match lasted.unsigned_abs() > config.poll_slower_after {
            true => config.poll_interval.max(config.poll_interval_slow),
            false => config.poll_interval,
        }
    }

    /// What the first task left, with a new `monitor`.
    fn with_monitor(&self, monitor: Object) -> Value {
        let mut webhook = self.webhook();
        webhook.insert("monitor".into(), Value::Object(monitor));
        context(webhook)
    }

    fn webhook(&self) -> Object {
        self.cx.context().get("webhook").and_then(Value::as_object).cloned().unwrap_or_default()
    }

    fn past_codes(&self) -> Option<Vec<u16>> {
        let past = self.cx.context().get("webhook")?.pointer("/monitor/pastStatusCodes")?;
        let codes = past.as_array()?.iter();
        Some(codes.filter_map(|code| u16::try_from(code.as_u64()?).ok()).collect())
    }
}
