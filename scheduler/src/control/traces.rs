//! Where an execution and what it consists of stand in its trace, and their spans, by OpenTelemetry's
//! conventions for CI/CD (1.44). Ids follow from names and times from what is stored, so that every
//! process tells the same, whichever saw the beginning.

use std::time::SystemTime;

use jiff::Timestamp;
use scheduler_engine::stage::Stage;
use serde_json::Value;
use shared_model::{AttemptId, Epoch, ExecutionId, StageRun, Status};
use shared_ports::messages::attempt_span;
use shared_runtime::telemetry::{Span, TraceContext, is_exporting};

/// The key of an execution's document that holds who began its trace, if somebody did.
pub(crate) const CALLER: &str = "traceparent";

/// An execution's place in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace {
    /// Whose call it was.
    caller: Option<TraceContext>,
    /// The execution's own span.
    execution: TraceContext,
}

/// A stage as its span names it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) reference: String,
    pub(crate) run: StageRun,
    pub(crate) name: String,
    pub(crate) stage_type: String,
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
    /// The stage that planned it.
    pub(crate) parent: Option<(String, StageRun)>,
}

impl Trace {
    /// That of the caller, if one brought it, else the execution's own.
    pub(crate) fn of(id: &ExecutionId, document: &Value) -> Self {
        let caller = document.get(CALLER).and_then(Value::as_str).and_then(TraceContext::parse);
        let name = format!("execution {id}");
        let trace = caller.unwrap_or_else(|| TraceContext::of(&name));
        Self { caller, execution: trace.span(&name) }
    }

    /// Where an execution stands that a stage starts: below the stage, unless nobody follows traces.
    pub(crate) fn below(id: &ExecutionId, document: &Value, stage: &Stage) -> Option<TraceContext> {
        let is_followed = is_exporting() || document.get(CALLER).is_some();
        let reference = stage.reference().as_str();
        is_followed.then(|| Self::of(id, document).stage(id, reference, stage.run()))
    }

    /// A stage's span.
    pub(crate) fn stage(&self, id: &ExecutionId, reference: &str, run: StageRun) -> TraceContext {
        self.execution.span(&format!("stage {id}/{reference} run {run}"))
    }

    /// The span of an execution that ended.
    pub(crate) fn execution_span(
        &self,
        id: &ExecutionId,
        (application, pipeline): (&str, &str),
        status: Status,
        times: (Option<Timestamp>, Timestamp),
    ) -> Span {
        let name = format!("RUN {pipeline}");
        let span = Span::new(self.execution, self.caller, name, between(times)).server();
        let span = span
            .with("cicd.pipeline.action.name", "RUN")
            .with("cicd.pipeline.name", pipeline.to_owned())
            .with("cicd.pipeline.run.id", id.to_string())
            .with("cicd.pipeline.result", result(status))
            .with("capstan.application", application.to_owned())
            .with("capstan.status", status.name());
        if status == Status::Terminal { span.failed(status.name()) } else { span }
    }

    /// The span of a stage that ended; `error` says of what kind, if something went wrong.
    pub(crate) fn stage_span(
        &self,
        id: &ExecutionId,
        stage: &Seen,
        status: Status,
        (error, at): (Option<&str>, Timestamp),
    ) -> Span {
        let own = self.stage(id, &stage.reference, stage.run);
        let above = stage.parent.as_ref();
        let above = above.map(|(reference, run)| self.stage(id, reference, *run));
        let times = between((stage.start, stage.end.unwrap_or(at)));
        let mut span =
            Span::new(own, Some(above.unwrap_or(self.execution)), stage.name.clone(), times)
                .with("cicd.pipeline.run.id", id.to_string())
                .with("cicd.pipeline.task.name", stage.name.clone())
                .with(
                    "cicd.pipeline.task.run.id",
                    format!("{id}/{}#{}", stage.reference, stage.run),
                )
                .with("cicd.pipeline.task.run.result", stage_result(status, error))
                .with("capstan.stage.ref", stage.reference.clone())
                .with("capstan.stage.type", stage.stage_type.clone())
                .with("capstan.status", status.name());
        if let Some(kind) = kind_of(&stage.stage_type) {
            span = span.with("cicd.pipeline.task.type", kind);
        }
        match error {
            Some(error) if status.is_failure() => span.failed(error),
            Some(_) | None => span,
        }
    }

    /// The span of an attempt that nobody will tell of: its worker is gone.
    pub(crate) fn lost_span(
        &self,
        attempt: &AttemptId,
        epoch: Epoch,
        stage: &Seen,
        times: (Timestamp, Timestamp),
    ) -> Span {
        let above = self.stage(&attempt.execution, &stage.reference, stage.run);
        let own = above.span(&attempt_span(attempt, epoch));
        let name = format!("attempt {}", attempt.number);
        Span::new(own, Some(above), name, between((Some(times.0), times.1)))
            .consumer()
            .with("cicd.pipeline.run.id", attempt.execution.to_string())
            .with("cicd.pipeline.task.name", stage.name.clone())
            .with("capstan.attempt.number", i64::from(attempt.number))
            .with("capstan.attempt.outcome", "lost")
            .failed("worker_lost")
    }
}

fn between((start, end): (Option<Timestamp>, Timestamp)) -> (SystemTime, SystemTime) {
    (SystemTime::from(start.unwrap_or(end)), SystemTime::from(end))
}

/// `cicd.pipeline.result`: a failure is the user's, an error is ours.
fn result(status: Status) -> &'static str {
    match status {
        Status::Succeeded | Status::FailedContinue | Status::Stopped => "success",
        Status::Canceled => "cancellation",
        Status::Skipped => "skip",
        Status::Terminal
        | Status::NotStarted
        | Status::Running
        | Status::Paused
        | Status::Suspended
        | Status::Redirect
        | Status::Buffered => "failure",
    }
}

fn stage_result(status: Status, error: Option<&str>) -> &'static str {
    match (status, error) {
        (Status::FailedContinue | Status::Stopped, _) => "failure",
        (Status::Terminal, Some("TimeoutException")) => "timeout",
        (Status::Terminal, Some("WorkerLost" | "AbortIgnored" | "StagePanicked")) => "error",
        (status, _) => result(status),
    }
}

/// `cicd.pipeline.task.type`, where a stage type is plainly one of them.
fn kind_of(stage_type: &str) -> Option<&'static str> {
    if stage_type.starts_with("bake") {
        return Some("build");
    }
    stage_type.to_ascii_lowercase().contains("deploy").then_some("deploy")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trace_is_the_callers_if_there_is_one_and_else_follows_from_the_id() {
        let id = ExecutionId::new("e");
        let own = Trace::of(&id, &json!({}));
        assert_eq!(own, Trace::of(&id, &json!({"traceparent": "nonsense"})));
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let called = Trace::of(&id, &json!({ "traceparent": given }));
        assert_eq!(called.caller.unwrap().to_string(), given);
        assert_eq!(called.execution.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_ne!(own.execution.trace_id(), called.execution.trace_id());
        assert_ne!(own.stage(&id, "1", 1), own.stage(&id, "1", 2));
    }
}
