//! PURE: JSONPath as Spinnaker's documents write it, on RFC 9535.

use jsonpath_rust::JsonPath;
use serde_json::Value;

/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 1_024;
/// How deep a path may be nested.
const DEPTH_MAX: usize = 16;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// One value.
    One(Value),
    /// Several, of a path that may lead to any number.
    Many(Value),
}

/// Follows a path: one without `$` begins at the root, and names may have any letters (Jayway).
///
/// # Errors
/// What is wrong with the path.
pub(super) fn find(path: &str, body: &Value) -> Result<Found, String> {
    let path = path.trim();
    if path.len() > PATH_BYTES_MAX {
        return Err(format!("it has more than {PATH_BYTES_MAX} bytes (path_bytes_max)"));
    }
    if let Some(arguments) = path.strip_prefix("concat(").and_then(|rest| rest.strip_suffix(')')) {
        return concat(arguments, body);
    }
    let path = standard(path)?;
    // The crate's own error repeats the path over several lines.
    let found = body.query(&path).map_err(|_| "it is no JSONPath such as `$.status`".to_owned())?;
    Ok(match found.as_slice() {
        [] => Found::Nothing,
        [one] => Found::One((*one).clone()),
        many => Found::Many(Value::Array(many.iter().map(|one| (*one).clone()).collect())),
    })
}

/// Jayway's function `concat`: texts in quotes and paths, joined.
fn concat(arguments: &str, body: &Value) -> Result<Found, String> {
    let mut joined = String::new();
    for argument in split(arguments) {
        let argument = argument.trim();
        let quoted = ['"', '\''].iter().find_map(|quote| {
            argument.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote))
        });
        match quoted {
            Some(text) => joined.push_str(text),
            None if argument.starts_with("concat(") => {
                return Err("`concat` within `concat`".into());
            }
            None => match find(argument, body)? {
                Found::One(value) => {
                    joined.push_str(&super::fields::plain(&value).unwrap_or_default())
                }
                Found::Nothing | Found::Many(_) => return Ok(Found::Nothing),
            },
        }
    }
    Ok(Found::One(joined.into()))
}

/// Splits at commas that stand outside of quotes and brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut quote, mut depth, mut begin) = (None, 0_usize, 0);
    let mut parts = Vec::new();
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            (None, _) => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// The path in the standard's form: from the root, and names with unusual letters in brackets.
fn standard(path: &str) -> Result<String, String> {
    let rooted = match path.chars().next() {
        None => return Err("it is empty".to_owned()),
        Some('$') => path.to_owned(),
        Some('@') => format!("${}", &path[1..]),
        Some('[') => format!("${path}"),
        Some(_) => format!("$.{path}"),
    };
    let (mut standard, mut rest) = (String::new(), rooted.as_str());
    while !rest.is_empty() {
        let within = rest.starts_with('[');
        let end = if within { closing(rest)? } else { name_end(rest) };
        let (part, behind) = rest.split_at(end);
        match part
            .strip_prefix("..")
            .map(|name| ("..", name))
            .or(part.strip_prefix('.').map(|n| ("", n)))
        {
            Some((dots, name)) if !within && is_unusual(name) => {
                standard.push_str(&format!(
                    "{dots}['{}']",
                    name.replace('\\', "\\\\").replace('\'', "\\'")
                ));
            }
            Some(_) | None => standard.push_str(part),
        }
        rest = behind;
    }
    Ok(standard)
}

/// Where the bracket ends that the text begins with.
fn closing(text: &str) -> Result<usize, String> {
    let (mut quote, mut depth, mut escaped) = (None, 0_usize, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        if depth > DEPTH_MAX {
            return Err(format!("it is nested more than {DEPTH_MAX} deep (depth_max)"));
        }
        if depth == 0 && quote.is_none() && !escaped {
            return Ok(at + letter.len_utf8());
        }
    }
    Err("it has a `[` without a `]`".to_owned())
}

/// Where the dots and the name end that the text begins with.
fn name_end(text: &str) -> usize {
    let dots = text.len() - text.trim_start_matches('.').len();
    let first = usize::from(dots == 0);
    text[dots..]
        .char_indices()
        .skip(first)
        .find(|(_, letter)| matches!(letter, '.' | '['))
        .map_or(text.len(), |(at, _)| dots + at)
}

fn is_unusual(name: &str) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || letter == '_';
    let digit_first = name.starts_with(|letter: char| letter.is_ascii_digit());
    !name.is_empty()
        && !name.starts_with('.')
        && name != "*"
        && (digit_first || !name.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(value: Value) -> Result<Found, String> {
        Ok(Found::One(value))
    }

    #[test]
    fn paths_lead_where_jayway_leads() {
        let body = json!({
            "status": "DONE", "a": { "b-c": 1, "x.y": 2, "it's": 4, "0": "zero" }, "n": null,
            "list": [{ "name": "x", "ok": true }, { "name": "y", "ok": false }], "id": 7,
        });
        for (path, expected) in [
            ("$.status", one(json!("DONE"))),
            ("status", one(json!("DONE"))),
            (" $['status'] ", one(json!("DONE"))),
            ("[\"status\"]", one(json!("DONE"))),
            ("$", one(body.clone())),
            ("$.a.b-c", one(json!(1))),
            ("$..b-c", one(json!(1))),
            ("$.a.0", one(json!("zero"))),
            ("$.a['x.y']", one(json!(2))),
            ("$.a.it's", one(json!(4))),
            ("$.n", one(json!(null))),
            ("$.list[0].name", one(json!("x"))),
            ("$.list[-1].name", one(json!("y"))),
            ("$.list[?(@.name == 'y')].ok", one(json!(false))),
            ("$.list[*].name", Ok(Found::Many(json!(["x", "y"])))),
            ("$..name", Ok(Found::Many(json!(["x", "y"])))),
            ("$.nothing", Ok(Found::Nothing)),
            ("$.status.nothing", Ok(Found::Nothing)),
            ("concat(\"https://x/\", $.id, '/,y')", one(json!("https://x/7/,y"))),
            ("concat('x', $.nothing)", Ok(Found::Nothing)),
        ] {
            assert_eq!(find(path, &body), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_an_error_and_never_a_panic() {
        let deep = format!("$[?({}@.a{})]", "(".repeat(400), ")".repeat(400));
        let long = format!("$.{}", "x".repeat(2_000));
        for path in [
            "",
            "$[",
            "$.a[?(",
            "$.a[",
            "$['a",
            "$...",
            "$[?(@.a==)]",
            "concat(concat($.a))",
            "é[",
            &deep,
            &long,
        ] {
            assert!(find(path, &json!({ "a": 1 })).is_err(), "{path}");
        }
    }
}
