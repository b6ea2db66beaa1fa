//! Server-sent events, as the HTML standard reads them.

use std::collections::VecDeque;

/// Length of one event; the server's largest is a piece of a log.
const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// What it is.
    pub(crate) name: String,
    /// Where to go on after it, if it says so.
    pub(crate) id: Option<String>,
    /// Its text.
    pub(crate) data: String,
}

/// Makes events of bytes as they come.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    ready: VecDeque<Event>,
}

/// An event is longer than [`EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Parser {
    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                self.take_line(line.strip_suffix('\r').unwrap_or(&line));
            } else {
                self.line.push(*byte);
            }
            if self.line.len() + self.event.data.len() > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    /// The next event that is whole.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn take_line(&mut self, line: &str) {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => self.take_data(value),
            // An empty field is a comment, by which the server shows that it lives.
            _ => {}
        }
    }

    fn take_data(&mut self, value: &str) {
        if self.has_data {
            self.event.data.push('\n');
        }
        self.event.data.push_str(value);
        self.has_data = true;
    }

    fn dispatch(&mut self) {
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            self.ready.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushed byte by byte, so that every border is met.
    fn parse(text: &str) -> Vec<(String, Option<String>, String)> {
        let mut parser = Parser::default();
        for byte in text.as_bytes() {
            parser.push(&[*byte]).unwrap();
        }
        std::iter::from_fn(|| parser.pop())
            .map(|event| (event.name, event.id, event.data))
            .collect()
    }

    fn event(name: &str, id: Option<&str>, data: &str) -> (String, Option<String>, String) {
        (name.to_owned(), id.map(str::to_owned), data.to_owned())
    }

    #[test]
    fn events_are_read() {
        let text =
            ": hello\n\nevent: history\nid: 7\ndata: {\"a\":1}\n\ndata: ä\r\ndata:  b\r\n\r\n";
        let history = event("history", Some("7"), "{\"a\":1}");
        assert_eq!(parse(text), [history, event("", None, "ä\n b")]);
    }

    #[test]
    fn an_event_without_data_or_end_is_none() {
        assert_eq!(parse("id: 1\n\nevent: end\ndata\n\ndata: cut"), [event("end", None, "")]);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(&vec![b'x'; EVENT_BYTES_MAX + 1]), Err(TooLong));
    }
}
