//! The rules of the repository, applied to the checkout.

use shared_testkit::env::checkout;
use shared_testkit::tidy::Repository;

#[test]
fn the_repository_keeps_its_rules() {
    let repository = Repository::read(checkout()).unwrap();
    assert!(
        repository.files.len() > 50 && repository.crates.len() > 10,
        "the checkout was not read"
    );
    let mut text = String::new();
    for (rule, findings) in repository.findings() {
        for finding in findings {
            text.push_str(&format!("\n  {rule}: {finding}"));
        }
    }
    assert!(text.is_empty(), "against the rules of the repository:{text}");
}
