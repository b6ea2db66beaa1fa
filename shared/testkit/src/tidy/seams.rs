//! What every extension point must have.

use serde_json::Value;

use super::Repository;

/// Ports without a conformance suite, and suites that no adapter is held to. A port is a file of
/// `shared/ports` with a public trait; its suite is a function of the same name in a file of the
/// same name below `conformance`.
pub fn port_suites(repository: &Repository) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in &repository.files {
        let Some(name) = port_name(path).filter(|_| text.contains("pub trait ")) else { continue };
        let suite = format!("shared/ports/src/conformance/{name}.rs");
        let function = format!("pub fn {name}()");
        let call = format!("conformance::{name}::{name}()");
        if !repository.files.get(&suite).is_some_and(|suite| suite.contains(&function)) {
            found.push(format!("port {name} has no conformance suite `{function}` in {suite}"));
        } else if !is_called_by_adapters(repository, &call) {
            found.push(format!("no test of shared/adapters calls `{call}`"));
        }
    }
    found
}

fn is_called_by_adapters(repository: &Repository, call: &str) -> bool {
    let tests =
        repository.files.iter().filter(|(path, _)| path.starts_with("shared/adapters/tests/"));
    tests.map(|(_, text)| text).any(|text| text.contains(call))
}

/// Stage types of `names` without a page (a heading with the name in backticks in some README) or
/// without an example (a pipeline below some `examples` folder with a stage of that type).
pub fn stage_types<'a>(
    repository: &Repository,
    names: impl IntoIterator<Item = &'a str>,
) -> Vec<String> {
    let examples: Vec<Value> = pipelines(repository);
    let mut found = Vec::new();
    for name in names {
        if !has_page(repository, name) {
            found.push(format!("stage type {name} has no heading `{name}` in any README"));
        }
        if !examples.iter().any(|pipeline| uses(pipeline, name)) {
            found.push(format!("stage type {name} is in no pipeline below an `examples` folder"));
        }
    }
    found
}

fn port_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix("shared/ports/src/")?.strip_suffix(".rs")?;
    (!name.contains('/')).then_some(name)
}

fn has_page(repository: &Repository, name: &str) -> bool {
    let readmes = repository.files.iter().filter(|(path, _)| path.ends_with("README.md"));
    let quoted = format!("`{name}`");
    readmes
        .flat_map(|(_, text)| text.lines())
        .any(|line| line.starts_with('#') && line.contains(&quoted))
}

fn pipelines(repository: &Repository) -> Vec<Value> {
    let examples = repository
        .files
        .iter()
        .filter(|(path, _)| path.contains("examples/") && path.ends_with(".json"));
    examples.filter_map(|(_, text)| serde_json::from_str(text).ok()).collect()
}

fn uses(pipeline: &Value, name: &str) -> bool {
    pipeline["stages"].as_array().is_some_and(|stages| stages.iter().any(|s| s["type"] == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::with_files;

    #[test]
    fn a_port_without_a_suite_is_found_and_a_suite_without_an_adapter() {
        let repository = with_files([
            ("shared/ports/src/lib.rs", "pub mod broker;"),
            ("shared/ports/src/broker.rs", "pub trait Broker {}"),
            ("shared/ports/src/leases.rs", "pub trait Leases {}"),
            ("shared/ports/src/conformance/leases.rs", "pub fn leases() {}"),
            ("shared/ports/src/blobs.rs", "pub trait Blobs {}"),
            ("shared/ports/src/conformance/blobs.rs", ""),
            ("shared/ports/src/clock.rs", "pub trait Clock {}"),
            ("shared/ports/src/conformance/clock.rs", "pub fn clock() {}"),
            ("shared/adapters/tests/conformance.rs", "conformance::leases::leases().pass(new)"),
        ]);
        assert_eq!(
            port_suites(&repository),
            [
                "port blobs has no conformance suite `pub fn blobs()` in shared/ports/src/conformance/blobs.rs",
                "port broker has no conformance suite `pub fn broker()` in shared/ports/src/conformance/broker.rs",
                "no test of shared/adapters calls `conformance::clock::clock()`",
            ]
        );
    }

    #[test]
    fn a_stage_type_without_page_and_example_is_found() {
        let repository = with_files([
            ("bake/README.md", "# bake\n\n### `bakeManifest`\n\ntext about `wait`\n"),
            ("bake/examples/bake.json", r#"{"stages": [{"type": "wait"}]}"#),
        ]);
        assert_eq!(
            stage_types(&repository, ["bakeManifest", "wait"]),
            [
                "stage type bakeManifest is in no pipeline below an `examples` folder",
                "stage type wait has no heading `wait` in any README"
            ]
        );
    }
}
