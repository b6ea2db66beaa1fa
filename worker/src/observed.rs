//! What is seen of an attempt: how long it took, how it ended, and its span.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use shared_model::{TaskAnswer, WorkerId};
use shared_ports::Clock;
use shared_ports::messages::{AttemptReady, TaskInput, attempt_span};
use shared_runtime::metrics::metrics;
use shared_runtime::telemetry::{Span, TraceContext, is_exporting};

/// How an attempt is counted whose lease was lost.
const LOST: &str = "lost";

/// An attempt that runs.
pub(crate) struct Watched {
    began: Duration,
    place: Option<Place>,
}

/// Where it stands in its trace.
struct Place {
    stage: TraceContext,
    own: TraceContext,
    at: Timestamp,
    stage_name: String,
    task: String,
}

impl Watched {
    /// Begins to watch.
    pub(crate) fn begin(
        clock: &dyn Clock,
        ready: &AttemptReady,
        input: Option<&TaskInput>,
    ) -> Self {
        Self { began: clock.elapsed(), place: Place::of(clock, ready, input) }
    }

    /// The place of what the attempt does.
    pub(crate) fn place(&self) -> Option<TraceContext> {
        self.place.as_ref().map(|place| place.own)
    }

    /// Says how it ended; `answer` is `None` if nobody wants it any more.
    pub(crate) fn end(
        self,
        clock: &dyn Clock,
        ready: &AttemptReady,
        worker: &WorkerId,
        answer: Option<&TaskAnswer>,
    ) {
        let (outcome, error) = answer.map_or((LOST, None), outcome);
        let took = clock.elapsed().saturating_sub(self.began);
        metrics().attempt_finished(ready.capability.as_str(), outcome, took);
        // Of one that was lost the scheduler tells: this worker may be the last to know.
        if let Some(place) = self.place.filter(|_| answer.is_some()) {
            place.span(clock, ready, worker, (outcome, error)).export();
        }
    }
}

impl Place {
    fn of(clock: &dyn Clock, ready: &AttemptReady, input: Option<&TaskInput>) -> Option<Self> {
        if !is_exporting() {
            return None;
        }
        let stage = TraceContext::parse(ready.traceparent.as_deref()?)?;
        let text = |part: fn(&TaskInput) -> &String| input.map(part).cloned().unwrap_or_default();
        Some(Self {
            stage,
            own: stage.span(&attempt_span(&ready.attempt, ready.epoch)),
            at: clock.now(),
            stage_name: text(|input| &input.stage_name),
            task: text(|input| &input.task),
        })
    }

    fn span(
        self,
        clock: &dyn Clock,
        ready: &AttemptReady,
        worker: &WorkerId,
        (outcome, error): (&'static str, Option<&str>),
    ) -> Span {
        let times = (SystemTime::from(self.at), SystemTime::from(clock.now()));
        let epoch = i64::try_from(ready.epoch.0).unwrap_or(i64::MAX);
        let name = format!("attempt {} of {}", ready.attempt.number, self.task);
        let span = Span::new(self.own, Some(self.stage), name, times)
            .consumer()
            .with("messaging.operation.type", "process")
            .with("cicd.pipeline.run.id", ready.attempt.execution.to_string())
            .with("cicd.pipeline.task.name", self.stage_name)
            .with("cicd.worker.id", worker.to_string())
            .with("capstan.stage.ref", ready.attempt.stage.to_string())
            .with("capstan.task.name", self.task)
            .with("capstan.capability", ready.capability.to_string())
            .with("capstan.attempt.number", i64::from(ready.attempt.number))
            .with("capstan.attempt.epoch", epoch)
            .with("capstan.attempt.outcome", outcome);
        match error {
            Some(error) => span.failed(error),
            None => span,
        }
    }
}

/// A word for an answer, and of what kind its error is.
fn outcome(answer: &TaskAnswer) -> (&'static str, Option<&str>) {
    match answer {
        TaskAnswer::Succeeded { .. } => ("succeeded", None),
        TaskAnswer::Again { .. } => ("again", None),
        TaskAnswer::Redirect { .. } => ("redirect", None),
        TaskAnswer::Skipped { .. } => ("skipped", None),
        TaskAnswer::Stopped { .. } => ("stopped", None),
        TaskAnswer::FailedContinue { error, .. } => ("failed_continue", Some(&error.kind)),
        TaskAnswer::Failed { error, .. } => ("failed", Some(&error.kind)),
        TaskAnswer::Canceled { .. } => ("canceled", None),
        TaskAnswer::HandedOver { .. } => ("handed_over", None),
    }
}
