//! Why an expression has no value.

/// How the message begins of what a function (`#name(…)`) says.
pub(crate) const IN_FUNCTION: &str = "EL1023E: a problem occurred in a function";

/// Why an expression has no value. The text stays as it is then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no expression.
    #[error("{message} (at character {at})")]
    Parse {
        /// What is wrong.
        message: String,
        /// Where, in characters from 0 of the expression.
        at: usize,
    },
    /// It cannot be evaluated.
    #[error("{0}")]
    Evaluate(String),
    /// It asks for something that expressions may not do.
    #[error("{0}")]
    Forbidden(String),
    /// It used up a limit.
    #[error("the expression needs more than {limit} ({name})")]
    Limit {
        /// The limit's name.
        name: &'static str,
        /// The limit.
        limit: u64,
    },
}

impl Error {
    /// The exception's class in Spinnaker, as clients know it from `expressionEvaluationSummary`.
    pub fn exception_type(&self) -> &'static str {
        match self {
            Self::Parse { .. } => "org.springframework.expression.ParseException",
            Self::Evaluate(why) if why.ends_with("/ by zero") => "java.lang.ArithmeticException",
            Self::Evaluate(why) if why.starts_with(IN_FUNCTION) => {
                "com.netflix.spinnaker.kork.expressions.SpelHelperFunctionException"
            }
            Self::Evaluate(_) | Self::Limit { .. } | Self::Forbidden(_) => {
                "org.springframework.expression.spel.SpelEvaluationException"
            }
        }
    }

    pub(crate) fn no_property(name: &str, of: &str) -> Self {
        Self::Evaluate(format!("EL1008E: Property or field '{name}' cannot be found on {of}"))
    }

    pub(crate) fn on_null(name: &str) -> Self {
        Self::Evaluate(format!("EL1007E: Property or field '{name}' cannot be found on null"))
    }

    pub(crate) fn no_method(name: &str, of: &str) -> Self {
        Self::Evaluate(format!("EL1004E: Method call: Method {name}() cannot be found on {of}"))
    }

    pub(crate) fn bad_type(from: &str, to: &str) -> Self {
        Self::Evaluate(format!(
            "EL1001E: Type conversion problem, cannot convert from {from} to {to}"
        ))
    }
}
