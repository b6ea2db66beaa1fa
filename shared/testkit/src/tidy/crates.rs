//! How a crate explains itself.

use super::{Crate, Repository};

/// Crates whose README is missing, does not open with one sentence, or has no list of invariants.
pub fn readmes(repository: &Repository) -> Vec<String> {
    repository
        .crates
        .iter()
        .filter_map(|krate| Some(format!("{}: {}", krate.name, readme(repository, krate)?)))
        .collect()
}

/// Crates whose documentation is something else than their README.
pub fn root_documentation(repository: &Repository) -> Vec<String> {
    let includes = |krate: &&Crate| {
        let text = repository.files.get(&krate.root).map(String::as_str).unwrap_or_default();
        text.contains("#![doc = include_str!(\"../README.md\")]")
    };
    let others = repository.crates.iter().filter(|krate| !includes(krate));
    others
        .map(|krate| format!("{} does not include ../README.md as its documentation", krate.root))
        .collect()
}

fn readme(repository: &Repository, krate: &Crate) -> Option<String> {
    let path = format!("{}/README.md", krate.folder);
    let Some(text) = repository.files.get(&path) else {
        return Some(format!("{path} is missing"));
    };
    let opening = opening(text);
    if !is_one_sentence(&opening) {
        return Some(format!("{path} opens with `{opening}`, which is not one sentence"));
    }
    let heading = text.lines().any(|line| line.starts_with('#') && line.ends_with("Invariants"));
    (!heading).then(|| format!("{path} has no list of `Invariants`"))
}

/// The first paragraph after the title, as one line.
fn opening(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.starts_with('#') || line.is_empty());
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn is_one_sentence(text: &str) -> bool {
    let inner = text.trim_end_matches('.');
    let ends_inside = inner
        .match_indices(". ")
        .any(|(at, _)| inner[at + 2..].chars().next().is_some_and(char::is_uppercase));
    !inner.is_empty() && text.ends_with('.') && !ends_inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::with_files;

    fn of(readme: &str) -> Vec<String> {
        let mut repository = with_files([("a/README.md", readme)]);
        let folder = "a".to_owned();
        repository.crates.push(Crate { name: "a".to_owned(), folder, ..Crate::default() });
        readmes(&repository)
    }

    #[test]
    fn a_good_readme_passes() {
        let found =
            of("# a\n\nWhat it is, e.g. this\nand that.\n\nMore.\n\n## Invariants\n\n- x\n");
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_poor_readme_is_found() {
        assert!(of("# a\n\nOne. Two.\n\n## Invariants\n")[0].contains("not one sentence"));
        assert!(of("# a\n\n## Invariants\n")[0].contains("not one sentence"));
        assert!(of("# a\n\nOne.\n")[0].contains("no list of `Invariants`"));
    }

    #[test]
    fn a_missing_readme_is_found() {
        let mut repository = Repository::default();
        repository.crates.push(Crate { folder: "a".to_owned(), ..Crate::default() });
        assert!(readmes(&repository)[0].ends_with("a/README.md is missing"));
    }

    #[test]
    fn a_root_without_the_readme_is_found() {
        let mut repository = with_files([("a/src/lib.rs", "//! Something else.")]);
        repository.crates.push(Crate { root: "a/src/lib.rs".to_owned(), ..Crate::default() });
        assert_eq!(root_documentation(&repository).len(), 1);
    }
}
