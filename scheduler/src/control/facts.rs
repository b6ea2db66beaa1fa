//! What happened, in words.

use jiff::Timestamp;
use scheduler_engine::Execution;
use scheduler_engine::command::{Cause, Fact};
use scheduler_engine::event::{AttemptKey, StageIndex, Told};
use shared_model::{Status, WorkerId};
use shared_ports::journal::HistoryEntry;

/// A fact as a line of history. `lost` names workers, `name` gives a stage's name.
pub(crate) fn entry(
    execution: &Execution,
    fact: &Fact,
    at: Timestamp,
    lost: Option<&str>,
    name: &dyn Fn(StageIndex) -> String,
) -> HistoryEntry {
    let (kind, stage, text) = words(fact, lost, name);
    let stage = stage.map(|index| execution.stage(index).reference().to_string());
    HistoryEntry { at, stage, kind: kind.to_owned(), text }
}

type Words = (&'static str, Option<StageIndex>, String);

fn words(fact: &Fact, lost: Option<&str>, name: &dyn Fn(StageIndex) -> String) -> Words {
    match fact {
        Fact::ExecutionStarted => ("execution-started", None, "the execution began".into()),
        Fact::ExecutionFinished { status } => {
            ("execution-finished", None, format!("the execution ended {status}"))
        }
        Fact::CancelRequested { by, reason } => {
            ("cancel-requested", None, format!("{by} cancelled the execution{}", because(reason)))
        }
        Fact::Paused { by } => ("paused", None, format!("{by} paused the execution")),
        Fact::Resumed { by } => ("resumed", None, format!("{by} let the execution go on")),
        Fact::StageSkipped { stage, by } => {
            ("stage-skipped", Some(*stage), format!("{by} skipped {}", name(*stage)))
        }
        Fact::StageRestarted { stage, by } => {
            let text = format!("{by} began {} again, and what follows it", name(*stage));
            ("stage-restarted", Some(*stage), text)
        }
        Fact::StageStarted { stage } => {
            ("stage-started", Some(*stage), format!("{} began", name(*stage)))
        }
        Fact::StageFinished { stage, status } => stage_finished(*stage, *status, name),
        Fact::AttemptStarted { attempt, worker } => {
            ("attempt-started", Some(attempt.stage), format!("{worker} began {}", task(attempt)))
        }
        Fact::AttemptRetried { attempt, at } => {
            let text = format!("{} failed and is tried again at {at:.0}", task(attempt));
            ("attempt-retried", Some(attempt.stage), text)
        }
        Fact::AttemptLost { attempt, worker, takeovers, takeovers_max } => {
            let who = worker.as_ref().map_or("no worker took".into(), |w| format!("{w} left"));
            let text = format!(
                "{who} {} unfinished; it is given out again (takeover {takeovers} of {takeovers_max})",
                task(attempt)
            );
            ("attempt-lost", Some(attempt.stage), text)
        }
        Fact::OutcomeUnknown { attempt, worker } => outcome_unknown(attempt, worker.as_ref()),
        Fact::OutcomeTold { stage, told, by } => {
            let words = match told {
                Told::Done => "it was done",
                Told::Repeat => "do it again",
                Told::Fail => "it failed",
            };
            let text = format!("{by} says of the unknown outcome of {}: {words}", name(*stage));
            ("outcome-told", Some(*stage), text)
        }
        Fact::AttemptHandedOver { attempt } => {
            let text = format!("its worker stops and hands over {}", task(attempt));
            ("attempt-handed-over", Some(attempt.stage), text)
        }
        Fact::StageGaveUp { stage, cause } => {
            ("stage-gave-up", Some(*stage), format!("{}: {}", name(*stage), why(*cause, lost)))
        }
        Fact::Judged { stage, proceed, by } => {
            let verdict = if *proceed { "go on" } else { "stop" };
            ("judged", Some(*stage), format!("{by} judged {}: {verdict}", name(*stage)))
        }
        Fact::WaitEnded { stage, by } => {
            ("wait-ended", Some(*stage), format!("{by} ended the wait of {}", name(*stage)))
        }
    }
}

fn outcome_unknown(attempt: &AttemptKey, worker: Option<&WorkerId>) -> Words {
    let who = worker.map_or("its worker".into(), ToString::to_string);
    let text = format!(
        "{who} left {} unfinished, and whether it was done cannot be known: somebody has to look at \
         the target and say so",
        task(attempt)
    );
    ("outcome-unknown", Some(attempt.stage), text)
}

fn stage_finished(stage: StageIndex, status: Status, name: &dyn Fn(StageIndex) -> String) -> Words {
    ("stage-finished", Some(stage), format!("{} ended {status}", name(stage)))
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

fn task(attempt: &AttemptKey) -> String {
    format!("task {} (attempt {})", attempt.task + 1, attempt.number)
}

/// Why a stage gave up, for people; `lost` names the workers that it took down.
pub(crate) fn why(cause: Cause, lost: Option<&str>) -> String {
    match cause {
        Cause::TimedOut => {
            "it took longer than its time limit (stageTimeoutMs, else the stage type's own); \
             raise stageTimeoutMs if it needs longer"
                .into()
        }
        Cause::TakeoversSpent { takeovers } => {
            let who = match lost {
                None | Some("") => "its workers' logs".to_owned(),
                Some(lost) => format!(
                    "the logs of the workers that stopped answering while they had it: {lost}"
                ),
            };
            format!(
                "it was taken over {takeovers} times, as often as is allowed, and is not given out again; \
                 look at {who} (out of memory?), then start it anew"
            )
        }
        Cause::AttemptsSpent { attempts } => format!("it failed {attempts} times in a row"),
        Cause::ExpressionsFailed => "expressions failed and failOnFailedExpressions is set; see \
             expressionEvaluationSummary in its context"
            .into(),
        Cause::AbortIgnored => {
            "its worker did not confirm the end in time; work may still go on there".into()
        }
    }
}

/// Gate's `exceptionType` for a cause.
pub(crate) fn exception_type(cause: Cause) -> &'static str {
    match cause {
        Cause::TimedOut => "TimeoutException",
        Cause::TakeoversSpent { .. } => "WorkerLost",
        Cause::AttemptsSpent { .. } => "AttemptsSpent",
        Cause::ExpressionsFailed => "FailedExpressionEvaluation",
        Cause::AbortIgnored => "AbortIgnored",
    }
}
