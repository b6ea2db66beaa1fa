//! Words for people, on stderr.

use std::borrow::Cow;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use shared_runtime::telemetry::{self, Format};

/// Whether lines are JSON, as those of the log then are.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Says everything in a format from here on.
pub(crate) fn in_format(format: Format) {
    IS_JSON.store(format == Format::Json, Ordering::Relaxed);
}

/// Says a line. Whoever listened may be gone (`2>&1 | head`): that is no reason to end a run.
pub(crate) fn say(text: &str) {
    if IS_JSON.load(Ordering::Relaxed) {
        let line = telemetry::json_line("INFO", "capstan", text);
        let _nobody_listens = writeln!(std::io::stderr(), "{line}");
        return;
    }
    let _nobody_listens = writeln!(std::io::stderr(), "{}", printable(text));
}

/// The text without what a terminal obeys instead of showing: documents, charts and servers write
/// part of it.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if is_obeyed(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

fn is_obeyed(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

/// A word as a shell takes it, whatever is in it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded() {
        assert_eq!(printable("a\tb\n\u{1b}[2J\rü"), "a\tb\n\\u{1b}[2J\\rü");
    }

    #[test]
    fn a_shell_takes_a_word_as_it_is() {
        assert_eq!(quoted("./a-b/c=1"), "./a-b/c=1");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
