//! What comes from the parent, what goes to it, and what the system says to us.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::tool::protocol::{Frame, Request};

/// Frames that wait for a slow parent.
const FRAMES_WAITING_MAX: usize = 256;

/// Something that a guard hears.
pub(super) enum Word {
    /// The parent asks for something.
    Request(Request),
    /// The parent is gone.
    Gone,
    /// The system ends.
    Terminate,
}

impl Word {
    /// Whether somebody waits to hear that it was cancelled.
    pub(super) fn is_cancel(&self) -> bool {
        match self {
            Self::Request(_) | Self::Terminate => true,
            Self::Gone => false,
        }
    }
}

/// The pipe from the parent, until it closes.
pub(super) struct Parent {
    lines: Option<Lines<BufReader<Stdin>>>,
    terminate: Signal,
    interrupt: Signal,
}

impl Parent {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            lines: Some(BufReader::new(tokio::io::stdin()).lines()),
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next word; says once that the parent is gone. Safe to drop while it waits.
    pub(super) async fn word(&mut self) -> Word {
        let Self { lines, terminate, interrupt } = self;
        let line = tokio::select! {
            line = next_line(lines) => line,
            _ = terminate.recv() => return Word::Terminate,
            _ = interrupt.recv() => return Word::Terminate,
        };
        // A line that was cut off or means nothing comes from a parent that is gone or worse.
        match line.and_then(|line| serde_json::from_str(&line).ok()) {
            Some(request) => Word::Request(request),
            None => {
                self.lines = None;
                Word::Gone
            }
        }
    }

    /// Whether a word to end is here already.
    pub(super) async fn was_told_to_end(&mut self) -> bool {
        // A signal takes a turn of the loop from its arrival to its stream.
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            word = self.word() => word.is_cancel(),
            () = tokio::task::yield_now() => false,
        }
    }
}

async fn next_line(lines: &mut Option<Lines<BufReader<Stdin>>>) -> Option<String> {
    match lines {
        Some(lines) => lines.next_line().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// The pipe to the parent. What cannot be said to one that is gone is not said.
pub(super) struct Voice {
    frames: mpsc::Sender<Frame>,
    writer: JoinHandle<()>,
}

impl Voice {
    pub(super) fn new() -> Self {
        let (frames, waiting) = mpsc::channel(FRAMES_WAITING_MAX);
        #[expect(clippy::disallowed_methods, reason = "a guard has no supervisor; it is awaited")]
        let writer = tokio::spawn(write(waiting));
        Self { frames, writer }
    }

    pub(super) async fn say(&self, frame: Frame) {
        let _gone = self.frames.send(frame).await;
    }

    /// A second voice, for lines.
    pub(super) fn sender(&self) -> mpsc::Sender<Frame> {
        self.frames.clone()
    }

    /// Says what is left.
    pub(super) async fn end(self) {
        let Self { frames, writer } = self;
        drop(frames);
        let _done = writer.await;
    }
}

async fn write(mut waiting: mpsc::Receiver<Frame>) {
    let mut out = tokio::io::stdout();
    while let Some(frame) = waiting.recv().await {
        let Ok(mut line) = serde_json::to_vec(&frame) else { continue };
        line.push(b'\n');
        if out.write_all(&line).await.is_err() || out.flush().await.is_err() {
            return;
        }
    }
}
