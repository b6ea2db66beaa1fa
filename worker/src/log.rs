//! A stage's log: lines are stamped, cleaned, collected for a moment and stored in chunks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use shared_plugin::{Secrets, StageLog};
use shared_ports::{Blobs, Clock, LogName, PortError};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Longest line, in bytes; what is longer is cut and says so.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Size at which a chunk is stored without waiting.
const CHUNK_BYTES: usize = 32 * 1024;
/// How long a line may wait to be stored.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_millis(200);
/// Lines that wait in memory while there is no room for them; what comes then is counted only.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// How long an attempt that has ended waits for room for its last lines.
const LAST_LINES_LIMIT: Duration = Duration::from_secs(60);
/// How often lines that wait for room are tried again.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);
/// How often the server's own log says that lines wait.
const SAY_INTERVAL: Duration = Duration::from_secs(10);

/// One attempt's hand on its stage's log.
pub(crate) struct BlobLog {
    name: LogName,
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
    bytes_max: u64,
    secrets: Secrets,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    written: u64,
    lost_lines: u64,
    /// The log has reached its limit.
    full: bool,
    /// Since when there is no room where logs are stored, and when that was said last.
    without_room: Option<Duration>,
    said: Option<Duration>,
}

impl BlobLog {
    pub(crate) fn new(
        name: LogName,
        blobs: Arc<dyn Blobs>,
        clock: Arc<dyn Clock>,
        bytes_max: u64,
    ) -> Self {
        let (secrets, state) = Default::default();
        Self { name, blobs, clock, bytes_max, secrets, state }
    }

    /// The same without what is secret.
    pub(crate) fn hiding(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
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

    /// Stores the last lines. Where there is no room for them they wait for some, a limited time,
    /// unless the attempt is to end.
    pub(crate) async fn finish(&self, cancel: &CancellationToken) {
        let began = self.clock.elapsed();
        self.say_lost().await;
        loop {
            self.flush().await;
            let waited = self.clock.elapsed().saturating_sub(began);
            if self.state.lock().await.waiting.is_empty() {
                return;
            }
            if waited >= LAST_LINES_LIMIT || cancel.is_cancelled() {
                return self.give_up().await;
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = self.clock.sleep(ROOM_INTERVAL) => {}
            }
        }
    }

    /// Lines that came while there was no more room to wait in are at least counted.
    async fn say_lost(&self) {
        let mut state = self.state.lock().await;
        let lost = std::mem::take(&mut state.lost_lines);
        if lost > 0 {
            let line = lost_line(self.clock.now(), lost);
            state.waiting.extend_from_slice(line.as_bytes());
        }
    }

    async fn give_up(&self) {
        let mut state = self.state.lock().await;
        let lines = lines(&state.waiting) + std::mem::take(&mut state.lost_lines);
        state.waiting.clear();
        let LogName { execution, stage } = &self.name;
        tracing::warn!(%execution, %stage, lines, "the last lines of a stage's log were lost");
    }

    async fn store(&self, state: &mut State) {
        if state.waiting.is_empty() {
            return;
        }
        // Kept until it is stored: a task that is dropped meanwhile takes no line with it.
        let chunk = Bytes::copy_from_slice(&state.waiting);
        match self.blobs.append(&self.name, chunk).await {
            Ok(()) => state.without_room = None,
            Err(error @ PortError::Full { .. }) => return self.wait_for_room(state, &error),
            Err(error) => {
                let lines = lines(&state.waiting);
                state.lost_lines += lines;
                tracing::warn!(%error, lines, "lines of a stage's log were lost");
            }
        }
        state.waiting.clear();
    }

    fn wait_for_room(&self, state: &mut State, error: &PortError) {
        let now = self.clock.elapsed();
        state.without_room = Some(now);
        if state.said.is_none_or(|said| now.saturating_sub(said) >= SAY_INTERVAL) {
            state.said = Some(now);
            let lines = lines(&state.waiting);
            tracing::warn!(%error, lines, "lines of a stage's log wait for room");
        }
    }

    /// Whether to store now what is at hand: without room, only from time to time.
    fn is_time(&self, state: &State) -> bool {
        let tried = state.without_room;
        tried.is_none_or(|at| self.clock.elapsed().saturating_sub(at) >= ROOM_INTERVAL)
    }
}

fn lost_line(stamp: Timestamp, lost: u64) -> String {
    format!("{stamp:.3} {lost} lines before this one could not be stored\n")
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[async_trait]
impl StageLog for BlobLog {
    async fn line(&self, text: &str) {
        let stamp = self.clock.now();
        let mut state = self.state.lock().await;
        if state.full {
            return;
        }
        let mut line = format!("{stamp:.3} {}\n", clean(&self.secrets.hide(text)));
        if state.written + line.len() as u64 > self.bytes_max {
            let limit = self.bytes_max;
            line =
                format!("{stamp:.3} the log ends here: it reached {limit} bytes (log_bytes_max)\n");
            state.full = true;
        }
        if state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            state.lost_lines += 1;
            return;
        }
        if state.lost_lines > 0 {
            let lost = std::mem::take(&mut state.lost_lines);
            line = format!("{}{line}", lost_line(stamp, lost));
        }
        state.written += line.len() as u64;
        state.waiting.extend_from_slice(line.as_bytes());
        if state.waiting.len() >= CHUNK_BYTES && self.is_time(&state) {
            self.store(&mut state).await;
        }
    }

    async fn flush(&self) {
        let mut state = self.state.lock().await;
        if self.is_time(&state) {
            self.store(&mut state).await;
        }
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
