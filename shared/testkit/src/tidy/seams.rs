//! What every extension point must have.

use serde_json::Value;

use super::Repository;

/// Ports without a conformance suite. A port is a file of `shared/ports` with a public trait; its
/// suite has the same name below `conformance`.
pub fn port_suites(repository: &Repository) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in &repository.files {
        let Some(name) = port_name(path).filter(|_| text.contains("pub trait ")) else { continue };
        let suite = format!("shared/ports/src/conformance/{name}.rs");
        if !repository.files.get(&suite).is_some_and(|suite| suite.contains("pub async fn ")) {
            found.push(format!("port {name} has no conformance suite {suite}"));
        }
    }
    found
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
    fn a_port_without_a_suite_is_found() {
        let repository = with_files([
            ("shared/ports/src/lib.rs", "pub mod broker;"),
            ("shared/ports/src/broker.rs", "pub trait Broker {}"),
            ("shared/ports/src/leases.rs", "pub trait Leases {}"),
            ("shared/ports/src/conformance/leases.rs", "pub async fn leases() {}"),
            ("shared/ports/src/blobs.rs", "pub trait Blobs {}"),
            ("shared/ports/src/conformance/blobs.rs", ""),
        ]);
        let found = port_suites(&repository);
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("port blobs") && found[1].contains("port broker"), "{found:?}");
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
