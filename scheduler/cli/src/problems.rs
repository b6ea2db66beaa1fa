//! What is wrong with a document, for people: what, which file and line, what to do.

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report,
    Severity as Shade, SourceSpan,
};
use shared_model::{Problem, Severity};

use crate::document::Source;
use crate::terminal::{Terminal, clean};

/// Problems that are shown of one document; the others are counted.
const SHOWN_MAX: usize = 50;
/// Longest line of a document that is shown, in bytes.
const LINE_BYTES_MAX: usize = 300;
/// Columns of a terminal.
const WIDTH: usize = 100;

/// Shows problems in their order; whether there is an error among them.
pub(crate) fn show(source: &Source, problems: &[Problem], terminal: &Terminal) -> bool {
    let text = clean(&source.text);
    for problem in problems.iter().take(SHOWN_MAX) {
        terminal.write(rendered(&source.name, &text, problem, terminal).trim_end());
    }
    if let Some(more) = problems.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        terminal.say(&format!("… and {more} more"));
    }
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

fn rendered(name: &str, text: &str, problem: &Problem, terminal: &Terminal) -> String {
    let (word, shade) = match problem.severity {
        Severity::Error => ("error", Shade::Error),
        Severity::Warning => ("warning", Shade::Warning),
    };
    let pointer = clean(&problem.pointer);
    let span = problem.line.and_then(|line| span(text, line));
    let message = clean(&problem.message);
    let message = match (span, problem.line) {
        (Some(_), _) => format!("{word}[{}]: {message}", problem.code),
        (None, Some(line)) => format!("{word}[{}]: {name}:{line} {pointer}: {message}", problem.code),
        (None, None) => format!("{word}[{}]: {name} {pointer}: {message}", problem.code),
    };
    let mut diagnostic = MietteDiagnostic::new(message).with_severity(shade);
    if let Some(span) = span {
        let label = Some(pointer).filter(|pointer| !pointer.is_empty());
        diagnostic = diagnostic.with_label(LabeledSpan::new_with_span(label, span));
    }
    if !problem.hint.is_empty() {
        diagnostic = diagnostic.with_help(clean(&problem.hint));
    }
    let report = Report::new(diagnostic).with_source_code(NamedSource::new(name, text.to_owned()));
    let mut out = String::new();
    // Writing to a text cannot fail; the message itself is shown if it does.
    match handler(terminal).render_report(&mut out, report.as_ref()) {
        Ok(()) => out,
        Err(_) => clean(&problem.to_string()),
    }
}

fn handler(terminal: &Terminal) -> GraphicalReportHandler {
    let theme = match (terminal.is_live(), terminal.has_color()) {
        (_, true) => GraphicalTheme::unicode(),
        (true, false) => GraphicalTheme::unicode_nocolor(),
        (false, false) => GraphicalTheme::none(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_context_lines(0);
    // What reads a pipe searches for texts: they stay on one line there.
    if terminal.is_live() { handler.with_width(WIDTH) } else { handler.with_wrap_lines(false) }
}

/// A line's text without its indentation; `None` if it is too long to be shown.
fn span(text: &str, line: usize) -> Option<SourceSpan> {
    let mut start = 0;
    let found = text
        .split_inclusive('\n')
        .inspect(|line| start += line.len())
        .nth(line.checked_sub(1)?)?;
    let begin = start - found.len();
    let indent = found.len() - found.trim_start().len();
    let length = found.trim().len();
    (length > 0 && found.len() <= LINE_BYTES_MAX).then(|| (begin + indent, length).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_without_its_indentation() {
        let span = |line| super::span("{\n  \"a\": 1,\n\n}\n", line);
        assert_eq!(span(1), Some((0, 1).into()));
        assert_eq!(span(2), Some((4, 7).into()));
        assert_eq!(span(3), None);
        assert_eq!(span(9), None);
        assert_eq!(span(0), None);
    }

    #[test]
    fn a_problem_names_file_line_and_remedy() {
        let terminal = Terminal::new(clap::ColorChoice::Never);
        let problem = Problem::error("bad", "/a", "a is\u{1b} bad", "mend it").at_line(Some(2));
        let shown = rendered("p.json", "{\n  \"a\": 1\n}", &problem, &terminal);
        for part in ["error[bad]: a is\u{fffd} bad", "p.json:2:3", "\"a\": 1", "/a", "mend it"] {
            assert!(shown.contains(part), "`{part}` is missing in:\n{shown}");
        }
        let long = format!("[{}]", "1,".repeat(LINE_BYTES_MAX));
        let shown = rendered("p.json", &long, &problem.at_line(Some(1)), &terminal);
        assert!(shown.contains("p.json:1 /a: a is") && shown.len() < 200, "{shown}");
    }
}
