//! stderr: messages for people. Whatever a document, a tool or a cluster said is cleaned before it
//! is shown, and nobody listening any more is no reason to stop.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::ColorChoice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the moving line moves.
const TICK: Duration = Duration::from_millis(120);

/// stderr.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    color: bool,
    /// The moving line at the bottom; hidden where nobody watches.
    bar: ProgressBar,
    /// Whether somebody watches.
    live: bool,
}

impl Terminal {
    /// stderr as it is, with colours as asked.
    pub(crate) fn new(color: ColorChoice) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        let live = std::io::stderr().is_terminal() && !dumb;
        let color = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => live && set("NO_COLOR").is_none(),
        };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self { color, bar, live }
    }

    /// Whether colours are used.
    pub(crate) fn has_color(&self) -> bool {
        self.color
    }

    /// Whether somebody watches, so that lines may move.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Shows a line, or several.
    pub(crate) fn say(&self, text: &str) {
        self.write(&clean(text));
    }

    /// Shows text that is clean and may hold colours of ours.
    pub(crate) fn write(&self, text: &str) {
        self.bar.suspend(|| {
            let _nobody_listens = writeln!(std::io::stderr().lock(), "{text}");
        });
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, text: &str) {
        self.write(&format!("{} {}", self.paint("error:", bold(AnsiColor::Red)), clean(text)));
    }

    /// Says what may be wrong.
    pub(crate) fn warning(&self, text: &str) {
        self.write(&format!("{} {}", self.paint("warning:", bold(AnsiColor::Yellow)), clean(text)));
    }

    /// A status in its colour.
    pub(crate) fn status(&self, status: &str, shown: &str) -> String {
        let style = match status {
            "SUCCEEDED" => bold(AnsiColor::Green),
            "TERMINAL" | "CANCELED" | "STOPPED" | "FAILED_CONTINUE" => bold(AnsiColor::Red),
            "RUNNING" => bold(AnsiColor::Cyan),
            _ => Style::new().dimmed(),
        };
        self.paint(&clean(shown), style)
    }

    /// Shows a line at the bottom that moves, where somebody watches.
    pub(crate) fn start_moving(&self) {
        if !self.live {
            return;
        }
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {wide_msg}") {
            self.bar.set_style(style);
        }
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
        self.bar.reset_elapsed();
        self.bar.enable_steady_tick(TICK);
    }

    /// What the moving line says.
    pub(crate) fn moving(&self, text: &str) {
        if self.live {
            self.bar.set_message(clean(text).replace('\n', " "));
        }
    }

    /// Takes the moving line away.
    pub(crate) fn stop_moving(&self) {
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

fn bold(color: AnsiColor) -> Style {
    color.on_default().bold()
}

/// Text without what could move a cursor, set a colour, or turn the direction of reading.
pub(crate) fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harms = |c: char| (c.is_control() && c != '\n' && c != '\t') || turns(c);
    text.replace("\r\n", "\n").chars().map(|c| if harms(c) { '\u{fffd}' } else { c }).collect()
}

/// One word for a shell, whatever it holds.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_cursors_is_taken_out() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc\rd\te"), "a\u{fffd}[2Jb\nc\u{fffd}d\te");
        assert_eq!(clean("x\u{202e}y\u{2066}z\u{9b}"), "x\u{fffd}y\u{fffd}z\u{fffd}");
    }

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(quoted("plain-1.2"), "plain-1.2");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's $(here)"), r"'it'\''s $(here)'");
    }

    #[test]
    fn colours_are_used_only_when_asked() {
        let plain = Terminal::new(ColorChoice::Never);
        assert_eq!(plain.status("TERMINAL", "TERMINAL"), "TERMINAL");
        let always = Terminal::new(ColorChoice::Always);
        assert!(always.status("TERMINAL", "x").starts_with('\u{1b}'));
    }
}
