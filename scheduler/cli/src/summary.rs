//! How an execution ended, and what to do.

use serde_json::Value;
use shared_ports::LogName;

use crate::engine::Engine;
use crate::say::say;

/// Last lines of a failed stage's log that are shown.
const LOG_LINES: usize = 10;
/// Most of a log that is read for them, in bytes.
const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Shows how an execution ended; whether it succeeded.
pub(crate) async fn show(engine: &Engine, execution: &Value) -> bool {
    let status = execution["status"].as_str().unwrap_or_default();
    let name = execution["name"].as_str().unwrap_or_default();
    say(&format!("\n{name}: {status}{}", took(execution)));
    if let Some(by) = execution["canceledBy"].as_str() {
        let reason = execution["cancellationReason"].as_str().unwrap_or_default();
        say(&format!("  cancelled by {by}: {reason}"));
    }
    for stage in execution["stages"].as_array().into_iter().flatten() {
        show_stage(engine, execution, stage).await;
    }
    status == "SUCCEEDED"
}

fn took(execution: &Value) -> String {
    let times = execution["startTime"].as_i64().zip(execution["endTime"].as_i64());
    times
        .map_or(String::new(), |(start, end)| format!(" after {:.1} s", (end - start) as f64 / 1e3))
}

async fn show_stage(engine: &Engine, execution: &Value, stage: &Value) {
    let (status, name) = (&stage["status"], stage["name"].as_str().unwrap_or_default());
    say(&format!("  {:<16} {name}", status.as_str().unwrap_or_default()));
    let context = &stage["context"];
    let warnings = stage["outputs"]["warnings"].as_array().into_iter().flatten();
    for warning in warnings.filter_map(Value::as_str) {
        say(&format!("    warning: {warning}"));
    }
    if context["judgmentStatus"].as_str().is_some_and(|said| said.eq_ignore_ascii_case("stop")) {
        let by = context["lastModifiedBy"].as_str().unwrap_or("anonymous");
        say(&format!("    {by} judged that it stops here"));
    }
    let tasks = stage["tasks"].as_array().into_iter().flatten();
    let of_tasks = tasks.map(|task| &task["taskExceptionDetails"]["exception"]);
    let exceptions = std::iter::once(&context["exception"]).chain(of_tasks);
    let errors = exceptions.filter_map(|exception| exception["details"]["errors"].as_array());
    let errors: Vec<&str> = errors.flatten().filter_map(Value::as_str).collect();
    if errors.is_empty() {
        return;
    }
    for error in errors {
        say(&format!("    {}", error.replace('\n', "\n    ")));
    }
    show_log(engine, execution, stage).await;
}

async fn show_log(engine: &Engine, execution: &Value, stage: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let log = LogName { execution: text(&execution["id"]), stage: text(&stage["refId"]) };
    let read = engine.scheduler.ports().blobs.read(&log, 0, LOG_BYTES_MAX).await;
    let lines = read.unwrap_or_default();
    let lines = String::from_utf8_lossy(&lines);
    let lines: Vec<&str> = lines.lines().collect();
    if lines.is_empty() {
        return;
    }
    say("    the last lines of its log:");
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        say(&format!("      {line}"));
    }
}
