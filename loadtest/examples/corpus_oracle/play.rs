//! Does with a running Capstan what was done with Orca, through its API.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use loadtest::serve::http::Connection;
use serde_json::Value;
use shared_model::Status;
use shared_testkit::deadline::Deadline;

use crate::case::{Call, Case, Step};

/// How long something that is waited for may take; Orca's longest took a minute.
const WAIT_LIMIT: Duration = Duration::from_secs(90);
/// How often an execution is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(150);
/// Who saves what the cases start.
const USER: (&str, &str) = ("X-SPINNAKER-USER", "oracle");

/// What came of a case.
#[derive(Default)]
pub(crate) struct Answer {
    /// The status of each submit's answer, with its body.
    pub(crate) submits: Vec<(u16, String)>,
    /// The executions in the end, in Gate's shape, in the order of their submits.
    pub(crate) executions: Vec<Value>,
    /// Calls whose answer was of another class than Orca's.
    pub(crate) calls: Vec<String>,
    /// What did not come although it was waited for.
    pub(crate) missed: Vec<String>,
    /// The statuses of all executions at moments that the case names.
    pub(crate) moments: Vec<(&'static str, Vec<Value>)>,
    /// The child execution, where it was looked at.
    pub(crate) child: Option<Value>,
}

/// Saves the pipelines that cases start.
pub(crate) fn save(server: &str, children: &[Value]) -> Result<()> {
    let mut api = Connection::open(server)?;
    for child in children {
        let (status, body) = api.send_with("POST", "/pipelines", &[USER], &child.to_string())?;
        ensure!(status == 200, "a pipeline was not saved ({status}): {body}");
    }
    Ok(())
}

/// Plays a case.
pub(crate) fn play(server: &str, case: &Case) -> Result<Answer> {
    let api = Connection::open(server)?;
    let (ids, deleted, answer) = (Vec::new(), Value::Null, Answer::default());
    let mut player = Player { api, case, ids, deleted, answer };
    for step in &case.steps {
        player.carry_out(step)?;
    }
    player.look_at_the_ends()?;
    Ok(player.answer)
}

struct Player<'a> {
    api: Connection,
    case: &'a Case,
    /// The executions; empty where the submit was refused.
    ids: Vec<String>,
    /// The first execution as it was before it was deleted.
    deleted: Value,
    answer: Answer,
}

impl Player<'_> {
    fn carry_out(&mut self, step: &Step) -> Result<()> {
        let is_refused = self.ids.first().is_some_and(String::is_empty);
        if is_refused && !matches!(step, Step::Submit | Step::Sleep(_)) {
            return Ok(());
        }
        match step {
            Step::Submit => self.submit()?,
            Step::Sleep(seconds) => rest(*seconds),
            Step::Ended => self.until("the end", 0, has_ended)?,
            Step::StageIs(stage, status, more) => {
                let is = |execution: &Value| stage_of(execution, stage)["status"] == **status;
                self.until(&format!("stage {stage} {status}"), 0, is)?;
                rest(*more);
            }
            Step::Call(call) => self.call(call)?,
            Step::CallOfChild(call) => {
                self.until("a child", 0, |execution| child_of(execution).is_some())?;
                self.call(call)?;
            }
            Step::SeeChild => self.see_child()?,
            Step::SkipFirst => {
                self.note("statuses_while_first_runs")?;
                self.end_wait(0)?;
            }
            Step::SkipOthers => {
                self.note("statuses_after_first_ended")?;
                self.end_others()?;
            }
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<()> {
        let body = self.case.pipeline.to_string();
        let (status, body) = self.api.send("POST", "/pipelines/start", &body)?;
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        let reference = answer["ref"].as_str().unwrap_or_default();
        self.ids.push(reference.rsplit('/').next().unwrap_or_default().to_owned());
        self.answer.submits.push((status, body));
        Ok(())
    }

    fn call(&mut self, call: &Call) -> Result<()> {
        let path = self.filled(&call.path)?;
        if call.method == "DELETE" && !self.ids.is_empty() {
            self.deleted = self.execution(0)?;
        }
        let headers = call.headers.iter();
        let headers: Vec<(&str, &str)> = headers.map(|(name, value)| (&**name, &**value)).collect();
        let (status, body) = self.api.send_with(&call.method, &path, &headers, &call.body)?;
        if class(status) != class(call.http) {
            let Call { method, path, http, .. } = call;
            let why: String = body.chars().take(300).collect();
            self.answer
                .calls
                .push(format!("{method} {path}: expected {http}, got {status}: {why}"));
        }
        Ok(())
    }

    /// A path with the ids of this run.
    fn filled(&mut self, path: &str) -> Result<String> {
        let id = self.ids.first().cloned().unwrap_or_default();
        let mut path = path.replace("{id}", &id);
        if path.contains("<CHILD1>") {
            let execution = self.execution(0)?;
            path = path.replace("<CHILD1>", child_of(&execution).unwrap_or_default());
        }
        if let Some((before, rest)) = path.clone().split_once("{stage:") {
            let (reference, after) = rest.split_once('}').context("a `{stage:` without end")?;
            let execution = self.execution(0)?;
            let stage = stage_of(&execution, reference);
            path = format!("{before}{}{after}", stage["id"].as_str().unwrap_or_default());
        }
        Ok(path)
    }

    fn see_child(&mut self) -> Result<()> {
        let execution = self.execution(0)?;
        let Some(child) = child_of(&execution) else { return Ok(()) };
        let (id, deadline) = (child.to_owned(), Deadline::after(WAIT_LIMIT));
        loop {
            let child = self.get(&id)?;
            if has_ended(&child) || deadline.has_passed() {
                self.answer.child = Some(child);
                return Ok(());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Notes how every execution stands now.
    fn note(&mut self, when: &'static str) -> Result<()> {
        let statuses = (0..self.ids.len()).map(|number| {
            let execution = self.execution(number)?;
            Ok(execution["status"].clone())
        });
        let statuses = statuses.collect::<Result<_>>()?;
        self.answer.moments.push((when, statuses));
        Ok(())
    }

    fn end_wait(&mut self, number: usize) -> Result<()> {
        let path = format!("/pipelines/{}/stages/1", self.ids[number]);
        let (status, body) = self.api.send("PATCH", &path, r#"{"skipRemainingWait": true}"#)?;
        if status >= 300 {
            self.answer.calls.push(format!("PATCH {path}: {status}: {body}"));
        }
        Ok(())
    }

    /// Ends the wait of each execution but the first as soon as it runs.
    fn end_others(&mut self) -> Result<()> {
        let deadline = Deadline::after(WAIT_LIMIT);
        let mut open: Vec<usize> = (1..self.ids.len()).collect();
        while !open.is_empty() && !deadline.has_passed() {
            for number in std::mem::take(&mut open) {
                let execution = self.execution(number)?;
                if has_ended(&execution) {
                    continue;
                }
                open.push(number);
                if stage_of(&execution, "1")["status"] == "RUNNING" {
                    self.end_wait(number)?;
                }
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        self.answer
            .missed
            .extend(open.iter().map(|number| format!("the end of execution {number}")));
        Ok(())
    }

    /// Waits, not for ever; what never comes is told.
    fn until(&mut self, what: &str, number: usize, is: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = Deadline::after(WAIT_LIMIT);
        while !is(&self.execution(number)?) {
            if deadline.has_passed() {
                self.answer.missed.push(what.to_owned());
                return Ok(());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// The executions as they are once they have ended.
    fn look_at_the_ends(&mut self) -> Result<()> {
        for number in 0..self.ids.len() {
            if self.ids[number].is_empty() {
                continue;
            }
            if self.answer.missed.is_empty() {
                self.until(&format!("the end of execution {number}"), number, is_settled)?;
            }
            let found = self.execution(number)?;
            let execution = if found.is_null() { self.deleted.clone() } else { found };
            self.answer.executions.push(execution);
        }
        Ok(())
    }

    fn execution(&mut self, number: usize) -> Result<Value> {
        let id = self.ids.get(number).cloned().unwrap_or_default();
        self.get(&id)
    }

    fn get(&mut self, id: &str) -> Result<Value> {
        let (status, body) = self.api.send("GET", &format!("/pipelines/{id}"), "")?;
        if status == 404 {
            return Ok(Value::Null);
        }
        if status != 200 {
            bail!("an execution cannot be read ({status}): {body}");
        }
        Ok(serde_json::from_str(&body)?)
    }
}

/// What counts of a status: Gate says 200 where Orca says 202, and Orca 500 where we say 400.
pub(crate) fn class(status: u16) -> u16 {
    match status {
        200..300 => 2,
        400..600 => 4,
        other => other,
    }
}

fn rest(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

fn child_of(execution: &Value) -> Option<&str> {
    let stages = execution["stages"].as_array()?;
    stages.iter().find_map(|stage| stage["context"]["executionId"].as_str())
}

fn ended(thing: &Value) -> bool {
    serde_json::from_value::<Status>(thing["status"].clone()).is_ok_and(Status::is_complete)
}

/// Over, or gone.
fn has_ended(execution: &Value) -> bool {
    execution.is_null() || ended(execution)
}

/// Over, and no stage of it is still at something.
fn is_settled(execution: &Value) -> bool {
    let mut stages = execution["stages"].as_array().into_iter().flatten();
    has_ended(execution) && stages.all(|stage| stage["status"] != "RUNNING")
}

fn stage_of<'a>(execution: &'a Value, reference: &str) -> &'a Value {
    let mut stages = execution["stages"].as_array().into_iter().flatten();
    stages.find(|stage| stage["refId"] == reference).unwrap_or(&Value::Null)
}
