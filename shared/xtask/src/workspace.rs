//! What cargo knows about the workspace.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Features that only tests and tools need: those that need the real servers, and those of the
/// corpus runners. They are on wherever everything is built, so that nothing is built twice.
const TEST_FEATURES: [&str; 2] = ["real-servers", "corpus"];

/// A `cargo` that says nothing about itself in colours, so that its output can be read.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(shared_testkit::env::checkout()).env("CARGO_TERM_COLOR", "never");
    command
}

/// The folder of everything built.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str();
    Ok(PathBuf::from(folder.context("`cargo metadata` names no target folder")?))
}

/// `--package` and `--features` arguments: for these packages, or the whole workspace.
pub(crate) fn selection(packages: &[String]) -> Result<Vec<String>> {
    let metadata = metadata()?;
    let mut arguments = if packages.is_empty() { vec!["--workspace".to_owned()] } else { vec![] };
    for package in packages {
        arguments.extend(["--package".to_owned(), package.clone()]);
    }
    let features = test_features(&metadata, packages);
    if !features.is_empty() {
        arguments.extend(["--features".to_owned(), features.join(",")]);
    }
    Ok(arguments)
}

/// The features as `package/feature`, of every package or of those named.
fn test_features(metadata: &Value, packages: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        if !packages.is_empty() && !packages.iter().any(|wanted| wanted == name) {
            continue;
        }
        let has = |feature: &str| package["features"].get(feature).is_some();
        let wanted = TEST_FEATURES.into_iter().filter(|feature| has(feature));
        found.extend(wanted.map(|feature| format!("{name}/{feature}")));
    }
    found
}

fn metadata() -> Result<Value> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version=1"])
        .output()
        .context("failed to start `cargo metadata`")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("failed to read `cargo metadata`")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_features_that_a_package_has_are_turned_on() {
        let metadata = json!({"packages": [
            {"name": "a", "features": {"real-servers": [], "extra": []}},
            {"name": "b", "features": {}},
            {"name": "c", "features": {"corpus": []}},
        ]});
        assert_eq!(test_features(&metadata, &[]), ["a/real-servers", "c/corpus"]);
        assert_eq!(test_features(&metadata, &["c".to_owned()]), ["c/corpus"]);
    }
}
