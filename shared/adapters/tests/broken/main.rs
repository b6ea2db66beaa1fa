//! The suites can fail: an implementation that breaks one promise fails the checks of that promise.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blobs;
mod broker;
mod documents;
mod journal;
mod leases;

/// Asserts that among the checks that fail are those that are about the broken promise.
fn assert_caught(failures: &[&str], expected: &[&str]) {
    for check in expected {
        let is_caught = failures.iter().any(|failed| failed.ends_with(check));
        assert!(is_caught, "`{check}` passes; there fail only {failures:?}");
    }
}
