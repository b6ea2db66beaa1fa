//! PURE: what a target's status means.

use serde_json::{Value, json};
use shared_model::Object;

use super::error::WebhookError;
use super::fields::{Fields, plain};
use super::json_path::{Found, find};

/// What a status says.
#[derive(Debug, PartialEq)]
pub(super) enum Says {
    Done,
    Goes,
    Canceled(String),
    Failed(String),
}

/// Reads the status in an answer's body, and adds to `monitor` what it says.
///
/// # Errors
/// [`WebhookError::Answer`], in Orca's words where it has some.
pub(super) fn read(
    fields: &Fields,
    body: &Value,
    monitor: &mut Object,
) -> Result<Says, WebhookError> {
    let status = at(&fields.status_path, "status", body, monitor)?;
    let single = plain(&status).ok_or_else(|| {
        monitor.insert("resolvedValue".into(), status.clone());
        let path = &fields.status_path;
        WebhookError::Answer(format!("The json path '{path}' did not resolve to a single value"))
    })?;
    if !fields.progress_path.is_empty() {
        let progress = at(&fields.progress_path, "progress", body, monitor)?;
        let text = plain(&progress).ok_or_else(|| {
            monitor.insert("resolvedValue".into(), progress.clone());
            let path = &fields.progress_path;
            WebhookError::Answer(format!(
                "The json path '{path}' did not resolve to a String value"
            ))
        })?;
        monitor.insert("progressMessage".into(), text.into());
    }
    if let Value::Number(percent) = &status {
        monitor.insert("percentComplete".into(), json!(percent));
        let done = percent.as_f64() == Some(100.0);
        return Ok(if done { Says::Done } else { Says::Goes });
    }
    Ok(meaning(fields, single))
}

fn at(path: &str, what: &str, body: &Value, monitor: &mut Object) -> Result<Value, WebhookError> {
    match find(path, body) {
        Ok(Found::One(value)) => Ok(value),
        Ok(Found::Many(values)) => {
            monitor.insert("resolvedValue".into(), values);
            let text = format!("The json path '{path}' did not resolve to a single value");
            Err(WebhookError::Answer(text))
        }
        Ok(Found::Nothing) => Err(WebhookError::Answer(format!(
            "Unable to parse {what}: JSON property '{path}' not found in response body"
        ))),
        Err(why) => Err(WebhookError::Answer(format!("`{what}JsonPath` is `{path}`: {why}"))),
    }
}

/// A status that stands in several lists means the worst (as in Orca, where later lists win).
fn meaning(fields: &Fields, status: String) -> Says {
    let upper = status.trim().to_uppercase();
    match () {
        () if fields.terminal.contains(&upper) => Says::Failed(status),
        () if fields.canceled.contains(&upper) => Says::Canceled(status),
        () if fields.succeeded.contains(&upper) => Says::Done,
        () => Says::Goes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(more: Value, body: Value) -> (Result<Says, String>, Value) {
        let mut context = json!({
            "url": "u", "waitForCompletion": true, "statusJsonPath": "$.s",
            "successStatuses": "Done, ok", "canceledStatuses": "stopped", "terminalStatuses": "bad",
        });
        let map = context.as_object_mut().unwrap();
        map.extend(more.as_object().unwrap().clone());
        let fields = Fields::read(map).unwrap();
        let mut monitor = Object::new();
        let found = read(&fields, &body, &mut monitor).map_err(|error| error.to_string());
        (found, Value::Object(monitor))
    }

    #[test]
    fn statuses_mean_what_the_document_says() {
        for (status, expected) in [
            (json!("DONE"), Says::Done),
            (json!("Ok"), Says::Done),
            (json!("Stopped"), Says::Canceled("Stopped".into())),
            (json!("bad"), Says::Failed("bad".into())),
            (json!("running"), Says::Goes),
            (json!(true), Says::Goes),
            (json!(""), Says::Goes),
            (json!(100), Says::Done),
            (json!(99.5), Says::Goes),
        ] {
            assert_eq!(says(json!({}), json!({ "s": status })).0, Ok(expected), "{status}");
        }
        let truth = json!({ "successStatuses": "true", "canceledStatuses": "", "terminalStatuses": "false" });
        assert_eq!(says(truth.clone(), json!({ "s": true })).0, Ok(Says::Done));
        assert_eq!(says(truth, json!({ "s": false })).0, Ok(Says::Failed("false".into())));
    }

    #[test]
    fn progress_is_shown_and_what_is_missing_is_named() {
        let more = json!({ "progressJsonPath": "$.p" });
        let (_, monitor) = says(more.clone(), json!({ "s": 42, "p": "half" }));
        assert_eq!(monitor, json!({ "progressMessage": "half", "percentComplete": 42 }));
        let missing = |path: &str, what: &str| {
            Err(format!(
                "Unable to parse {what}: JSON property '{path}' not found in response body"
            ))
        };
        assert_eq!(says(more, json!({ "s": 42 })).0, missing("$.p", "progress"));
        assert_eq!(says(json!({}), json!({})).0, missing("$.s", "status"));
        assert_eq!(says(json!({}), json!("no JSON")).0, missing("$.s", "status"));
        let (error, monitor) = says(json!({}), json!({ "s": ["a", "b"] }));
        assert!(error.unwrap_err().contains("did not resolve to a single value"));
        assert_eq!(monitor, json!({ "resolvedValue": ["a", "b"] }));
        let (error, _) = says(json!({ "statusJsonPath": "$[" }), json!({ "s": "done" }));
        assert!(error.unwrap_err().starts_with("`statusJsonPath` is `$[`"));
    }
}
