#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "values and operators are matched in pairs by Java's rules: what is not named does not exist there"
)]

mod ast;
#[cfg(feature = "corpus")]
pub mod corpus;
mod error;
mod eval;
mod functions;
mod lexer;
mod limits;
mod methods;
mod outside;
mod parser;
mod scope;
mod stage;
mod summary;
mod template;
mod value;
mod variables;
mod walk;

pub use error::Error;
pub use limits::Limits;
pub use outside::{Outside, Refusing};
pub use scope::{Context, stage_context, stage_root};
pub use stage::{check_expression, is_enabled};
pub use summary::{Level, Summary, SummaryEntry};
pub use template::has_expression;
pub use variables::{variable_outputs, variables};
pub use walk::{Evaluated, evaluate};
