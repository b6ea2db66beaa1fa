//! Steps that take time, and the table of where it went.

use std::fmt::Write;
use std::time::Duration;

use shared_testkit::deadline::Stopwatch;

/// What was done, how long it took, whether it went well.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<Step>);

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    note: String,
}

impl Steps {
    /// Does something and notes its time.
    pub(crate) fn time<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        crate::say(name);
        let stopwatch = Stopwatch::start();
        let result = work();
        self.note(name, stopwatch.elapsed(), String::new());
        result
    }

    /// Notes a time that was measured elsewhere.
    pub(crate) fn note(&mut self, name: &str, took: Duration, note: String) {
        self.0.push(Step { name: name.to_owned(), took, note });
    }

    /// Adds words to the step that was noted last.
    pub(crate) fn remark(&mut self, note: &str) {
        if let Some(step) = self.0.last_mut() {
            note.clone_into(&mut step.note);
        }
    }

    /// One line a step, and their sum.
    pub(crate) fn table(&self) -> String {
        let width = self.0.iter().map(|step| step.name.len()).max().unwrap_or_default().max(5);
        let mut text = "Where the time went:\n".to_owned();
        for Step { name, took, note } in &self.0 {
            // Writing to a text can't fail.
            let _ = writeln!(text, "  {name:<width$}  {:>7.1} s  {note}", took.as_secs_f64());
        }
        let total: Duration = self.0.iter().map(|step| step.took).sum();
        let _ = writeln!(text, "  {:<width$}  {:>7.1} s", "total", total.as_secs_f64());
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_sums_up() {
        let mut steps = Steps::default();
        steps.note("build", Duration::from_millis(61_500), String::new());
        steps.note("unit tests", Duration::from_millis(2_250), "3 tests".to_owned());
        let expected = "\
Where the time went:
  build          61.5 s
  unit tests      2.2 s  3 tests
  total          63.8 s
";
        assert_eq!(steps.table(), expected);
    }
}
