//! The chart in `scheduler/packaging`: linted, rendered, its settings read by the binary, and installed on
//! the test cluster; what Prometheus and Grafana are told in it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, and waits by the machine's own clock"
)]

#[path = "capstan/ended.rs"]
mod ended;
#[path = "capstan/file.rs"]
mod file;
#[path = "chart/helm.rs"]
mod helm;
#[path = "chart/installed.rs"]
mod installed;
#[path = "chart/monitoring.rs"]
mod monitoring;
#[path = "capstan/process.rs"]
mod process;
#[path = "chart/rendered.rs"]
mod rendered;
