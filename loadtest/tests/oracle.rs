//! What a real Orca answered to small pipelines, asked of our engine.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "oracle/case.rs"]
mod case;
#[path = "oracle/compare.rs"]
mod compare;
#[path = "oracle/concurrency.rs"]
mod concurrency;
#[path = "oracle/differences.rs"]
mod differences;
#[path = "oracle/orca.rs"]
mod orca;
#[path = "oracle/stub.rs"]
mod stub;

use std::collections::BTreeMap;

/// The categories whose stage types and calls are built; the rest of a category that needs more is
/// counted by what it needs.
const CATEGORIES: [&str; 10] = [
    "shapes",
    "failure",
    "enabled",
    "expression",
    "expression-v4",
    "parameters",
    "judgment",
    "control",
    "child",
    "webhook",
];

#[test]
fn what_orca_answered_is_what_we_answer() {
    let cases = case::all();
    let mut agree = 0;
    let mut decided = BTreeMap::new();
    let mut not_built = BTreeMap::<String, Vec<String>>::new();
    let mut wrong = Vec::new();
    for case in cases.iter().filter(|case| CATEGORIES.contains(&case.category.as_str())) {
        if let Some(what) = case.not_built() {
            not_built.entry(what).or_default().push(case.id.clone());
            continue;
        }
        let found = compare::all(case, &orca::ask(case));
        match (found.is_empty(), differences::reason(&case.id)) {
            (true, None) => agree += 1,
            (true, Some(_)) => wrong.push(format!("{}: does not differ any more", case.id)),
            (false, Some(why)) => drop(decided.insert(case.id.clone(), why)),
            (false, None) => wrong.push(format!("{} ({}): {found:#?}", case.id, case.what)),
        }
    }
    for (what, ids) in &not_built {
        println!("needs {what}: {}", ids.join(", "));
    }
    for (id, why) in &decided {
        println!("{id} differs: {why}");
    }
    let untouched: usize = not_built.values().map(Vec::len).sum();
    println!("{agree} agree, {} differ by decision, {untouched} need more", decided.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
