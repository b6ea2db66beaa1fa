//! What a runner of corpus cases prints and returns; the same for every kind of case.

use std::io::{self, Write};
use std::process::ExitCode;

/// Counts cases. Every case is either passed or failed; there is no third way out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    passed: usize,
    failures: Vec<String>,
}

impl Tally {
    /// A case went as expected.
    pub fn pass(&mut self) {
        self.passed += 1;
    }

    /// A case went otherwise.
    pub fn fail(&mut self, case: &str, expected: &str, got: &str) {
        self.failures.push(format!(
            "{case}: expected {}, got {}",
            one_line(expected),
            one_line(got)
        ));
    }

    /// How many cases went as expected.
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// One line for each case that did not.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Writes a line for each failed case, then `N passed, M failed`; the exit code is 1 if any
    /// failed.
    ///
    /// # Errors
    /// `output` can't be written to.
    pub fn print(&self, output: &mut dyn Write) -> io::Result<ExitCode> {
        for line in &self.failures {
            writeln!(output, "{line}")?;
        }
        writeln!(output, "{} passed, {} failed", self.passed, self.failures.len())?;
        Ok(if self.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A case is one line, whatever is in it.
fn one_line(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_and_counted() {
        let mut tally = Tally::default();
        tally.pass();
        tally.fail("s1", "a\nb", "\"c\"");
        let mut output = Vec::new();
        let code = tally.print(&mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        assert_eq!(text, "s1: expected a\\nb, got \"c\"\n1 passed, 1 failed\n");
        assert_eq!(code, ExitCode::FAILURE);
    }

    #[test]
    fn nothing_failed_is_success() {
        let code = Tally::default().print(&mut Vec::new()).unwrap();
        assert_eq!(code, ExitCode::SUCCESS);
    }
}
