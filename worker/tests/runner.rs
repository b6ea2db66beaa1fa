//! The real runner on ports in memory, in tokio's paused time: what it claims, runs, ends, reports
//! and acknowledges.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "runner/clock.rs"]
mod clock;
#[path = "runner/deliveries.rs"]
mod deliveries;
#[path = "runner/draining.rs"]
mod draining;
#[path = "runner/endings.rs"]
mod endings;
#[path = "runner/faults.rs"]
mod faults;
#[path = "runner/leaseless.rs"]
mod leaseless;
#[path = "runner/leases.rs"]
mod leases;
#[path = "runner/logs.rs"]
mod logs;
#[path = "runner/names.rs"]
mod names;
#[path = "runner/outages.rs"]
mod outages;
#[path = "runner/probe.rs"]
mod probe;
#[path = "runner/world.rs"]
mod world;
