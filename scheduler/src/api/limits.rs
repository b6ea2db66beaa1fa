//! Limits on what clients do at once.

use std::num::NonZeroU32;
use std::time::Duration;

/// Limits of the API.
#[derive(Debug, Clone)]
pub struct ApiLimits {
    /// Connections that are open at once. Beyond that, one that waits for a request makes room.
    pub connections_max: usize,
    /// How long a client may take to send the head of its next request.
    pub head_timeout: Duration,
    /// How long a client may take none of an answer.
    pub write_timeout: Duration,
    /// Requests in a second, in the long run: of one token, or of one address without one. Loopback
    /// without a token has no such limit.
    pub requests_per_second_max: NonZeroU32,
    /// Requests at once, of the same.
    pub requests_burst_max: NonZeroU32,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            connections_max: 900,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            requests_per_second_max: const { NonZeroU32::new(200).unwrap() },
            requests_burst_max: const { NonZeroU32::new(1_000).unwrap() },
        }
    }
}
