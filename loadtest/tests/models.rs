//! Every story that a few accidents can tell, searched to the end: what holds in all of them, and
//! that it does not once a guard is switched off.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "tests fail by panicking and print figures, and look at a few cases only"
)]

#[path = "models/children.rs"]
mod children;
#[path = "models/claim.rs"]
mod claim;
#[path = "models/endings.rs"]
mod endings;
#[path = "models/engine.rs"]
mod engine;
#[path = "models/handover.rs"]
mod handover;
#[path = "models/owners.rs"]
mod owners;
#[path = "models/restarts.rs"]
mod restarts;
#[path = "models/scheduler.rs"]
mod scheduler;
#[path = "models/search.rs"]
mod search;
#[path = "models/slots.rs"]
mod slots;
#[path = "models/work.rs"]
mod work;
#[path = "models/worker.rs"]
mod worker;
#[path = "models/world.rs"]
mod world;
