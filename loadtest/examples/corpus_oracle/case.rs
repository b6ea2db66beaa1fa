//! The lines of `oracle.jsonl`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// The submit that a case without further steps consists of.
const SUBMIT: &str = "POST /orchestrate";
/// Orca never came to an end.
const NOT_TERMINAL: &str = "not terminal when observation stopped";
/// The same, of one wait.
const NOT_REACHED: &str = "NOT REACHED";

/// One pipeline, what was done with it, and what was observed.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) category: String,
    pub(crate) what: String,
    pub(crate) pipeline: Value,
    pub(crate) steps: Vec<Step>,
    /// Whether Orca's execution never ended; ours must.
    pub(crate) hung: bool,
    pub(crate) observed: Value,
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// `POST /orchestrate`, the first or a further one.
    Submit,
    /// `wait until stage REF is STATUS [and 0.4 s more]`
    StageIs(String, String, f64),
    /// `wait until execution is terminal`, or as far as the observer saw.
    Ended,
    /// `sleep N s`
    Sleep(f64),
    /// `METHOD PATH [body=JSON] [headers=JSON] -> HTTP`
    Call(Call),
    /// `wait until child execution id is in stage context; METHOD PATH`
    CallOfChild(Call),
    /// `GET child execution`
    SeeChild,
    /// Ends the wait of the execution that runs, in words.
    SkipFirst,
    /// Ends the wait of each further execution as it runs, in words.
    SkipOthers,
}

/// A request, in Orca's words: `{id}`, `{stage:REF}` and `<CHILD1>` are filled in when it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) headers: Vec<(String, String)>,
    /// What Orca answered.
    pub(crate) http: u16,
}

/// What a run puts in place of the marks of the cases.
pub(crate) struct Marks {
    /// New for each run.
    pub(crate) run: String,
    /// The server that answers `/hook/N` with the status N.
    pub(crate) stub: String,
}

/// Every case of a file.
pub(crate) fn all(path: &Path, marks: &Marks) -> Result<Vec<Case>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("`{}` cannot be read", path.display()))?;
    let read = |(at, line): (usize, &str)| {
        let read = Case::read(line, &format!("{}-{at}", marks.run), &marks.stub);
        read.with_context(|| format!("line {} of `{}`", at + 1, path.display()))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(read).collect()
}

impl Case {
    fn read(line: &str, unique: &str, stub: &str) -> Result<Self> {
        let line = line.replace("@CFG@", &format!("cfg-{unique}"));
        let line = line.replace("@APP@", &format!("app-{unique}")).replace("@STUB@", stub);
        let case: Value = serde_json::from_str(&line)?;
        let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let steps = case["steps"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let is_hung = |step: &str| step.starts_with(NOT_TERMINAL) || step.ends_with(NOT_REACHED);
        let hung = steps.clone().any(is_hung);
        let steps = steps.map(|step| {
            Step::read(step).with_context(|| format!("`{step}` is no step that is known here"))
        });
        Ok(Self {
            id: text("id"),
            category: text("category"),
            what: text("what"),
            pipeline: case["pipeline"].clone(),
            steps: steps.collect::<Result<_>>()?,
            hung,
            observed: case["observed"].clone(),
        })
    }
}

impl Step {
    fn read(step: &str) -> Option<Self> {
        if step.ends_with(NOT_REACHED) {
            return Some(Self::Ended);
        }
        match step {
            "wait until execution is terminal" => return Some(Self::Ended),
            "GET child execution" => return Some(Self::SeeChild),
            "PATCH skipRemainingWait on stage 1 of first execution" => {
                return Some(Self::SkipFirst);
            }
            "skip the wait of each further execution as it runs" => return Some(Self::SkipOthers),
            _ => {}
        }
        if step.starts_with(SUBMIT) {
            return Some(Self::Submit);
        }
        if step.starts_with(NOT_TERMINAL) {
            return Some(Self::Ended);
        }
        let child = "wait until child execution id is in stage context; ";
        if let Some(call) = step.strip_prefix(child) {
            return Some(Self::CallOfChild(Call::read(&format!("{call} -> 202"))?));
        }
        if let Some(rest) = step.strip_prefix("wait until stage ") {
            let (stage, rest) = rest.split_once(" is ")?;
            let (status, more) = rest.split_once(" and ").unwrap_or((rest, "0 s more"));
            let status = status.split(' ').next()?;
            return Some(Self::StageIs(stage.into(), status.into(), seconds(more)?));
        }
        if let Some(rest) = step.strip_prefix("sleep ") {
            return Some(Self::Sleep(seconds(rest)?));
        }
        Some(Self::Call(Call::read(step)?))
    }
}

impl Call {
    fn read(step: &str) -> Option<Self> {
        let (call, http) = step.rsplit_once(" -> ")?;
        let http = http.trim().parse().ok()?;
        let (call, headers) = call.split_once(" headers=").unwrap_or((call, "{}"));
        let (call, body) = call.split_once(" body=").unwrap_or((call, ""));
        let (method, path) = call.split_once(' ')?;
        let headers: Map<String, Value> = serde_json::from_str(headers).ok()?;
        let headers = headers.into_iter().filter_map(|(name, value)| {
            let value = value.as_str()?.to_owned();
            Some((name, value))
        });
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            body: body.to_owned(),
            headers: headers.collect(),
            http,
        })
    }
}

fn seconds(text: &str) -> Option<f64> {
    text.trim().split([' ', 's']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_with_its_body_and_its_user() {
        let step = "PATCH /pipelines/{id}/stages/{stage:1} body={\"a\": 1} \
                    headers={\"X-SPINNAKER-USER\": \"alice\"} -> 200";
        let Some(Step::Call(call)) = Step::read(step) else { panic!("no call") };
        assert_eq!(call.path, "/pipelines/{id}/stages/{stage:1}");
        assert_eq!(call.body, "{\"a\": 1}");
        assert_eq!(call.headers, [("X-SPINNAKER-USER".to_owned(), "alice".to_owned())]);
        assert_eq!((call.method.as_str(), call.http), ("PATCH", 200));
    }

    #[test]
    fn a_step_in_unknown_words_is_an_error() {
        let line = r#"{"id": "x", "steps": ["stand on one leg"], "observed": {}}"#;
        let error = Case::read(line, "1", "").map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("stand on one leg"), "{error}");
    }
}
