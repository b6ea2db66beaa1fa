//! Under which conditions an execution begins (reference §2.6).

use jiff::Timestamp;
use scheduler_engine::StartRule;
use serde_json::Value;
use shared_model::Pipeline;

/// What a document says. Only executions of a saved pipeline wait for each other.
pub(super) fn of(pipeline: &Pipeline, is_orchestration: bool) -> StartRule {
    let is_saved = pipeline.config_id().is_some() && !is_orchestration;
    StartRule {
        running_max: running_max(pipeline).filter(|_| is_saved),
        keeps_waiting: is_true(pipeline, "keepWaitingPipelines"),
        expires_at: expires_at(pipeline),
    }
}

/// `limitConcurrent` wins over `maxConcurrentExecutions` (reference §4.9).
fn running_max(pipeline: &Pipeline) -> Option<u32> {
    if is_true(pipeline, "limitConcurrent") {
        return Some(1);
    }
    let max = number(pipeline.raw.get("maxConcurrentExecutions")?)?;
    (max > 0).then(|| u32::try_from(max).unwrap_or(u32::MAX))
}

fn expires_at(pipeline: &Pipeline) -> Option<Timestamp> {
    let millis = number(pipeline.raw.get("startTimeExpiry")?)?;
    Timestamp::from_millisecond(millis).ok()
}

fn is_true(pipeline: &Pipeline, key: &str) -> bool {
    match pipeline.raw.get(key) {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(document: Value) -> StartRule {
        of(&Pipeline::from_value(document).unwrap(), false)
    }

    #[test]
    fn a_limit_is_read_from_its_two_fields() {
        let max = |document| rule(document).running_max;
        assert_eq!(max(json!({"id": "p"})), None, "absent means none");
        assert_eq!(max(json!({"id": "p", "limitConcurrent": true})), Some(1));
        assert_eq!(max(json!({"id": "p", "maxConcurrentExecutions": "3"})), Some(3));
        assert_eq!(max(json!({"id": "p", "maxConcurrentExecutions": 0})), None);
        let both = json!({"id": "p", "limitConcurrent": true, "maxConcurrentExecutions": 3});
        assert_eq!(max(both), Some(1), "the stricter word wins");
        assert_eq!(max(json!({"limitConcurrent": true})), None, "nothing saved, no limit");
    }

    #[test]
    fn an_expiry_is_in_milliseconds() {
        let read = rule(json!({"startTimeExpiry": "1500"})).expires_at;
        assert_eq!(read, Timestamp::from_millisecond(1_500).ok());
        assert_eq!(rule(json!({"startTimeExpiry": "soon"})).expires_at, None);
    }
}
