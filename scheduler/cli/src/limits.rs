//! How much clients may ask for, and what the system allows.

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use scheduler::api::ApiLimits;

use crate::args::LimitArgs;

/// Connections at once, where the system allows as many.
const CONNECTIONS_MAX: u64 = 10_000;
/// Files that are not connections: the store, logs, tools, clusters.
const OTHER_FILES: u64 = 512;
/// So many connections even where hardly any files may be open.
const CONNECTIONS_MIN: u64 = 64;

/// The limits of the API; the system is asked for as many open files as it gives.
///
/// # Errors
/// If the system does not say how many files may be open.
pub(crate) fn of_api(arguments: &LimitArgs) -> Result<ApiLimits> {
    let files = raise_open_files().context("the limit on open files cannot be read")?;
    let allowed = files.saturating_sub(OTHER_FILES).max(CONNECTIONS_MIN);
    let wanted = arguments.connections_max.map_or(CONNECTIONS_MAX, |max| max.get().into());
    if wanted > allowed && arguments.connections_max.is_some() {
        tracing::warn!(
            "the system allows {files} open files, so there can be {allowed} connections; raise `ulimit -Hn`"
        );
    }
    Ok(ApiLimits {
        connections_max: usize::try_from(wanted.min(allowed))?,
        requests_per_second_max: arguments.requests_per_second_max,
        requests_burst_max: arguments.requests_burst_max,
        ..ApiLimits::default()
    })
}

/// Takes as many open files as are given for the asking; says how many that are.
fn raise_open_files() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => Ok(hard),
        // Some systems say that there is no limit, and give less.
        Err(_) => Ok(soft),
    }
}
