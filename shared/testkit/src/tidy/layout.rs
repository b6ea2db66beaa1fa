//! Where files lie and what they are called.

use std::collections::BTreeSet;

use super::Repository;

/// Everything visible at the top.
const TOP_LEVEL: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bake",
    "deploy",
    "loadtest",
    "scheduler",
    "shared",
    "worker",
];

/// Names that say nothing about what is inside.
const DRAWERS: [&str; 7] = ["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// Files and folders with names that hide what they hold.
pub fn names(repository: &Repository) -> Vec<String> {
    let mut found = Vec::new();
    for path in repository.files.keys() {
        if path.rsplit('/').next() == Some("mod.rs") {
            found
                .push(format!("{path}: name the file like its module, beside the module's folder"));
        }
        let drawer = path.split('/').find(|part| is_drawer(part));
        found.extend(
            drawer.map(|part| format!("{path}: `{part}` says nothing about what is inside")),
        );
    }
    let drawers = repository.crates.iter().filter(|krate| krate.name.split('-').any(is_drawer));
    found.extend(drawers.map(|krate| format!("crate {}: its name says nothing", krate.name)));
    found
}

/// Visible entries at the top that nobody listed.
pub fn top_level(repository: &Repository) -> Vec<String> {
    let entries: BTreeSet<&str> =
        repository.files.keys().map(|path| path.split('/').next().unwrap_or(path)).collect();
    entries
        .into_iter()
        .filter(|entry| !entry.starts_with('.') && !TOP_LEVEL.contains(entry))
        .map(|entry| format!("`{entry}` at the top: put it into the room that it belongs to"))
        .collect()
}

/// Differences between the crates that cargo knows and the folders with a manifest; one that is a
/// workspace of its own is built with other flags (`scheduler/expression/fuzz`).
pub fn members(repository: &Repository) -> Vec<String> {
    let is_whole = |text: &str| text.lines().any(|line| line == "[workspace]");
    let manifests = repository.files.iter().filter(|(_, text)| !is_whole(text));
    let folders: BTreeSet<&str> =
        manifests.filter_map(|(path, _)| path.strip_suffix("/Cargo.toml")).collect();
    let members: BTreeSet<&str> =
        repository.crates.iter().map(|krate| krate.folder.as_str()).collect();
    let unlisted = folders.difference(&members);
    let missing = members.difference(&folders);
    unlisted
        .map(|folder| format!("{folder} has a manifest and is not a member of the workspace"))
        .chain(missing.map(|folder| format!("member {folder} has no manifest that git tracks")))
        .collect()
}

fn is_drawer(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    DRAWERS.contains(&stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{Crate, with_files};

    #[test]
    fn names_that_hide_are_found() {
        let mut repository = with_files([
            ("a/src/mod.rs", ""),
            ("a/src/utils.rs", ""),
            ("a/common/b.rs", ""),
            ("a/community.rs", ""),
        ]);
        repository.crates.push(Crate { name: "shared-helpers".to_owned(), ..Crate::default() });
        assert_eq!(names(&repository).len(), 4);
    }

    #[test]
    fn an_entry_at_the_top_is_found() {
        let repository = with_files([("scripts/x.sh", ""), ("shared/y.rs", ""), (".ci/run", "")]);
        let found = top_level(&repository);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("`scripts`"));
    }

    #[test]
    fn a_folder_that_is_no_member_is_found_and_the_reverse() {
        let mut repository = with_files([
            ("a/Cargo.toml", ""),
            ("b/Cargo.toml", ""),
            ("b/fuzz/Cargo.toml", "[workspace]\n"),
        ]);
        for folder in ["a", "c"] {
            repository.crates.push(Crate { folder: folder.to_owned(), ..Crate::default() });
        }
        assert_eq!(
            members(&repository),
            [
                "b has a manifest and is not a member of the workspace",
                "member c has no manifest that git tracks"
            ]
        );
    }
}
