//! What must not stand in a file.

use super::Repository;

/// More lines than this are two files.
const LINES_MAX: usize = 600;

/// Written by a tool: their length is no question of style, and their hosts are not our words.
const GENERATED: [&str; 2] = ["Cargo.lock", "shared/testkit/cluster/go.sum"];

/// Words that say that something is missing, in pieces so that this file is not found.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("#[ig", "nore"),
];

/// Home folders and other places of one machine, and hosts that serve packages.
const FOREIGN: [&str; 11] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("index.cra", "tes.io"),
    concat!("static.cra", "tes.io"),
    concat!("proxy.gol", "ang.org"),
    concat!("sum.gol", "ang.org"),
    concat!("registry.np", "mjs.org"),
    concat!("py", "pi.org"),
    concat!("files.pythonh", "osted.org"),
];

/// Sources of more than 600 lines.
pub fn long_files(repository: &Repository) -> Vec<String> {
    let sources = repository.files.iter().filter(|(path, _)| is_source(path));
    sources
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path} has {lines} lines of at most {LINES_MAX}: split it"))
        .collect()
}

/// Marks of work that is not done, and tests that are switched off.
pub fn unfinished(repository: &Repository) -> Vec<String> {
    find(repository, is_written_by_hand, |line| {
        UNFINISHED.into_iter().find(|mark| has_word(line, mark))
    })
}

/// Lints that are switched off for good: an expectation tells when it is no longer needed.
pub fn allowed_lints(repository: &Repository) -> Vec<String> {
    let marks = [concat!("#[al", "low("), concat!("#![al", "low(")];
    find(
        repository,
        |path| path.ends_with(".rs"),
        |line| marks.into_iter().find(|mark| line.contains(mark)),
    )
}

/// Places that exist on one machine only.
pub fn foreign_places(repository: &Repository) -> Vec<String> {
    find(repository, is_written_by_hand, |line| {
        FOREIGN.into_iter().find(|place| has_place(line, place))
    })
}

/// A path counts where it begins: `target/work/` is another place than the top folder's.
fn has_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !place.starts_with('/')
            || !before.is_some_and(|c| c.is_alphanumeric() || "_-.~}$)*".contains(c))
    })
}

/// `mark`, not as a part of a longer word.
fn has_word(line: &str, mark: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let ends_in_word = mark.ends_with(char::is_alphanumeric);
    line.match_indices(mark).any(|(start, _)| {
        let goes_before = is_part(line[..start].chars().next_back());
        let goes_on = ends_in_word && is_part(line[start + mark.len()..].chars().next());
        !goes_before && !goes_on
    })
}

fn is_source(path: &str) -> bool {
    ["rs", "ts", "sh", "sql"].iter().any(|ending| path.ends_with(&format!(".{ending}")))
}

fn is_written_by_hand(path: &str) -> bool {
    !GENERATED.contains(&path)
}

fn find(
    repository: &Repository,
    is_meant: impl Fn(&str) -> bool,
    mark_in: impl Fn(&str) -> Option<&'static str>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in repository.files.iter().filter(|(path, _)| is_meant(path)) {
        for (number, line) in (1..).zip(text.lines()) {
            found.extend(mark_in(line).map(|mark| format!("{path}:{number} has `{mark}`")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::with_files;

    #[test]
    fn a_long_source_is_found_and_a_long_document_is_not() {
        let long = "x\n".repeat(601);
        let repository = with_files([("a.rs", &long), ("b.md", &long), ("c.rs", &long[2..])]);
        assert_eq!(long_files(&repository), ["a.rs has 601 lines of at most 600: split it"]);
    }

    #[test]
    fn every_mark_of_unfinished_work_is_found() {
        for mark in UNFINISHED {
            let repository = with_files([("a.rs", &format!("fine\n  {mark} = x"))]);
            assert_eq!(unfinished(&repository), [format!("a.rs:2 has `{mark}`")]);
        }
        let words = with_files([("a.rs", concat!("AUTO", "DO mas", "TO", "DON"))]);
        assert_eq!(unfinished(&words), Vec::<String>::new());
    }

    #[test]
    fn an_allowed_lint_is_found() {
        let text = concat!("#[expect(dead_code)]\n#![al", "low(dead_code)]");
        assert_eq!(allowed_lints(&with_files([("a.rs", text)])).len(), 1);
    }

    #[test]
    fn every_foreign_place_is_found() {
        for place in FOREIGN {
            let repository = with_files([("a.toml", &format!("at = \"{place}x\""))]);
            assert_eq!(foreign_places(&repository), [format!("a.toml:1 has `{place}`")]);
        }
        let ours = with_files([("a.md", concat!("target/ho", "me/x and ${HOME}/wo", "rk/"))]);
        assert_eq!(foreign_places(&ours), Vec::<String>::new());
    }
}
