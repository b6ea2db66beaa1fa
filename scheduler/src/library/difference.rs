//! PURE: where two documents differ, for whoever has to bring them together.

use serde_json::Value;
use shared_model::Object;

/// Differences that are told; there may be more.
const SHOWN_MAX: usize = 10;
/// Length of a value that is told.
const VALUE_CHARS_MAX: usize = 60;
/// What every save writes anew.
const OF_EVERY_SAVE: [&str; 2] = ["updateTs", "lastModifiedBy"];

/// Where a document that is saved and one that is sent differ, one line a place.
pub(super) fn of(saved: &Object, sent: &Object) -> Vec<String> {
    let mut found = Vec::new();
    let written = |object: &Object| {
        let own = object.iter().filter(|(key, _)| !OF_EVERY_SAVE.contains(&key.as_str()));
        Value::Object(own.map(|(key, value)| (key.clone(), value.clone())).collect())
    };
    compare("", Some(&written(saved)), Some(&written(sent)), &mut found);
    let more = found.len().saturating_sub(SHOWN_MAX);
    found.truncate(SHOWN_MAX);
    if more > 0 {
        found.push(format!("and {more} more places"));
    }
    found
}

fn compare(at: &str, saved: Option<&Value>, sent: Option<&Value>, found: &mut Vec<String>) {
    match (saved, sent) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let name = key.replace('~', "~0").replace('/', "~1");
                compare(&format!("{at}/{name}"), old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                compare(&format!("{at}/{index}"), old.get(index), new.get(index), found);
            }
        }
        (old, new) if old == new => {}
        (old, new) => found.push(format!("`{at}` is {} there and {} here", shown(old), shown(new))),
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "missing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn between(saved: &Value, sent: &Value) -> Vec<String> {
        of(saved.as_object().unwrap(), sent.as_object().unwrap())
    }

    #[test]
    fn each_place_is_told_with_both_values() {
        let saved = json!({"name": "a", "updateTs": "1", "stages": [{"waitTime": 5}, {"a/b": 1}]});
        let sent = json!({"name": "a", "updateTs": "2", "stages": [{"waitTime": 7}], "x": true});
        assert_eq!(
            between(&saved, &sent),
            [
                "`/stages/0/waitTime` is 5 there and 7 here",
                "`/stages/1` is {\"a/b\":1} there and missing here",
                "`/x` is missing there and true here"
            ]
        );
        assert!(between(&saved, &saved).is_empty());
    }

    #[test]
    fn what_is_told_stays_short() {
        let saved = json!({"list": (0..50).collect::<Vec<i32>>(), "text": ""});
        let sent = json!({"list": (50..100).collect::<Vec<i32>>(), "text": "é".repeat(1_000)});
        let told = between(&saved, &sent);
        assert_eq!(told.len(), SHOWN_MAX + 1);
        assert_eq!(told.last().unwrap(), "and 41 more places");
        assert!(shown(Some(&sent["text"])).chars().count() <= VALUE_CHARS_MAX + 1);
    }
}
