//! The task `createWebhook`: the request itself, and where its status is to be found.

use std::time::Duration;

use serde_json::{Value, json};
use shared_model::{Artifact, Object, TaskAnswer, TaskResult};
use shared_runtime::http::header::LOCATION;
use shared_runtime::http::{HttpAnswer, HttpError, StatusCode, Url};

use super::ask::shown_text;
use super::error::WebhookError;
use super::fields::StatusUrl;
use super::json_path::{Found, find};
use super::{Checkpoint, Run, answer, context, is_cancelled, result};

/// Statuses that are asked again beside 5xx, on the request and on the monitor (Orca's
/// `defaultRetryStatusCodes`).
pub(super) const RETRIED: [u16; 1] = [429];

impl Run<'_> {
    pub(super) async fn create(&self) -> TaskAnswer {
        if self.fields.monitor_only {
            return TaskAnswer::Skipped { result: TaskResult::default() };
        }
        let mut checkpoint = self.checkpoint();
        if let Some(answer) = self.until_due(&checkpoint).await {
            return answer;
        }
        checkpoint.asked = checkpoint.asked.saturating_add(1);
        let (call, key) = (self.fields.call(), self.cx.effect(0));
        let answer = match self.fields.may_repeat() {
            true => self.ask(&call, key, self.cx.end.token()).await,
            false => self.ask_once(&call, key).await,
        };
        match answer {
            Ok(answer) => self.answered(checkpoint, &answer).await,
            Err(error) if is_cancelled(&error) => {
                // Whoever comes next repeats it, or asks whether it is to be repeated.
                match self.fields.may_repeat() {
                    true => TaskAnswer::HandedOver { checkpoint: checkpoint.json() },
                    false => TaskAnswer::Canceled { result: TaskResult::default() },
                }
            }
            Err(error) => self.not_answered(checkpoint, error).await,
        }
    }

    fn shown_url(&self) -> String {
        shown_text(&self.fields.url)
    }

    async fn answered(&self, checkpoint: Checkpoint, answer: &HttpAnswer) -> TaskAnswer {
        let mut webhook = answer::fields(answer);
        let status = answer.status;
        if !status.is_success() && !status.is_redirection() {
            return self.refused(checkpoint, answer, webhook).await;
        }
        match self.taken(answer, &mut webhook) {
            Ok(result) => TaskAnswer::Succeeded { result },
            Err(error) => {
                webhook.insert("error".into(), error.to_string().into());
                self.failed(&error, context(webhook)).await
            }
        }
    }

    /// What is made of an answer that is none of a failure.
    fn taken(&self, answer: &HttpAnswer, webhook: &mut Object) -> Result<TaskResult, WebhookError> {
        if self.fields.wait {
            let url = self.status_url(answer)?;
            webhook.insert("statusEndpoint".into(), url.as_str().into());
            let webhook = Value::Object(std::mem::take(webhook));
            return Ok(result(json!({ "webhook": webhook, "statusEndpoint": url })));
        }
        let artifacts = match self.fields.expects_artifacts {
            true => artifacts(webhook.get("body"))?,
            false => Vec::new(),
        };
        let context = context(std::mem::take(webhook));
        Ok(TaskResult { artifacts, ..result(context) })
    }

    /// An answer of a failure: fails at once, is asked again, or fails (Orca's order and words).
    async fn refused(
        &self,
        mut next: Checkpoint,
        answer: &HttpAnswer,
        mut webhook: Object,
    ) -> TaskAnswer {
        let (execution, url) = (&self.cx.attempt.execution, self.shown_url());
        let code = answer.status.as_u16();
        let fails_fast = self.fields.fail_fast.contains(&code);
        let retried = is_retried(answer.status, &self.fields.create_retries);
        next.failing_since = next.failing_since.or_else(|| Some(self.cx.clock.now()));
        let goes_on = !fails_fast && retried && !self.is_hopeless(&next);
        let text = match (fails_fast, goes_on) {
            (true, _) => format!(
                "Received status code {code}, which is configured to fail fast, terminating stage for \
                 pipeline {execution} to {url}"
            ),
            (false, true) => format!(
                "Error submitting webhook for pipeline {execution} to {url} with status code {code}, \
                 will retry."
            ),
            (false, false) => format!(
                "Error submitting webhook for pipeline {execution} to {url} with status code {code}."
            ),
        };
        webhook.insert("error".into(), text.as_str().into());
        if !goes_on {
            return self.failed(&WebhookError::Answer(text), context(webhook)).await;
        }
        let asked_for = Duration::from_secs(answer::retry_after_seconds(&answer.headers));
        let pause = asked_for.max(self.stage.config.retry_interval);
        self.again(next, pause, context(webhook))
    }

    /// No answer: asked again only if that does no harm.
    async fn not_answered(&self, mut next: Checkpoint, error: WebhookError) -> TaskAnswer {
        next.failing_since = next.failing_since.or_else(|| Some(self.cx.clock.now()));
        let (arrived, again) = match &error {
            WebhookError::Http(HttpError::NotFound { .. }) => (false, true),
            WebhookError::Http(http) => {
                let arrived = http.may_have_arrived();
                (arrived, arrived && http.may_pass() && self.fields.may_repeat())
            }
            WebhookError::Field { .. }
            | WebhookError::AnswerNotTaken(_)
            | WebhookError::AnswerLost(_)
            | WebhookError::Answer(_)
            | WebhookError::Canceled(_) => (false, false),
        };
        let goes_on = again && !self.is_hopeless(&next);
        let mut text = error.to_string();
        if goes_on {
            text.push_str("; it is asked again");
            self.cx.log.line("it is asked again").await;
        }
        let is_unknown = arrived && !self.fields.may_repeat();
        if is_unknown && is_lost_on_the_way(&error) {
            return self.answer_lost(error).await;
        }
        let webhook = json!({ "webhook": { "error": text } });
        match (goes_on, is_unknown) {
            (true, _) => self.again(next, self.stage.config.retry_interval, webhook),
            (false, true) => self.failed(&WebhookError::AnswerNotTaken(text), webhook).await,
            // Where nothing was ever asked there is nothing to cancel.
            (false, false) if next.asked <= 1 && !arrived => self.ended(&error, webhook).await,
            (false, false) => self.failed(&error, webhook).await,
        }
    }

    /// No answer, and what was asked for may have happened: a person is asked (D19).
    async fn answer_lost(&self, error: WebhookError) -> TaskAnswer {
        let text = WebhookError::AnswerLost(error.to_string()).to_string();
        self.cx.log.line(&text).await;
        TaskAnswer::Canceled { result: result(json!({ "webhook": { "error": text } })) }
    }

    /// Where the status is to be found.
    fn status_url(&self, answer: &HttpAnswer) -> Result<String, WebhookError> {
        let body = answer::body(answer).unwrap_or_default();
        let missing = || {
            WebhookError::Answer(
                "The status URL couldn't be resolved, but 'Wait for completion' is configured"
                    .into(),
            )
        };
        let unreadable = |why: String| {
            WebhookError::Answer(format!("Exception while resolving status check URL: {why}"))
        };
        let path = &self.fields.status_url_path;
        let text = match self.fields.status_url {
            StatusUrl::GetMethod => return Ok(self.fields.url.clone()),
            StatusUrl::LocationHeader => {
                let location = answer.headers.get(LOCATION).ok_or_else(missing)?;
                String::from_utf8_lossy(location.as_bytes()).into_owned()
            }
            StatusUrl::WebhookResponse => match find(path, &body) {
                Ok(Found::One(Value::String(url))) => url,
                Ok(Found::One(_) | Found::Many(_)) => {
                    return Err(unreadable(format!("what is at `{path}` is no text")));
                }
                Ok(Found::Nothing) => {
                    return Err(unreadable(format!("there is nothing at `{path}` in the answer")));
                }
                Err(why) => {
                    return Err(unreadable(format!("`statusUrlJsonPath` is `{path}`: {why}")));
                }
            },
        };
        if text.trim().is_empty() {
            return Err(missing());
        }
        absolute(&answer.url, &self.fields.url, text.trim()).map_err(unreadable)
    }
}

/// Whether nothing at all was heard of the last request: it, or its answer, was lost.
fn is_lost_on_the_way(error: &WebhookError) -> bool {
    let mut error = match error {
        WebhookError::Http(error) => error,
        WebhookError::Field { .. }
        | WebhookError::AnswerNotTaken(_)
        | WebhookError::AnswerLost(_)
        | WebhookError::Answer(_)
        | WebhookError::Canceled(_) => return false,
    };
    while let HttpError::Redirected { error: inner, .. } = error {
        error = inner;
    }
    matches!(error, HttpError::TimedOut { .. } | HttpError::Broken { .. })
}

/// The URL that an answer means. On the host that was asked the scheme stays as it was: what stands
/// behind a proxy that speaks TLS does not know of it.
fn absolute(answered: &Url, asked: &str, found: &str) -> Result<String, String> {
    let mut url = answered.join(found).map_err(|error| error.to_string())?;
    let asked = Url::parse(asked).map_err(|error| error.to_string())?;
    if url.host_str() == asked.host_str() && url.scheme() != asked.scheme() {
        // An unusual scheme cannot be replaced; the request will name it.
        let _kept = url.set_scheme(asked.scheme());
    }
    Ok(url.into())
}

/// Whether a status is asked again.
pub(super) fn is_retried(status: StatusCode, more: &[u16]) -> bool {
    let code = status.as_u16();
    status.is_server_error() || RETRIED.contains(&code) || more.contains(&code)
}

/// The list `artifacts` of an answer.
pub(super) fn artifacts(body: Option<&Value>) -> Result<Vec<Artifact>, WebhookError> {
    let error = |why: &str| {
        WebhookError::Answer(format!(
            "Expected artifacts in webhook response couldn't be parsed: {why}"
        ))
    };
    let list = body.and_then(|body| body.get("artifacts")).and_then(Value::as_array);
    let list = list.ok_or_else(|| error("the answer has no list `artifacts`"))?;
    let objects: Option<Vec<Artifact>> =
        list.iter().map(|one| one.as_object().cloned().map(Artifact)).collect();
    objects.ok_or_else(|| error("an entry of `artifacts` is no object"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_url_is_made_absolute_and_keeps_its_scheme() {
        let answered = Url::parse("https://ci.example/hooks/1").unwrap();
        for (found, expected) in [
            ("/status/7", "https://ci.example/status/7"),
            ("status/7?a=b", "https://ci.example/hooks/status/7?a=b"),
            ("http://ci.example/status/7", "https://ci.example/status/7"),
            ("http://ci.example:8080/7", "https://ci.example:8080/7"),
            ("http://other.example/7", "http://other.example/7"),
            ("ftp://other.example/7", "ftp://other.example/7"),
        ] {
            let url = absolute(&answered, "https://ci.example/hooks/1", found).unwrap();
            assert_eq!(url, expected);
        }
    }
}
