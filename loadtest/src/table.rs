//! Figures as a table for people.

use serde_json::Value;

/// Between the names of a figure and of what it is a part of.
const PART: &str = " · ";

/// One line for each figure, with its names in front; what is not known is `–`.
pub fn of(figures: &Value) -> String {
    let mut rows = Vec::new();
    add(&mut rows, String::new(), figures);
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

fn add(rows: &mut Vec<(String, String)>, name: String, value: &Value) {
    let below = |part: &str| match name.is_empty() {
        true => part.to_owned(),
        false => format!("{name}{PART}{part}"),
    };
    match value {
        Value::Object(parts) => {
            parts.iter().for_each(|(part, value)| add(rows, below(part), value));
        }
        Value::Array(parts) => {
            (1..).zip(parts).for_each(|(at, value)| add(rows, below(&format!("{at}")), value));
        }
        Value::Null => rows.push((name, "–".to_owned())),
        Value::String(text) => rows.push((name, text.clone())),
        Value::Bool(_) | Value::Number(_) => rows.push((name, value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_figure_has_the_names_of_what_it_is_part_of() {
        let figures = json!({ "ms": { "p50": 1.5, "p99": null }, "kills": [{ "of": "a" }] });
        assert_eq!(of(&figures), "ms · p50        1.5\nms · p99        –\nkills · 1 · of  a\n");
    }
}
