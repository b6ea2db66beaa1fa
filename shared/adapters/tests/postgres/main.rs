//! The store on a real PostgreSQL server: what every journal and every document store promises, and
//! what happens when others write too and when the server fails. Needs the test stack.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clock;
mod conformance;
mod disk;
mod lists;
mod outages;
mod races;
mod refusals;
mod scene;
mod schema;
mod tls;
mod trips;
