//! YAML of the documents' shape (D2), read within limits, and the way back from a pointer to a line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Options, Spanned};
use shared_model::{Limits, Problem};

/// Reads a YAML document.
///
/// # Errors
/// One [`Problem`], with its line, if the text is too long, nests too deep or is not YAML.
pub(crate) fn value(text: &str, limits: &Limits) -> Result<Value, Problem> {
    let (bytes, max) = (text.len(), limits.document_bytes_max);
    if bytes > max {
        return Err(Problem::error(
            "document-too-large",
            "",
            format!("the document has {bytes} bytes, the limit is {max} (document_bytes_max)"),
            "move large texts into artifacts, or split the pipeline",
        ));
    }
    serde_saphyr::from_str_with_options(text, options(limits)).map_err(|error| {
        let line = error.location().and_then(|at| usize::try_from(at.line()).ok());
        let why = format!("not readable as YAML: {}", error.without_snippet());
        Problem::error("document-unreadable", "", why, "mend the YAML at that place").at_line(line)
    })
}

/// YAML 1.2's booleans alone: `no` and `on` are names in pipelines, not truth values. Anchors may not
/// blow a text up.
fn options(limits: &Limits) -> Options {
    serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        budget: serde_saphyr::budget! {
            max_depth: limits.document_depth_max,
            max_documents: 1,
            max_nodes: limits.document_bytes_max,
            max_total_scalar_bytes: limits.document_bytes_max,
        },
    }
}

/// Where everything in a YAML text stands.
pub(crate) struct Lines(Option<Spanned<Node>>);

/// A value's shape, with the places of what is in it.
enum Node {
    Scalar,
    List(Vec<Spanned<Node>>),
    Map(Vec<(String, Spanned<Node>)>),
}

impl Lines {
    /// Reads the places in a text; there are none if it is not YAML.
    pub(crate) fn of(text: &str) -> Self {
        Self(serde_saphyr::from_str_with_options(text, options(&Limits::default())).ok())
    }

    /// The line, from 1, at which the value of a JSON pointer begins, or the last value that exists on
    /// the way there.
    pub(crate) fn line_of(&self, pointer: &str) -> Option<usize> {
        let mut found = self.0.as_ref()?;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let Some(inner) = found.value.enter(&token) else { break };
            found = inner;
        }
        usize::try_from(found.referenced.line()).ok().filter(|line| *line > 0)
    }
}

impl Node {
    fn enter(&self, token: &str) -> Option<&Spanned<Self>> {
        match self {
            Self::Scalar => None,
            Self::List(list) => list.get(token.parse::<usize>().ok()?),
            Self::Map(map) => map.iter().find(|(key, _)| key == token).map(|(_, node)| node),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
        Node::deserialize(inner)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut found = Vec::new();
        while let Some(node) = list.next_element()? {
            found.push(node);
        }
        Ok(Node::List(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut found = Vec::new();
        while let Some(entry) = map.next_entry()? {
            found.push(entry);
        }
        Ok(Node::Map(found))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, Problem> {
        value(text, &Limits::default())
    }

    #[test]
    fn values_are_what_json_would_say() {
        let text = "stages:\n- refId: 1\n  name: no\n  version: 0123\n  on: true\n  x: ${a.b}\n";
        let expected = json!({"stages": [
            {"refId": 1, "name": "no", "version": "0123", "on": true, "x": "${a.b}"}
        ]});
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn a_mistake_has_a_line() {
        let problem = read("a: 1\nb: [1,\nc: 2\n").unwrap_err();
        assert_eq!(problem.code, "document-unreadable");
        assert!(problem.line.is_some_and(|line| line >= 2), "{problem:?}");
        assert_eq!(read("a: 1\na: 2\n").unwrap_err().line, Some(2));
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let last = format!("*a{}, ", n - 1).repeat(10);
            text += &format!("a{n}: &a{n} [{last}]\n");
        }
        assert_eq!(read(&text).unwrap_err().code, "document-unreadable");
        let deep = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&deep).unwrap_err().code, "document-unreadable");
        let large = format!("a: {}", "x".repeat(3 << 20));
        assert_eq!(read(&large).unwrap_err().code, "document-too-large");
    }

    #[test]
    fn pointers_lead_back_to_lines() {
        let text = "application: a\nstages:\n- refId: 1\n  type: wait\n-\n  refId: 2\n  a/b:\n  - x\n";
        let lines = Lines::of(text);
        let found = ["", "/stages", "/stages/0/type", "/stages/1/refId", "/stages/1/a~1b/0", "/no"]
            .map(|pointer| lines.line_of(pointer));
        assert_eq!(found, [Some(1), Some(3), Some(4), Some(6), Some(8), Some(1)]);
    }
}
