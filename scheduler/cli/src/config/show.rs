//! `capstan config show`: what holds, and why.

use anyhow::Result;
use clap::{Args, Subcommand};
use figment2::Figment;
use serde_json::{Map, Value, json};

use super::{Role, SourceArgs, read};
use crate::output::{Format, Rows};

/// Where a value comes from that nobody gave.
const DEFAULT: &str = "default";

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the effective settings, and where each came from. Secrets are shown as `***`.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// As this role reads them [default: all there are].
    #[arg(long, value_enum)]
    role: Option<Role>,
    #[command(flatten)]
    sources: SourceArgs,
    /// How they are shown on stdout.
    #[arg(long, short = 'o', value_enum, default_value = "table")]
    output: Format,
}

/// One setting.
struct Line {
    key: String,
    value: Value,
    from: String,
}

/// Runs the command.
///
/// # Errors
/// A setting that is wrong.
pub(crate) fn run(arguments: &ConfigArgs) -> Result<u8> {
    let Command::Show(arguments) = &arguments.command;
    let effective = read(arguments.role, &arguments.sources, Vec::new())?;
    let mut lines = Vec::new();
    if let Value::Object(sections) = serde_json::to_value(&effective.settings)? {
        let shown = |section: &String| !arguments.role.is_some_and(|role| role.ignores(section));
        for (section, value) in sections.into_iter().filter(|(section, _)| shown(section)) {
            note(&effective.figment, &section, value, &mut lines);
        }
    }
    let all = lines
        .iter()
        .map(|line| (line.key.clone(), json!({ "value": line.value, "from": line.from })));
    let all = Value::Object(all.collect::<Map<_, _>>());
    arguments.output.print(&all, || rows(lines))?;
    Ok(0)
}

fn note(figment: &Figment, key: &str, value: Value, lines: &mut Vec<Line>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (below, value) in members {
                note(figment, &format!("{key}.{below}"), value, lines);
            }
        }
        value @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_)) => {
            let found = figment.find_metadata(key).map(|about| about.name.to_string());
            let from = found.unwrap_or_else(|| DEFAULT.to_owned());
            lines.push(Line { key: key.to_owned(), value, from });
        }
    }
}

fn rows(lines: Vec<Line>) -> Rows {
    let rows = lines.into_iter().map(|Line { key, value, from }| {
        let shown = match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text,
            value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                value.to_string()
            }
        };
        vec![key, shown, from]
    });
    Rows { titles: &["KEY", "VALUE", "FROM"], rows: rows.collect() }
}
