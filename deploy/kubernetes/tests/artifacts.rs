//! The public cases of artifacts in manifests: all agree.

use deploy_kubernetes::corpus::artifacts;

#[test]
fn the_public_cases_agree() {
    let file = shared_testkit::env::corpus_dir().join("artifacts.jsonl");
    let cases = artifacts::run(&file).unwrap();
    assert!(!cases.is_empty());
    for case in &cases {
        assert!(case.passed, "{}: expected {}, got {}", case.id, case.expected, case.got);
    }
}
