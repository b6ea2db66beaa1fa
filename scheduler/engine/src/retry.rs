//! When to try again: exponential, capped, and spread by a jitter that the attempt itself decides.

use jiff::SignedDuration;

use crate::event::AttemptKey;

/// Pause after the first failure.
pub const FIRST_PAUSE_MS: i64 = 1_000;
/// Longest pause.
pub const PAUSE_MS_MAX: i64 = 60_000;

/// How long to wait after an attempt failed: between half of the exponential pause and all of it,
/// decided by the attempt, so that the same decision made twice is the same.
pub fn pause(failed: AttemptKey) -> SignedDuration {
    let doublings = failed.number.saturating_sub(1).min(16);
    let full = (FIRST_PAUSE_MS << doublings).min(PAUSE_MS_MAX);
    let half = full / 2;
    let spread = i64::try_from(scatter(failed) % 1_000).unwrap_or(0);
    SignedDuration::from_millis(half + half * spread / 1_000)
}

/// Mixes an attempt's numbers (the finalizer of `SplitMix64`).
fn scatter(attempt: AttemptKey) -> u64 {
    let AttemptKey { stage, run, task, number } = attempt;
    let mut x = u64::from(stage) << 32 | u64::from(run) << 16 | u64::from(task);
    x = (x ^ u64::from(number)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_cap_and_repeat_themselves() {
        let key = |number| AttemptKey { stage: 3, run: 1, task: 0, number };
        for number in 1..100 {
            let (once, again) = (pause(key(number)), pause(key(number)));
            assert_eq!(once, again);
            assert!(once <= SignedDuration::from_millis(PAUSE_MS_MAX));
        }
        assert!(pause(key(1)) >= SignedDuration::from_millis(FIRST_PAUSE_MS / 2));
        assert!(pause(key(9)) >= SignedDuration::from_millis(PAUSE_MS_MAX / 2));
    }
}
