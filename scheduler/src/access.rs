//! Who asks, and what they may do.

pub mod policy;
pub mod tokens;

pub use policy::Scope;
pub use tokens::{NewToken, Token, TokenError, Tokens};
