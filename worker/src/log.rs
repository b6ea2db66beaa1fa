//! A stage's log: lines are stamped, cleaned, collected for a moment and stored in chunks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use shared_plugin::StageLog;
use shared_ports::{Blobs, Clock, LogName};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Longest line, in bytes; what is longer is cut and says so.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Size at which a chunk is stored without waiting.
const CHUNK_BYTES: usize = 32 * 1024;
/// How long a line may wait to be stored.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// One attempt's hand on its stage's log.
pub(crate) struct BlobLog {
    name: LogName,
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    written: u64,
    lost_lines: u64,
    full: bool,
}

impl BlobLog {
    pub(crate) fn new(
        name: LogName,
        blobs: Arc<dyn Blobs>,
        clock: Arc<dyn Clock>,
        bytes_max: u64,
    ) -> Self {
        Self { name, blobs, clock, bytes_max, state: Mutex::default() }
    }

    /// Stores lines soon after they were added, until `ended`. Not to be dropped before.
    pub(crate) async fn keep_flushing(&self, ended: &CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = ended.cancelled() => return,
                () = self.clock.sleep(FLUSH_INTERVAL) => self.flush().await,
            }
        }
    }

    async fn store(&self, state: &mut State) {
        if state.waiting.is_empty() {
            return;
        }
        // Kept until it is stored: a task that is dropped meanwhile takes no line with it.
        let chunk = Bytes::copy_from_slice(&state.waiting);
        let lines = chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
        let stored = self.blobs.append(&self.name, chunk).await;
        state.waiting.clear();
        if let Err(error) = stored {
            state.lost_lines += lines;
            tracing::warn!(%error, lines, "lines of a stage's log were lost");
        }
    }
}

#[async_trait]
impl StageLog for BlobLog {
    async fn line(&self, text: &str) {
        let stamp = self.clock.now();
        let mut state = self.state.lock().await;
        if state.full {
            return;
        }
        let mut line = format!("{stamp:.3} {}\n", clean(text));
        if state.written + line.len() as u64 > self.bytes_max {
            let limit = self.bytes_max;
            line =
                format!("{stamp:.3} the log ends here: it reached {limit} bytes (log_bytes_max)\n");
            state.full = true;
        }
        if state.lost_lines > 0 {
            let lost = std::mem::take(&mut state.lost_lines);
            line = format!("{stamp:.3} {lost} lines before this one could not be stored\n{line}");
        }
        state.written += line.len() as u64;
        state.waiting.extend_from_slice(line.as_bytes());
        if state.waiting.len() >= CHUNK_BYTES {
            self.store(&mut state).await;
        }
    }

    async fn flush(&self) {
        let mut state = self.state.lock().await;
        self.store(&mut state).await;
    }
}

/// One line without what could move a reader's cursor or forge another line.
fn clean(text: &str) -> String {
    let mut line: String =
        text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
    if line.len() > LINE_BYTES_MAX {
        let end = line.floor_char_boundary(LINE_BYTES_MAX);
        line.truncate(end);
        line.push_str(" … (line cut)");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_cannot_forge_a_line() {
        assert_eq!(clean("a\u{1b}[2Jb\rc\nd\te"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\te");
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let cut = clean(&"ü".repeat(LINE_BYTES_MAX));
        assert!(cut.ends_with(" … (line cut)"));
        assert!(cut.len() < LINE_BYTES_MAX + 32);
    }
}
