//! The pipes to a guard.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use super::protocol::{Frame, Request, Stream};
use super::{GuardCommand, LineSink};

/// How long a guard that said its last word may take to go.
const GUARD_EXIT_GRACE: Duration = Duration::from_secs(1);

/// Nobody listens: before a tool is started there are no lines.
pub(super) struct Nobody;

#[async_trait]
impl LineSink for Nobody {
    async fn line(&self, _: Stream, _: &str) {}
}

/// A guard, and the pipes to it. It is never killed: dropping this closes the pipe, and the guard
/// does what there is to do.
pub(super) struct Guard {
    child: Child,
    frames: Option<Lines<BufReader<ChildStdout>>>,
}

impl Guard {
    pub(super) fn start(command: &GuardCommand) -> io::Result<Self> {
        // A group of its own: Ctrl-C at our terminal is not for the guard, it sees our end instead.
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let frames = child.stdout.take().map(|out| BufReader::new(out).lines());
        Ok(Self { child, frames })
    }

    pub(super) async fn say(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let pipe = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        pipe.write_all(&line).await
    }

    /// Passes lines on until the guard says something else; `None` if it went without a word.
    pub(super) async fn listen(
        &mut self,
        log: &dyn LineSink,
        cancel: &CancellationToken,
    ) -> Option<Frame> {
        let mut cancelled = false;
        loop {
            let line = tokio::select! {
                line = self.frames.as_mut()?.next_line() => line.ok().flatten()?,
                () = cancel.cancelled(), if !cancelled => {
                    cancelled = true;
                    let _gone = self.say(&Request::Cancel).await;
                    continue;
                }
            };
            match serde_json::from_str(&line).ok()? {
                Frame::Line(stream, text) => log.line(stream, &text).await,
                other @ (Frame::Ready { .. } | Frame::Last(_)) => return Some(other),
            }
        }
    }

    pub(super) async fn end(&mut self) {
        drop(self.child.stdin.take());
        let _late = tokio::time::timeout(GUARD_EXIT_GRACE, self.child.wait()).await;
    }
}
