//! Text → JSON document within limits, and the way back from a JSON pointer to a line.

use serde_json::Value;

use crate::{Limits, Problem};

/// Reads a JSON document.
///
/// # Errors
/// One [`Problem`] with line and column if the text is too long, nests too deep or is not JSON.
pub fn json(text: &str, limits: &Limits) -> Result<Value, Problem> {
    check_size(text, limits)?;
    check_depth(text, limits)?;
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Problem {
    let line = error.line();
    Problem::error(
        "document-unreadable",
        "",
        format!("not readable as JSON: {error}"),
        "mend the JSON at that place; `jq . FILE` shows it too",
    )
    .at_line((line > 0).then_some(line))
}

fn check_size(text: &str, limits: &Limits) -> Result<(), Problem> {
    let max = limits.document_bytes_max;
    if text.len() <= max {
        return Ok(());
    }
    Err(Problem::error(
        "document-too-large",
        "",
        format!("the document has {} bytes, the limit is {max} (document_bytes_max)", text.len()),
        "move large texts into artifacts, or split the pipeline",
    ))
}

/// Checked on the text, before any parser recurses.
fn check_depth(text: &str, limits: &Limits) -> Result<(), Problem> {
    let max = limits.document_depth_max;
    let (mut depth, mut line, mut in_string, mut escaped) = (0_usize, 1_usize, false, false);
    for byte in text.bytes() {
        match byte {
            b'\n' => line += 1,
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max {
            return Err(too_deep(max, line));
        }
    }
    Ok(())
}

fn too_deep(max: usize, line: usize) -> Problem {
    Problem::error(
        "document-too-deep",
        "",
        format!("the document nests deeper than {max} levels (document_depth_max)"),
        "flatten it",
    )
    .at_line(Some(line))
}

/// The line, from 1, at which the value of `pointer` begins in a JSON `text`; the last key that
/// exists on the way there if the value itself does not. `None` if the text is not JSON.
pub fn line_of(text: &str, pointer: &str) -> Option<usize> {
    let at = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut scan = Scan { bytes: text.as_bytes(), at };
    let mut found = scan.skip_space()?;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        match scan.enter(&token) {
            Some(at) => found = at,
            None => break,
        }
    }
    Some(1 + text.as_bytes()[..found].iter().filter(|b| **b == b'\n').count())
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// Moves to the value of `token` in the container that begins here and returns its place.
    fn enter(&mut self, token: &str) -> Option<usize> {
        self.skip_space()?;
        match self.bytes[self.at] {
            b'{' => self.enter_object(token),
            b'[' => self.enter_array(token.parse().ok()?),
            _ => None,
        }
    }

    fn enter_object(&mut self, token: &str) -> Option<usize> {
        self.at += 1;
        loop {
            self.skip_separators()?;
            let start = self.at;
            self.skip_value()?;
            let key: String = serde_json::from_slice(&self.bytes[start..self.at]).ok()?;
            self.skip_separators()?;
            if key == token {
                return Some(start);
            }
            self.skip_value()?;
        }
    }

    fn enter_array(&mut self, index: usize) -> Option<usize> {
        self.at += 1;
        for _ in 0..index {
            self.skip_separators()?;
            self.skip_value()?;
        }
        self.skip_separators()?;
        (self.bytes[self.at] != b']').then_some(self.at)
    }

    fn skip_value(&mut self) -> Option<()> {
        match *self.bytes.get(self.at)? {
            b'"' => self.skip_string(),
            b'{' | b'[' => self.skip_container(),
            b'}' | b']' => None,
            _ => {
                while self.bytes.get(self.at).is_some_and(|b| !b",]} \n\r\t:".contains(b)) {
                    self.at += 1;
                }
                Some(())
            }
        }
    }

    fn skip_container(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match *self.bytes.get(self.at)? {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                _ => self.at += 1,
            }
        }
    }

    fn skip_separators(&mut self) -> Option<usize> {
        while self.bytes.get(self.at).is_some_and(|b| b", :\n\r\t".contains(b)) {
            self.at += 1;
        }
        (self.at < self.bytes.len()).then_some(self.at)
    }

    fn skip_space(&mut self) -> Option<usize> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        (self.at < self.bytes.len()).then_some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_brackets_are_refused_before_a_parser_sees_them() {
        let text = "[".repeat(100_000);
        let problem = json(&text, &Limits::default()).unwrap_err();
        assert_eq!(problem.code, "document-too-deep");
        assert_eq!(problem.line, Some(1));
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        let text = format!("{{\"a\": \"{}\\\"[\"}}", "[".repeat(1_000));
        assert!(json(&text, &Limits::default()).is_ok());
    }

    #[test]
    fn a_size_over_the_limit_is_named() {
        let limits = Limits { document_bytes_max: 3, ..Limits::default() };
        let problem = json("[1, 2]", &limits).unwrap_err();
        assert!(problem.message.contains("6 bytes, the limit is 3 (document_bytes_max)"));
    }

    #[test]
    fn a_missing_comma_has_a_line() {
        let problem = json("{\n \"a\": 1\n \"b\": 2}", &Limits::default()).unwrap_err();
        assert_eq!(problem.line, Some(3));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_document() {
        assert!(json("\u{feff}{\"a\": 1}", &Limits::default()).is_ok());
        assert_eq!(line_of("\u{feff}{\n \"a\": 1}", "/a"), Some(2));
    }

    #[test]
    fn pointers_lead_back_to_lines() {
        let text = "{\n \"x\": [\"a,]\\\"\", {}],\n \"stages\": [\n  {\"refId\": \"1\"},\n  {\"a/b\":\n 2}\n ]\n}";
        assert_eq!(line_of(text, ""), Some(1));
        assert_eq!(line_of(text, "/stages"), Some(3));
        assert_eq!(line_of(text, "/stages/0/refId"), Some(4));
        assert_eq!(line_of(text, "/stages/1/a~1b"), Some(5));
        assert_eq!(line_of(text, "/stages/1/missing"), Some(5));
        assert_eq!(line_of(text, "/stages/7"), Some(3));
    }
}
