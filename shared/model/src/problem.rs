//! What is wrong with a document: what, where, and what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether a problem stops a document from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document runs; something in it has no effect or is surprising.
    Warning,
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Whether the document is refused because of it.
    pub severity: Severity,
    /// Stable name of the rule, e.g. `stage-cycle`.
    pub code: String,
    /// JSON pointer (RFC 6901) of the place, e.g. `/stages/3/requisiteStageRefIds/0`.
    pub pointer: String,
    /// Line in the text, from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<usize>,
    /// What is wrong, and why.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Problem {
    /// A problem that refuses the document.
    pub fn error(
        code: &str,
        pointer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            code: code.to_owned(),
            pointer: pointer.into(),
            line: None,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A problem that the document runs in spite of.
    pub fn warning(
        code: &str,
        pointer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, pointer, message, hint) }
    }

    /// The same, with the line at which it stands.
    #[must_use]
    pub fn at_line(self, line: Option<usize>) -> Self {
        Self { line, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "document" } else { &self.pointer };
        match self.line {
            Some(line) => write!(f, "line {line}, {place}: {}", self.message)?,
            None => write!(f, "{place}: {}", self.message)?,
        }
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}
