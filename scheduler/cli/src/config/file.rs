//! A file of settings.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::given::{Given, Text};

/// Size of a file of settings.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a file, TOML or YAML as its name says.
///
/// # Errors
/// If it cannot be read, or is not what its name says.
pub(super) fn read(file: &Path) -> Result<Vec<Given>> {
    let shown = file.display().to_string();
    let about = std::fs::metadata(file)
        .with_context(|| format!("the configuration file `{shown}` cannot be read"))?;
    ensure!(
        about.len() <= FILE_BYTES_MAX,
        "the configuration file `{shown}` has {} bytes, and at most {FILE_BYTES_MAX} are read; is it \
         another file?",
        about.len()
    );
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the configuration file `{shown}` cannot be read"))?;
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let value: Value = match ending {
        // Neither repeats the text around what it does not understand: there may be secrets in it.
        "toml" => toml::from_str(&text).map_err(|error| broken_toml(&shown, &text, &error))?,
        "yaml" | "yml" | "json" => serde_saphyr::from_str(&text).map_err(|error| {
            let at = error.location().map_or(String::new(), |at| format!(":{}", at.line()));
            anyhow::anyhow!("the configuration file `{shown}`{at} is not YAML")
        })?,
        _ => bail!(
            "the configuration file `{shown}` is neither TOML nor YAML by its name; call it \
             `….toml` or `….yaml`"
        ),
    };
    let mut given = Vec::new();
    match value {
        Value::Object(_) => flatten(&[], value, &shown, &mut given),
        // A YAML file of comments alone.
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            bail!("the configuration file `{shown}` holds no sections such as `worker`")
        }
    }
    Ok(given)
}

fn broken_toml(shown: &str, text: &str, error: &toml::de::Error) -> anyhow::Error {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.lines().count().max(1);
    anyhow::anyhow!("the configuration file `{shown}`:{line} is not TOML: {}", error.message())
}

/// Every leaf with its path.
fn flatten(above: &[String], value: Value, source: &str, given: &mut Vec<Given>) {
    let Value::Object(members) = value else {
        let value = Text::Typed(value);
        return given.push(Given { path: above.to_vec(), value, source: source.to_owned() });
    };
    for (key, value) in members {
        flatten(&[above, &[key]].concat(), value, source, given);
    }
}
