//! The lines of `oracle.jsonl`.

use serde_json::Value;

const CANCEL_CHILD: &str =
    "wait until child execution id is in stage context; PUT /pipelines/<CHILD1>/cancel?reason=";

/// Stands for the server beside Orca.
pub(crate) const STUB: &str = "@STUB@";

/// One pipeline, what was done with it, and what was observed.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) category: String,
    pub(crate) what: String,
    pub(crate) pipeline: Value,
    pub(crate) steps: Vec<String>,
    pub(crate) observed: Value,
}

/// One step after the submit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// `wait until stage REF is STATUS [and 0.4 s more]`
    StageIs(String, String, f64),
    /// `wait until execution is terminal`
    Ended,
    /// `sleep N s`
    Sleep(f64),
    /// `PUT /pipelines/{id}/cancel[?reason=R]`
    Cancel { reason: String, user: String, ok: bool },
    /// `wait until child execution id is in stage context; PUT /pipelines/<CHILD1>/cancel?reason=R`
    CancelChild { reason: String },
    /// `GET child execution`: of which stages, in Orca's words.
    SeeChild,
    /// `PATCH /pipelines/{id}/stages/{stage:REF}`; `None` for a stage that does not exist.
    Patch { stage: Option<String>, body: Value, user: String, ok: bool },
}

/// The saved pipelines that cases start.
pub(crate) fn children() -> Vec<Value> {
    let path = shared_testkit::corpus_dir().join("oracle-children.json");
    let text = std::fs::read_to_string(&path).expect("oracle-children.json");
    serde_json::from_str(&text).expect("a list of pipelines")
}

/// Every case of the corpus.
pub(crate) fn all() -> Vec<Case> {
    let path = shared_testkit::corpus_dir().join("oracle.jsonl");
    let text = std::fs::read_to_string(&path).expect("oracle.jsonl");
    text.lines().map(|line| Case::read(line, text.len())).collect()
}

impl Case {
    fn read(line: &str, salt: usize) -> Self {
        let line = line.replace("@CFG@", &format!("cfg-{salt}")).replace("@APP@", "app");
        let case: Value = serde_json::from_str(&line).expect("a case");
        let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let steps = case["steps"].as_array().into_iter().flatten();
        Self {
            id: text("id"),
            category: text("category"),
            what: text("what"),
            pipeline: case["pipeline"].clone(),
            steps: steps.filter_map(Value::as_str).map(str::to_owned).collect(),
            observed: case["observed"].clone(),
        }
    }

    /// What the case needs that is not built; `None` if it can be asked.
    pub(crate) fn not_built(&self) -> Option<String> {
        if self.asks_the_stub() && self.category != "webhook" {
            return Some("an expression that fetches from a server".into());
        }
        if self.steps.first().is_none_or(|step| step != "POST /orchestrate") {
            return Some("calls without an execution".into());
        }
        self.steps.iter().skip(1).find(|step| step_of(step).is_none()).map(|step| {
            let words: Vec<&str> = step.split([' ', '?']).take(2).collect();
            format!("`{}`", words.join(" "))
        })
    }

    /// Whether its pipeline asks the server that stood beside Orca.
    pub(crate) fn asks_the_stub(&self) -> bool {
        self.pipeline.to_string().contains(STUB)
    }

    /// The steps after the submit.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.steps.iter().skip(1).filter_map(|step| step_of(step)).collect()
    }
}

fn step_of(step: &str) -> Option<Step> {
    if step == "wait until execution is terminal" {
        return Some(Step::Ended);
    }
    if step == "GET child execution" {
        return Some(Step::SeeChild);
    }
    if let Some(rest) = step.strip_prefix(CANCEL_CHILD) {
        return Some(Step::CancelChild { reason: rest.to_owned() });
    }
    if step.starts_with("not terminal when observation stopped") {
        return Some(Step::Ended);
    }
    if let Some(rest) = step.strip_prefix("wait until stage ") {
        let (stage, rest) = rest.split_once(" is ")?;
        let (status, more) = rest.split_once(" and ").unwrap_or((rest, "0 s more"));
        return Some(Step::StageIs(stage.into(), status.into(), seconds(more)?));
    }
    if let Some(rest) = step.strip_prefix("sleep ") {
        return Some(Step::Sleep(seconds(rest)?));
    }
    let (call, answer) = step.rsplit_once(" -> ")?;
    let ok = answer.starts_with('2');
    let (call, user) = match call.split_once(" headers=") {
        None => (call, String::new()),
        Some((call, headers)) => {
            let headers: Value = serde_json::from_str(headers).ok()?;
            (call, headers["X-SPINNAKER-USER"].as_str()?.to_owned())
        }
    };
    if let Some(rest) = call.strip_prefix("PUT /pipelines/{id}/cancel") {
        let reason = rest.strip_prefix("?reason=").unwrap_or_default().to_owned();
        return Some(Step::Cancel { reason, user, ok });
    }
    let rest = call.strip_prefix("PATCH /pipelines/{id}/stages/")?;
    let (stage, body) = rest.split_once(" body=")?;
    let stage = stage.strip_prefix("{stage:").and_then(|stage| stage.strip_suffix('}'));
    let body = serde_json::from_str(body).ok()?;
    Some(Step::Patch { stage: stage.map(str::to_owned), body, user, ok })
}

fn seconds(text: &str) -> Option<f64> {
    text.trim().split([' ', 's']).next()?.parse().ok()
}
