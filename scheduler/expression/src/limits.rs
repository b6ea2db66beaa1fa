//! What an expression may use up. An error that a limit causes names it.

/// Limits on one expression, the last two on all expressions of one evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Length of an expression's text, in characters (Spring's own default).
    pub expression_chars_max: usize,
    /// How deep an expression may nest.
    pub depth_max: usize,
    /// Steps that an expression may take.
    pub fuel_steps_max: u64,
    /// Size of everything that an expression makes on the way, in bytes.
    pub memory_bytes_max: u64,
    /// Size of what an expression comes to, in bytes.
    pub output_bytes_max: u64,
    /// Steps that one regular expression may take to go back and try again.
    pub regex_steps_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            expression_chars_max: 10_000,
            depth_max: 64,
            fuel_steps_max: 1_000_000,
            memory_bytes_max: 16 * 1024 * 1024,
            output_bytes_max: 1024 * 1024,
            regex_steps_max: 100_000,
        }
    }
}
