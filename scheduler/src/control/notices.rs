//! What is told of facts beside their history: log lines, metrics, spans. A fact is seen when it is
//! announced and told once it is stored.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use scheduler_engine::command::Fact;
use scheduler_engine::event::{AttemptKey, StageIndex};
use serde_json::Value;
use shared_model::{Status, WorkerId};
use shared_runtime::metrics::metrics;
use shared_runtime::telemetry::is_exporting;

use super::evaluation::Shell;
use super::inputs;
use super::loaded::{Content, Loaded};
use super::lost::Lost;
use super::traces::{Seen, Trace};

/// Whose lines these are: the file that they come from says nothing to anybody.
const TARGET: &str = "scheduler";
/// Longest reason in a log line, in bytes.
const WHY_BYTES_MAX: usize = 300;
/// Names of parameters whose values are not repeated, as parts of words.
const SECRET_NAMES: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "api_key"];
/// What is too short to be a secret, and too common to be taken out of a text, in bytes.
const SECRET_BYTES_MIN: usize = 4;

/// A fact, with what is told of it.
pub(crate) struct Notice {
    fact: Fact,
    at: Timestamp,
    stage: Option<Seen>,
    /// Of a stage that failed: the kind of error, and what was said.
    error: Option<(String, String)>,
    /// Of an attempt that was lost: what was known of it.
    lost: Option<Lost>,
}

/// What is to be told of a fact.
pub(crate) fn see(
    loaded: &Loaded,
    content: &Content,
    fact: &Fact,
    at: Timestamp,
    lost: Option<Lost>,
) -> Notice {
    let index = stage_of(fact);
    let stage = index.map(|index| seen(loaded, content, index));
    let failed = matches!(fact, Fact::StageFinished { status, .. }
        if *status != Status::Succeeded && *status != Status::Skipped);
    let error = index.filter(|_| failed).and_then(|stage| error_of(content, stage));
    Notice { fact: fact.clone(), at, stage, error, lost }
}

/// Tells what was stored of an execution.
pub(crate) fn tell(shell: &Shell, loaded: &Loaded, notices: Vec<Notice>) {
    let content = loaded.content.as_ref().filter(|_| is_exporting());
    let trace = content.map(|content| Trace::of(&loaded.id, &content.document));
    for notice in notices {
        notice.tell(shell, loaded, trace.as_ref());
    }
}

impl Notice {
    /// Counts it, logs it, and exports the span that it ends.
    fn tell(&self, shell: &Shell, loaded: &Loaded, trace: Option<&Trace>) {
        let id = &loaded.id;
        match (&self.fact, &self.stage) {
            (Fact::ExecutionStarted, _) => self.execution_started(loaded),
            (Fact::ExecutionFinished { status }, _) => {
                self.execution_finished(loaded, *status, trace);
            }
            (Fact::CancelRequested { by, .. }, _) => tracing::info!(
                target: TARGET, { execution.id = %id, by = by.as_str() }, "an execution is cancelled"
            ),
            (Fact::Paused { by }, _) => tracing::info!(
                target: TARGET, { execution.id = %id, by = by.as_str() }, "an execution is paused"
            ),
            (Fact::Resumed { by }, _) => tracing::info!(
                target: TARGET, { execution.id = %id, by = by.as_str() }, "an execution goes on"
            ),
            (Fact::StageSkipped { by, .. }, Some(stage)) => tracing::info!(
                target: TARGET, { execution.id = %id, stage.ref = stage.reference.as_str(),
                    by = by.as_str() }, "a stage is skipped"
            ),
            (Fact::StageRestarted { by, .. }, Some(stage)) => tracing::info!(
                target: TARGET, { execution.id = %id, stage.ref = stage.reference.as_str(),
                    by = by.as_str() }, "a stage begins again"
            ),
            (Fact::StageStarted { .. }, Some(stage)) => tracing::debug!(
                target: TARGET, { execution.id = %id, stage.ref = stage.reference.as_str(),
                    stage.name = stage.name.as_str() }, "a stage began"
            ),
            (Fact::StageFinished { status, .. }, Some(stage)) => {
                self.stage_finished(shell, loaded, (stage, *status), trace);
            }
            (Fact::Judged { proceed, by, .. }, Some(stage)) => tracing::info!(
                target: TARGET, { execution.id = %id, stage.ref = stage.reference.as_str(),
                    stage.name = stage.name.as_str(), by = by.as_str(), proceed }, "a stage was judged"
            ),
            (Fact::AttemptLost { attempt, worker, takeovers, .. }, Some(stage)) => {
                self.attempt_lost(loaded, stage, (*attempt, worker.as_ref(), *takeovers), trace);
            }
            (Fact::OutcomeUnknown { attempt, .. }, Some(stage)) => tracing::warn!(
                target: TARGET, { execution.id = %id, stage.ref = stage.reference.as_str(),
                    stage.name = stage.name.as_str(), attempt = attempt.number },
                "work that nobody can recognise was lost, or had no answer; the stage asks what became of it"
            ),
            (Fact::OutcomeTold { by, told, .. }, Some(stage)) => tracing::info!(
                target: TARGET, { execution.id = %id, stage.ref = stage.reference.as_str(),
                    stage.name = stage.name.as_str(), by = by.as_str() },
                "somebody told what became of lost work: {told:?}"
            ),
            (Fact::AttemptHandedOver { attempt }, Some(stage)) => {
                metrics().attempt_handed_over();
                tracing::info!(
                    target: TARGET, { execution.id = %id, stage.ref = stage.reference.as_str(),
                        attempt = attempt.number }, "a stopping worker handed an attempt over"
                );
            }
            (Fact::AttemptRetried { attempt, at }, Some(stage)) => {
                metrics().attempt_retried();
                tracing::info!(
                    target: TARGET, { execution.id = %id, stage.ref = stage.reference.as_str(),
                        attempt = attempt.number, next = %at }, "an attempt failed and is tried again"
                );
            }
            // History has them. A fact of a stage or an attempt always has its stage.
            (
                Fact::AttemptStarted { .. } | Fact::StageGaveUp { .. } | Fact::WaitEnded { .. },
                Some(_),
            )
            | (_, None) => {}
        }
    }

    fn execution_started(&self, loaded: &Loaded) {
        metrics().execution_started();
        tracing::info!(
            target: TARGET, { execution.id = %loaded.id,
                application = loaded.label.application.as_str(),
                pipeline = loaded.label.name.as_str() }, "an execution began"
        );
    }

    fn execution_finished(&self, loaded: &Loaded, status: Status, trace: Option<&Trace>) {
        let (start, label) = (loaded.engine.start_time(), &loaded.label);
        metrics().execution_finished(status.name(), between(start, self.at));
        tracing::info!(
            target: TARGET, { execution.id = %loaded.id, application = label.application.as_str(),
                pipeline = label.name.as_str(), seconds = seconds(start, self.at) },
            "an execution ended {status}"
        );
        if let Some(trace) = trace {
            let names = (label.application.as_str(), label.name.as_str());
            trace.execution_span(&loaded.id, names, status, (start, self.at)).export();
        }
    }

    fn stage_finished(
        &self,
        shell: &Shell,
        loaded: &Loaded,
        (stage, status): (&Seen, Status),
        trace: Option<&Trace>,
    ) {
        // What people write is not bounded.
        let is_known = shell.registry.find(&stage.stage_type).is_some()
            || scheduler_engine::native::is_native(&stage.stage_type);
        let stage_type = if is_known { &stage.stage_type } else { "unknown" };
        metrics().stage_finished(stage_type, status.name(), between(stage.start, self.at));
        match &self.error {
            Some((kind, why)) => tracing::info!(
                target: TARGET, { execution.id = %loaded.id, stage.ref = stage.reference.as_str(),
                    stage.name = stage.name.as_str(), error.kind = kind, why }, "a stage ended {status}"
            ),
            None => tracing::info!(
                target: TARGET, { execution.id = %loaded.id, stage.ref = stage.reference.as_str(),
                    stage.name = stage.name.as_str(), seconds = seconds(stage.start, self.at) },
                "a stage ended {status}"
            ),
        }
        if let Some(trace) = trace {
            let error = self.error.as_ref().map(|(kind, _)| kind.as_str());
            trace.stage_span(&loaded.id, stage, status, (error, self.at)).export();
        }
    }

    fn attempt_lost(
        &self,
        loaded: &Loaded,
        stage: &Seen,
        (attempt, worker, takeovers): (AttemptKey, Option<&WorkerId>, u32),
        trace: Option<&Trace>,
    ) {
        metrics().attempt_taken_over();
        let worker = worker.map(ToString::to_string).unwrap_or_default();
        tracing::info!(
            target: TARGET, { execution.id = %loaded.id, stage.ref = stage.reference.as_str(),
                attempt = attempt.number, worker, takeovers },
            "a worker was lost; its attempt is given out again"
        );
        if let (Some(trace), Some(Lost { epoch, since, .. })) = (trace, self.lost.as_ref()) {
            let attempt = inputs::attempt_id(loaded, attempt);
            trace.lost_span(&attempt, *epoch, stage, (*since, self.at)).export();
        }
    }
}

/// The stage that a fact is about.
pub(crate) fn stage_of(fact: &Fact) -> Option<StageIndex> {
    match fact {
        Fact::ExecutionStarted
        | Fact::ExecutionFinished { .. }
        | Fact::Paused { .. }
        | Fact::Resumed { .. }
        | Fact::CancelRequested { .. } => None,
        Fact::StageStarted { stage }
        | Fact::StageSkipped { stage, .. }
        | Fact::StageRestarted { stage, .. }
        | Fact::StageFinished { stage, .. }
        | Fact::StageGaveUp { stage, .. }
        | Fact::Judged { stage, .. }
        | Fact::OutcomeTold { stage, .. }
        | Fact::WaitEnded { stage, .. } => Some(*stage),
        Fact::AttemptStarted { attempt, .. }
        | Fact::AttemptRetried { attempt, .. }
        | Fact::AttemptLost { attempt, .. }
        | Fact::OutcomeUnknown { attempt, .. }
        | Fact::AttemptHandedOver { attempt } => Some(attempt.stage),
    }
}

fn seen(loaded: &Loaded, content: &Content, index: StageIndex) -> Seen {
    let engine = &loaded.engine;
    let stage = engine.stage(index);
    let parent = stage.synthetic().map(|synthetic| engine.stage(synthetic.parent));
    Seen {
        reference: stage.reference().to_string(),
        run: stage.run(),
        name: content.name(engine, index),
        stage_type: content.stage_type(engine, index),
        start: stage.start_time(),
        end: stage.end_time(),
        parent: parent.map(|parent| (parent.reference().to_string(), parent.run())),
    }
}

/// Of what kind a stage's failure is, and what it says, without secrets.
fn error_of(content: &Content, stage: StageIndex) -> Option<(String, String)> {
    let body = content.bodies.get(&stage)?;
    let exception = body.context.get("exception").or_else(|| body.failures.values().last())?;
    let text = |pointer: &str| exception.pointer(pointer).and_then(Value::as_str).unwrap_or("");
    let (kind, why) = (text("/exceptionType"), text("/details/errors/0"));
    let parameters = content.document.pointer("/trigger/parameters");
    let mut why = without_secrets(why, parameters).into_owned();
    why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
    Some((kind.to_owned(), why.replace(char::is_control, " ")))
}

/// A text without the values of parameters whose names say that they are secret. References to
/// secrets are what documents should hold; this is for those that do not.
fn without_secrets<'a>(text: &'a str, parameters: Option<&Value>) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for (name, value) in parameters.and_then(Value::as_object).into_iter().flatten() {
        let (name, value) = (name.to_lowercase(), value.as_str().unwrap_or_default());
        let is_secret = SECRET_NAMES.iter().any(|part| name.contains(part));
        if is_secret && value.len() >= SECRET_BYTES_MIN && text.contains(value) {
            text = Cow::Owned(text.replace(value, "***"));
        }
    }
    text
}

fn between(start: Option<Timestamp>, end: Timestamp) -> Duration {
    let took = end.duration_since(start.unwrap_or(end));
    Duration::try_from(took).unwrap_or_default()
}

fn seconds(start: Option<Timestamp>, end: Timestamp) -> f64 {
    between(start, end).as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_secret_parameter_holds_is_not_repeated() {
        let parameters = json!({"dbPassword": "hunter22", "tag": "1.2.3", "API_KEY": "abc"});
        let said = "no login with hunter22 for 1.2.3 (abc)";
        let shown = without_secrets(said, Some(&parameters));
        assert_eq!(shown, "no login with *** for 1.2.3 (abc)");
        assert_eq!(without_secrets(said, None), said);
    }
}
