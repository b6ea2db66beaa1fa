//! Stage types that need no crate of their own.

pub mod webhook;
