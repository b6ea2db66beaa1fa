//! How often a test kills.

/// `CAPSTAN_TEST_KILLS` times, else as often as the test says.
pub(crate) fn kills(usual: u64) -> u64 {
    std::env::var("CAPSTAN_TEST_KILLS").map_or(usual, |text| text.parse().unwrap())
}
