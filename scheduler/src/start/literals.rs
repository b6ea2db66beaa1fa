//! Tokens that stand in a document as they are: whoever may read it can read them (D26).

use serde_json::Value;
use shared_model::{Pipeline, Problem};

/// How tokens begin that are known by that, and whose they are.
const PREFIXES: [(&str, &str); 14] = [
    ("ghp_", "GitHub"),
    ("gho_", "GitHub"),
    ("ghs_", "GitHub"),
    ("github_pat_", "GitHub"),
    ("glpat-", "GitLab"),
    ("xoxb-", "Slack"),
    ("xoxp-", "Slack"),
    ("sk_live_", "Stripe"),
    ("AKIA", "AWS"),
    ("AIza", "Google"),
    ("npm_", "npm"),
    ("hvs.", "Vault"),
    ("dop_v1_", "DigitalOcean"),
    ("eyJhbGciOi", "JWT"),
];
/// What follows a prefix of a token, at least.
const REST_CHARS_MIN: usize = 12;
/// How a private key begins, after which comes its kind.
const KEY: &str = "-----BEGIN ";
const KEY_KIND: &str = "PRIVATE KEY-----";
/// Warnings about them in one document.
const WARNINGS_MAX: usize = 10;

/// A warning for each place.
pub(super) fn of(pipeline: &Pipeline) -> Vec<Problem> {
    let mut found = Vec::new();
    for (key, value) in &pipeline.raw {
        look(value, &format!("/{}", escaped(key)), &mut found);
    }
    found
}

fn look(value: &Value, at: &str, found: &mut Vec<Problem>) {
    if found.len() >= WARNINGS_MAX {
        return;
    }
    match value {
        Value::String(text) => found.extend(whose(text).map(|whose| warning(at, whose))),
        Value::Array(list) => {
            let places = list.iter().enumerate();
            places.for_each(|(index, one)| look(one, &format!("{at}/{index}"), found));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, one)| look(one, &format!("{at}/{}", escaped(key)), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn warning(at: &str, whose: &str) -> Problem {
    Problem::warning(
        "secret-in-document",
        at,
        format!(
            "what stands here looks like a secret ({whose}): whoever may read the pipeline has it"
        ),
        "put it where workers read secrets, write `secret://source/name#key` here, and have a new one \
         made: this one is stored",
    )
}

fn whose(text: &str) -> Option<&'static str> {
    if text.split_once(KEY).is_some_and(|(_, rest)| rest.contains(KEY_KIND)) {
        return Some("a private key");
    }
    let of_token = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    text.split(|c: char| !of_token(c)).find_map(|word| {
        let known = PREFIXES.iter().find(|(prefix, _)| word.starts_with(prefix))?;
        (word.len() >= known.0.len() + REST_CHARS_MIN).then_some(known.1)
    })
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_told_by_its_place_and_never_repeated() {
        let token = format!("ghp_{}", "a1B2c3D4e5F6g7H8");
        let key = "-----BEGIN EC PRIVATE KEY-----\nabc";
        let pipeline = Pipeline::from_value(json!({ "stages": [
            { "type": "webhook", "customHeaders": { "A/b": [format!("Bearer {token}")] } },
            { "type": "deployManifest", "manifests": [{ "stringData": { "k": key } }] },
            { "type": "webhook", "url": "secret://file/a#ghp_name", "payload": "AKIA, the airport" },
        ] }))
        .unwrap();
        let found = of(&pipeline);
        let places: Vec<&str> = found.iter().map(|problem| problem.pointer.as_str()).collect();
        let expected = ["/stages/0/customHeaders/A~1b/0", "/stages/1/manifests/0/stringData/k"];
        assert_eq!(places, expected);
        let said = format!("{found:?}");
        assert!(
            said.contains("GitHub") && !said.contains(&token) && !said.contains("abc"),
            "{said}"
        );
    }
}
