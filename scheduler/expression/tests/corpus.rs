//! The public cases: at least 99 in 100 must agree, README.md says why of each that does not, and every
//! line must give a result.

use scheduler_expression::corpus;

#[test]
fn the_public_cases_agree() {
    let file = shared_testkit::env::corpus_dir().join("expressions.jsonl");
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", file.display()));
    let results = corpus::run(&text);
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    assert_eq!(results.len(), lines, "every line gives a result");
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    for case in &failed {
        println!("{}: expected {}, got {}", case.id, case.expected, case.got);
    }
    println!("{} of {lines} agree", lines - failed.len());
    let unexplained: Vec<_> = failed.iter().filter(|case| !corpus::is_listed(&case.id)).collect();
    assert!(unexplained.is_empty(), "README.md says of {} cases not why", unexplained.len());
    assert!(failed.len() * 100 <= lines, "{} of {lines} cases differ", failed.len());
}
