//! Bytes → lines of text, in bounded memory.

use crate::tool::Limits;

/// Collects bytes until a line is whole or as long as a line may be.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    part: Vec<u8>,
}

impl Splitter {
    /// The lines that end in `bytes`, or are too long to wait for their end.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.grow(&rest[..end], &mut lines);
            lines.push(text(&std::mem::take(&mut self.part)));
            rest = &rest[end + 1..];
        }
        self.grow(rest, &mut lines);
        lines
    }

    /// What is left at the end, if anything.
    pub(super) fn last(&mut self) -> Option<String> {
        let part = std::mem::take(&mut self.part);
        (!part.is_empty()).then(|| text(&part))
    }

    fn grow(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        self.part.extend_from_slice(bytes);
        while self.part.len() > Limits::LINE_BYTES_MAX {
            let rest = self.part.split_off(boundary(&self.part, Limits::LINE_BYTES_MAX));
            lines.push(text(&self.part));
            self.part = rest;
        }
    }
}

/// The last place at or before `at` that is not inside a character of UTF-8.
fn boundary(bytes: &[u8], at: usize) -> usize {
    let is_inside = |place: usize| bytes[place] & 0b1100_0000 == 0b1000_0000;
    // No character is longer than four bytes; what goes on for longer is no UTF-8.
    (at - 3..=at).rev().find(|place| !is_inside(*place)).unwrap_or(at)
}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut lines: Vec<String> = pieces.iter().flat_map(|piece| splitter.push(piece)).collect();
        lines.extend(splitter.last());
        lines
    }

    #[test]
    fn lines_come_whole_however_they_arrive() {
        assert_eq!(split(&[b"on", b"e\r\ntw", b"o\n\nfour"]), ["one", "two", "", "four"]);
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn a_long_line_comes_in_pieces_that_end_between_characters() {
        let long = format!("a{}", "ü".repeat(Limits::LINE_BYTES_MAX));
        let lines = split(&[long.as_bytes(), b"\n"]);
        assert!(lines.iter().all(|line| line.len() <= Limits::LINE_BYTES_MAX));
        assert_eq!(lines.concat(), long);
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let lines = split(&[&[0x80; 40_000], b"\n"]);
        assert_eq!(lines.len(), 3);
        assert!(lines.concat().chars().all(|c| c == '\u{fffd}'));
    }
}
