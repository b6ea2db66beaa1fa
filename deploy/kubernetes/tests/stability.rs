//! The public stability cases: all agree.

use deploy_kubernetes::corpus;

#[test]
fn the_public_cases_agree() {
    let cases = corpus::run(&shared_testkit::env::corpus_dir().join("stability")).unwrap();
    assert!(!cases.is_empty());
    for case in &cases {
        assert!(case.passed, "{}: expected {}, got {}", case.id, case.expected, case.got);
    }
}
