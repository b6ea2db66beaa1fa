//! The client against answers that are written out.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and its servers end with it"
)]

mod faults;
mod routes;
mod streams;
mod stub;
