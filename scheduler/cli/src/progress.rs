//! What happens, line by line, on stderr: history and logs as they come; on a terminal a line at the
//! bottom says what is waited for.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use scheduler::Update;
use serde_json::Value;
use shared_model::ExecutionId;
use shared_ports::LogName;
use tokio::sync::broadcast;

use crate::engine::Engine;
use crate::say::say;

/// How often logs and waits are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Most entries of a history that are shown at a time.
const HISTORY_ENTRIES_MAX: u32 = 10_000;
/// Most of one log that is shown at a time, in bytes.
const LOG_BYTES_MAX: usize = 256 * 1024;

/// Shows executions.
pub(crate) struct Progress<'a> {
    engine: &'a Engine,
    updates: broadcast::Receiver<Update>,
    /// The last entry of each history that was shown.
    read: BTreeMap<ExecutionId, u64>,
    /// How much of each log was shown, by execution and stage.
    shown: BTreeMap<(String, String), u64>,
    /// Judgments whose command was printed.
    asked: Vec<String>,
    bar: ProgressBar,
}

impl<'a> Progress<'a> {
    /// Begins to listen.
    pub(crate) fn new(engine: &'a Engine) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target =
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            bar.set_style(style);
        }
        let updates = engine.scheduler.subscribe();
        let (read, shown) = (BTreeMap::new(), BTreeMap::new());
        Self { engine, updates, read, shown, asked: Vec::new(), bar }
    }

    /// Says that an execution is followed, and how to end it.
    pub(crate) fn announce(&self, id: &ExecutionId) {
        self.say(&format!("execution {id}"));
        self.say(&format!(
            "to cancel it:\n  curl -X PUT -H 'Content-Type: application/json' \
             'http://{}/pipelines/{id}/cancel?reason=why'",
            self.engine.address
        ));
    }

    /// Follows executions to their end; whether they ended before we were stopped.
    pub(crate) async fn follow(&mut self, executions: &[ExecutionId]) -> bool {
        let stop = self.engine.supervisor.stopping();
        while self.look(executions).await > 0 {
            let wait = tokio::time::sleep(LOOK_INTERVAL);
            tokio::select! {
                () = stop.cancelled() => {
                    self.bar.finish_and_clear();
                    return false;
                }
                _ = self.updates.recv() => {}
                () = wait => {}
            }
            // They only say that something happened: what it was stands in the history.
            while self.updates.try_recv().is_ok() {}
        }
        self.bar.finish_and_clear();
        true
    }

    /// Shows what happened since the last look.
    async fn history(&mut self, id: &ExecutionId) {
        let read = self.read.get(id).copied().unwrap_or(0);
        let history = self.engine.scheduler.history(id, read, HISTORY_ENTRIES_MAX).await;
        for (number, entry) in history.unwrap_or_default() {
            // These were shown when the document was read.
            if entry.kind != "document-warning" {
                self.say(&line(&entry));
            }
            self.read.insert(id.clone(), number);
        }
    }

    /// Shows what happened, new log lines and what is waited for; how many executions have not ended.
    async fn look(&mut self, executions: &[ExecutionId]) -> usize {
        let mut open = 0;
        let mut waits = Vec::new();
        for id in executions {
            let Ok(Some(execution)) = self.engine.scheduler.execution(id).await else { continue };
            self.history(id).await;
            self.logs(id, &execution).await;
            self.ask(id, &execution);
            open += usize::from(execution["endTime"].is_null());
            waits.extend(execution["waitingFor"].as_array().into_iter().flatten().map(wait_text));
        }
        self.bar.set_message(waits.join("; "));
        self.bar.tick();
        open
    }

    async fn logs(&mut self, id: &ExecutionId, execution: &Value) {
        for stage in execution["stages"].as_array().into_iter().flatten() {
            if stage["tasks"].as_array().is_none_or(Vec::is_empty) {
                continue;
            }
            let (reference, name) = (text(stage, "refId"), text(stage, "name"));
            let key = (id.to_string(), reference.clone());
            let offset = self.shown.get(&key).copied().unwrap_or(0);
            let log = LogName { execution: id.to_string(), stage: reference };
            let read = self.engine.scheduler.ports().blobs.read(&log, offset, LOG_BYTES_MAX).await;
            let Ok(bytes) = read else { continue };
            let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { continue };
            for line in String::from_utf8_lossy(&bytes[..end]).lines() {
                self.say(&format!("{name} | {line}"));
            }
            self.shown.insert(key, offset + end as u64 + 1);
        }
    }

    /// Prints the command that answers a judgment, once.
    fn ask(&mut self, id: &ExecutionId, execution: &Value) {
        for wait in execution["waitingFor"].as_array().into_iter().flatten() {
            let stage = text(wait, "stageId");
            if wait["kind"] != "judgment" || self.asked.contains(&stage) {
                continue;
            }
            let found = execution["stages"].as_array().into_iter().flatten();
            let found = found.clone().find(|candidate| candidate["id"] == stage.as_str());
            let found = found.cloned().unwrap_or_default();
            let instructions = found["context"]["instructions"].as_str().unwrap_or_default();
            self.say(&format!("{} waits for a judgment. {instructions}", text(&found, "name")));
            if let Some(inputs) = inputs(&found["context"]) {
                self.say(&format!("send one of these too, as \"judgmentInput\": {inputs}"));
            }
            self.say(&format!(
                "to go on (or send \"stop\"):\n  curl -X PATCH -H 'Content-Type: application/json' \
                 -d '{{\"judgmentStatus\":\"continue\"}}' 'http://{}/pipelines/{id}/stages/{stage}'",
                self.engine.address
            ));
            self.asked.push(stage);
        }
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }
}

fn line(entry: &shared_ports::journal::HistoryEntry) -> String {
    format!("{:.0} {}", entry.at, entry.text)
}

/// What a judgment may be answered with beside its verdict.
fn inputs(context: &Value) -> Option<String> {
    let inputs = context["judgmentInputs"].as_array()?;
    let values: Vec<&str> = inputs.iter().filter_map(|input| input["value"].as_str()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn wait_text(wait: &Value) -> String {
    format!("stage {} waits for {}", text(wait, "stage"), text(wait, "unblock"))
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
