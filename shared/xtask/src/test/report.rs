//! Reads what `cargo test` prints.

use std::time::Duration;

use shared_testkit::deadline::Stopwatch;

/// What each test target did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    targets: Vec<Target>,
    running: Option<Running>,
}

/// One test program, or the documentation tests of one crate.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) took: Duration,
    passed: u64,
    failed: u64,
    ignored: u64,
}

#[derive(Debug)]
struct Running {
    name: String,
    since: Stopwatch,
    // One target may print several results: documentation tests are run in groups.
    results: Vec<[u64; 3]>,
}

impl Target {
    pub(crate) fn summary(&self) -> String {
        let mut text = format!("{} passed, {} failed", self.passed, self.failed);
        if self.ignored > 0 {
            text.push_str(&format!(", {} ignored", self.ignored));
        }
        text
    }
}

impl Report {
    /// Takes in one line of output.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(name) = target_name(line) {
            self.finish();
            self.running = Some(Running { name, since: Stopwatch::start(), results: Vec::new() });
        } else if let (Some(counts), Some(running)) = (counts(line), &mut self.running) {
            running.results.push(counts);
        } else if line.starts_with("error: test failed")
            || line.starts_with("error: doctest failed")
        {
            self.finish();
        }
    }

    /// Something went wrong that is not a test.
    pub(crate) fn add_failure(&mut self, name: &str) {
        let name = name.to_owned();
        self.targets.push(Target { name, took: Duration::ZERO, passed: 0, failed: 1, ignored: 0 });
    }

    /// Every target that ran; the last one counts as ended now.
    pub(crate) fn targets(&mut self) -> &[Target] {
        self.finish();
        &self.targets
    }

    pub(crate) fn passed(&self) -> u64 {
        self.targets.iter().map(|target| target.passed).sum::<u64>() + self.of_running(0)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.targets.iter().map(|target| target.failed).sum::<u64>() + self.of_running(1)
    }

    fn of_running(&self, index: usize) -> u64 {
        let results = self.running.iter().flat_map(|running| &running.results);
        results.map(|counts| counts[index]).sum()
    }

    fn finish(&mut self) {
        let Some(Running { name, since, results }) = self.running.take() else { return };
        let sum = |index: usize| results.iter().map(|counts| counts[index]).sum();
        // A program that ended without a result (an abort, a kill) has failed.
        let failed = if results.is_empty() { 1 } else { sum(1) };
        let took = since.elapsed();
        self.targets.push(Target { name, took, passed: sum(0), failed, ignored: sum(2) });
    }
}

/// `Running unittests src/lib.rs (target/debug/deps/shared_model-0a1b)` or `Doc-tests shared_model`.
fn target_name(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} (documentation)"));
    }
    let (source, program) = line.strip_prefix("Running ")?.strip_suffix(')')?.split_once(" (")?;
    let program = program.rsplit('/').next()?;
    let name = program.rsplit_once('-').map_or(program, |(name, _)| name);
    let source = source.strip_prefix("unittests ").unwrap_or(source);
    Some(format!("{name} ({source})"))
}

/// Passed, failed and ignored of `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
fn counts(line: &str) -> Option<[u64; 3]> {
    let (_, result) = line.split_once("test result: ")?;
    let (_, counts) = result.split_once(". ")?;
    let mut found = [0; 3];
    for (place, word) in found.iter_mut().zip(["passed", "failed", "ignored"]) {
        let part = counts.split(';').find(|part| part.trim().ends_with(word))?;
        *place = part.trim().split(' ').next()?.parse().ok()?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Report {
        let mut report = Report::default();
        text.lines().for_each(|line| report.read(line));
        report.finish();
        report
    }

    fn lines(report: &Report) -> Vec<String> {
        report.targets.iter().map(|t| format!("{}: {}", t.name, t.summary())).collect()
    }

    #[test]
    fn every_target_is_counted() {
        let report = report(
            "     Running unittests src/lib.rs (target/debug/deps/shared_model-0a1b)
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/tidy.rs (/elsewhere/debug/deps/tidy-ffff)
test result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
error: test failed, to rerun pass `-p shared-testkit --test tidy`
   Doc-tests shared_model
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        let expected = [
            "shared_model (src/lib.rs): 3 passed, 0 failed",
            "tidy (tests/tidy.rs): 1 passed, 2 failed, 1 ignored",
            "shared_model (documentation): 3 passed, 0 failed",
        ];
        assert_eq!(lines(&report), expected);
        assert_eq!((report.passed(), report.failed()), (7, 2));
    }

    #[test]
    fn a_program_without_a_result_has_failed() {
        let report = report(
            "     Running unittests src/lib.rs (target/debug/deps/engine-0a1b)
memory allocation of 9 bytes failed
error: test failed, to rerun pass `-p engine --lib`",
        );
        assert_eq!((report.passed(), report.failed()), (0, 1));
    }
}
