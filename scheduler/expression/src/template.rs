//! Texts with `${…}` in them.

use crate::Error;

/// One part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// As it is.
    Text(String),
    /// An expression, without its delimiters.
    Expression(String),
}

/// Whether there is anything to evaluate in a text.
pub fn has_expression(text: &str) -> bool {
    text.contains("${")
}

/// Splits a text. Brackets and quotes inside an expression are respected.
///
/// # Errors
/// [`Error::Parse`] if an expression does not end or is empty.
pub(crate) fn parts(text: &str) -> Result<Vec<Part>, Error> {
    let (mut found, mut rest, mut at) = (Vec::new(), text, 0);
    while let Some(start) = rest.find("${") {
        if start > 0 {
            found.push(Part::Text(rest[..start].to_owned()));
        }
        let inside = &rest[start + 2..];
        let end = end_of(inside).ok_or_else(|| Error::Parse {
            message: "No ending suffix '}' for an expression".into(),
            at: at + start,
        })?;
        let expression = inside[..end].trim();
        if expression.is_empty() {
            let message = "No expression defined within delimiter '${}'".into();
            return Err(Error::Parse { message, at: at + start });
        }
        found.push(Part::Expression(expression.to_owned()));
        at += start + 2 + end + 1;
        rest = &inside[end + 1..];
    }
    if !rest.is_empty() || found.is_empty() {
        found.push(Part::Text(rest.to_owned()));
    }
    Ok(found)
}

/// Where the `}` stands that ends an expression.
fn end_of(text: &str) -> Option<usize> {
    let mut open: Vec<char> = Vec::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '}' if open.is_empty() => return Some(at),
            '{' | '(' | '[' => open.push(letter),
            '}' | ')' | ']' => {
                let fits = matches!(
                    (open.pop(), letter),
                    (Some('{'), '}') | (Some('('), ')') | (Some('['), ']')
                );
                if !fits {
                    return None;
                }
            }
            '\'' | '"' => {
                letters.by_ref().find(|(_, c)| *c == letter)?;
            }
            _ => {}
        }
    }
    None
}

/// A text as the summary names it: without delimiters.
pub(crate) fn without_delimiters(text: &str) -> String {
    match parts(text) {
        Ok(parts) => {
            let plain = parts.into_iter().map(|part| match part {
                Part::Text(text) | Part::Expression(text) => text,
            });
            plain.collect()
        }
        Err(_) => text.replace("${", "").replace('}', ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parts(text) {
            Ok(parts) => parts
                .into_iter()
                .map(|part| match part {
                    Part::Text(text) => format!("<{text}>"),
                    Part::Expression(text) => format!("({text})"),
                })
                .collect(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn brackets_and_quotes_inside_are_respected() {
        assert_eq!(shown("a ${b} c${ {1,2}['}'] }"), "<a >(b)< c>({1,2}['}'])");
        assert_eq!(shown("$ {s} #{x}"), "<$ {s} #{x}>");
        assert_eq!(shown(""), "<>");
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        assert!(shown("${a").starts_with("No ending suffix"));
        assert!(shown("x${ }").starts_with("No expression defined"));
        assert!(shown("${a)}").starts_with("No ending suffix"));
    }
}
