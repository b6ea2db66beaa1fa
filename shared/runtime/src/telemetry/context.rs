//! Where in which trace something stands (W3C Trace Context, level 1).

use std::fmt;

use sha2::{Digest, Sha256};

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// A place in a trace.
///
/// Ids follow from names: whoever knows the name of a thing knows its span, in every process and
/// after every restart, and nothing has to be stored or drawn by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    /// 0 stands for the trace itself.
    span: u64,
    is_sampled: bool,
}

impl TraceContext {
    /// The trace of something that nobody outside began, without a span yet.
    pub fn of(name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self { trace: u128::from_be_bytes(id).max(1), span: 0, is_sampled: true }
    }

    /// The span of a name in the same trace.
    #[must_use]
    pub fn span(&self, name: &str) -> Self {
        let digest = Sha256::new().chain_update(self.trace.to_be_bytes()).chain_update(name);
        let mut id = [0; 8];
        id.copy_from_slice(&digest.finalize()[..8]);
        Self { span: u64::from_be_bytes(id).max(1), ..*self }
    }

    /// Reads a `traceparent`; `None` if it is none. Versions to come are read as far as this one goes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version = hex(parts.next()?, 2)?;
        let (trace, span) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?);
        let flags = hex(parts.next()?, 2)?;
        let is_whole = version != 0xff && (version != 0 || parts.next().is_none());
        let is_valid = is_whole && trace != 0 && span != 0;
        let span = u64::try_from(span).ok()?;
        is_valid.then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }

    /// The trace's id.
    pub fn trace_id(&self) -> u128 {
        self.trace
    }

    /// The span's id; 0 for the trace itself.
    pub fn span_id(&self) -> u64 {
        self.span
    }

    /// Whether whoever began the trace wants it recorded.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }
}

/// As a `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

/// A number of so many digits, small letters only as the standard has it.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let is_number = text.len() == digits && text.bytes().all(is_digit);
    is_number.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Does work in a place of a trace: what it begins (the run of a tool) stands below that.
pub async fn within<T>(context: TraceContext, work: impl Future<Output = T>) -> T {
    CURRENT.scope(context, work).await
}

/// The place that this work stands in, if it was told.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_was_written_is_read() {
        let context = TraceContext::parse(GIVEN).unwrap();
        assert_eq!(context.to_string(), GIVEN);
        assert!(context.is_sampled());
        let quiet = TraceContext::parse(&GIVEN.replace("-01", "-00")).unwrap();
        assert!(!quiet.is_sampled() && !quiet.span("a").is_sampled());
    }

    #[test]
    fn what_is_none_is_not_read() {
        let zero = |part: &str| GIVEN.replace(part, &"0".repeat(part.len()));
        for text in [
            "",
            "00",
            "nonsense",
            &GIVEN.to_uppercase(),
            &GIVEN.replace("00-4", "ff-4"),
            &zero("4bf92f3577b34da6a3ce929d0e0e4736"),
            &zero("00f067aa0ba902b7"),
            &format!("{GIVEN}-more"),
            &GIVEN[..54],
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
        assert!(TraceContext::parse(&format!("01{}-more", &GIVEN[2..])).is_some());
    }

    #[test]
    fn equal_names_have_equal_ids_and_others_others() {
        let trace = TraceContext::of("execution e");
        assert_eq!(trace.span("a"), TraceContext::of("execution e").span("a"));
        assert_ne!(trace.span("a"), trace.span("b"));
        assert_ne!(trace.span("a").span_id(), TraceContext::of("execution f").span("a").span_id());
        assert_eq!(trace.span("a").trace_id(), trace.trace_id());
    }

    #[tokio::test]
    async fn work_knows_where_it_stands() {
        assert_eq!(current(), None);
        let place = TraceContext::of("e").span("a");
        assert_eq!(within(place, async { current() }).await, Some(place));
    }
}
