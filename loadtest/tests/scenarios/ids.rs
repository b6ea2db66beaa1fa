//! Every scenario and handler rule of the corpus has a test of its id.

use std::collections::BTreeSet;
use std::path::Path;

/// Where such tests are, from the root of the repository.
const FOLDERS: [&str; 3] = ["loadtest/tests", "scheduler/engine/tests", "scheduler/src"];

/// The ids that the table rows of a text begin with: `H12`, `S03`.
fn ids_of(text: &str) -> BTreeSet<String> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_whitespace().next());
    cells.filter(|cell| is_id(cell)).map(str::to_owned).collect()
}

fn is_id(word: &str) -> bool {
    let digits = word.strip_prefix(['H', 'S']).unwrap_or_default();
    digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// The ids that the names of tests in a source begin with: `h12_…`, `h04_h73_…`.
fn tested(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in source.split("fn ").skip(1).filter_map(|rest| rest.split('(').next()) {
        let words = name.split('_').map(str::to_ascii_uppercase);
        found.extend(words.take_while(|word| is_id(word)));
    }
    found
}

fn below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(tested(&std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_id_of_the_corpus_has_a_test_of_its_name() {
    let Some(corpus) = std::env::var_os("CAPSTAN_CORPUS") else {
        println!("CAPSTAN_CORPUS names no corpus: nothing to compare with");
        return;
    };
    let text = std::fs::read_to_string(Path::new(&corpus).join("scenarios.md")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeSet::new();
    FOLDERS.iter().for_each(|folder| below(&root.join(folder), &mut found));
    let asked = ids_of(&text);
    assert!(asked.len() >= 80, "only {} ids were read", asked.len());
    let missing: Vec<_> = asked.difference(&found).collect();
    assert!(missing.is_empty(), "no test is named by {missing:?}");
}

#[test]
fn ids_are_read_from_tables_and_names() {
    let table = "| S01 simple | a |\n| H12 | b |\n| Id | c |\n| H1 | d |\nH13";
    let expected = ["H12", "S01"].map(str::to_owned);
    assert!(ids_of(table).iter().eq(&expected));
    let source = "fn h12_s01_x() {}\nasync fn other_h13() {}";
    assert!(tested(source).iter().eq(&expected));
}
