//! What a tool writes: kept in files within limits, passed on line by line.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::parent::Voice;
use super::split::Splitter;
use crate::tool::protocol::{Frame, Last, Order, Stream};
use crate::tool::run_folder;

/// How long a parent may take to take a line; one that takes longer gets no more of them.
const LINE_WAIT: Duration = Duration::from_secs(10);
/// How long what a tool wrote before it ended may take to be read.
const DRAIN_WAIT: Duration = Duration::from_secs(30);
const CHUNK_BYTES: usize = 32 * 1024;

/// Why a tool's output is not what it should be.
#[derive(Debug)]
pub(super) enum Trouble {
    TooMuch,
    NotKept(io::Error),
    NotRead,
}

impl Trouble {
    /// What the parent is told.
    pub(super) fn last(&self) -> Last {
        match self {
            Self::TooMuch => Last::TooMuchOutput,
            Self::NotKept(error) => super::failed("what it wrote cannot be kept", error),
            Self::NotRead => Last::Failed(format!(
                "what it wrote could not be read within {DRAIN_WAIT:?} of its end"
            )),
        }
    }
}

/// Both streams of a tool on their way.
pub(super) struct Output {
    tasks: Vec<JoinHandle<()>>,
    trouble: mpsc::Receiver<Trouble>,
}

impl Output {
    pub(super) fn pass_on(
        child: &mut Child,
        run: &Path,
        order: &Order,
        voice: &Voice,
    ) -> io::Result<Self> {
        let (report, trouble) = mpsc::channel(2);
        let keeper = |stream: Stream| -> io::Result<Keeper> {
            let is_result = stream == Stream::Stdout && !order.stdout_is_log;
            Ok(Keeper {
                stream,
                file: File::create(run_folder::output(run, stream))?,
                kept: 0,
                bytes_max: if is_result { order.stdout_bytes_max } else { order.log_bytes_max },
                is_result,
                lines: (!is_result).then(|| (Splitter::default(), voice.sender())),
                report: report.clone(),
            })
        };
        let (of_stdout, of_stderr) = (keeper(Stream::Stdout)?, keeper(Stream::Stderr)?);
        let mut tasks = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            tasks.push(start(of_stdout.keep(stdout)));
        }
        if let Some(stderr) = child.stderr.take() {
            tasks.push(start(of_stderr.keep(stderr)));
        }
        Ok(Self { tasks, trouble })
    }

    /// Completes when something is wrong with the output, and only then.
    pub(super) async fn trouble(&mut self) -> Trouble {
        match self.trouble.recv().await {
            Some(trouble) => trouble,
            None => std::future::pending().await,
        }
    }

    /// Reads what is left once the tool ended; what was wrong, if anything.
    pub(super) async fn drained(mut self) -> Option<Trouble> {
        let all = async {
            for task in &mut self.tasks {
                let _done = task.await;
            }
        };
        if tokio::time::timeout(DRAIN_WAIT, all).await.is_err() {
            self.tasks.iter().for_each(JoinHandle::abort);
            return Some(Trouble::NotRead);
        }
        self.trouble.try_recv().ok()
    }
}

#[expect(clippy::disallowed_methods, reason = "a guard has no supervisor; `drained` awaits these")]
fn start(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

/// Keeps one stream.
struct Keeper {
    stream: Stream,
    file: File,
    kept: u64,
    bytes_max: u64,
    /// Whether the stream is the tool's result: too much of it is an error, not a cut.
    is_result: bool,
    /// Where lines go, as long as somebody takes them.
    lines: Option<(Splitter, mpsc::Sender<Frame>)>,
    report: mpsc::Sender<Trouble>,
}

impl Keeper {
    /// Reads to the end, also when something is wrong: the tool must not hang on a full pipe.
    async fn keep(mut self, mut from: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut is_well = true;
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            if !is_well || self.kept >= self.bytes_max {
                is_well = is_well && self.is_within(read).await;
                continue;
            }
            let room = usize::try_from(self.bytes_max - self.kept).unwrap_or(usize::MAX);
            let taken = &chunk[..read.min(room)];
            if let Err(error) = self.file.write_all(taken) {
                let _known = self.report.try_send(Trouble::NotKept(error));
                is_well = false;
                continue;
            }
            self.kept += taken.len() as u64;
            self.say(taken).await;
            if taken.len() < read {
                is_well = self.is_within(read - taken.len()).await;
            }
        }
        self.say_last().await;
    }

    /// Deals with `more` bytes beyond the limit.
    async fn is_within(&mut self, more: usize) -> bool {
        if more == 0 {
            return true;
        }
        if self.is_result {
            let _known = self.report.try_send(Trouble::TooMuch);
        } else {
            self.say_last().await;
            let limit = self.bytes_max;
            let note =
                format!("the log of this tool ends here: it reached {limit} bytes (log_bytes_max)");
            let _full = writeln!(self.file, "\n{note}");
            self.pass_on(vec![note]).await;
            self.lines = None;
        }
        false
    }

    async fn say(&mut self, bytes: &[u8]) {
        if let Some((splitter, _)) = &mut self.lines {
            let lines = splitter.push(bytes);
            self.pass_on(lines).await;
        }
    }

    async fn say_last(&mut self) {
        let last = self.lines.as_mut().and_then(|(splitter, _)| splitter.last());
        self.pass_on(last.into_iter().collect()).await;
    }

    async fn pass_on(&mut self, lines: Vec<String>) {
        for line in lines {
            let Some((_, to)) = &self.lines else { return };
            if to.send_timeout(Frame::Line(self.stream, line), LINE_WAIT).await.is_err() {
                self.lines = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_said_and_the_tool_does_not_hang() {
        let (report, mut trouble) = mpsc::channel(2);
        let keeper = Keeper {
            stream: Stream::Stdout,
            file: File::options().write(true).open("/dev/full").unwrap(),
            kept: 0,
            bytes_max: u64::MAX,
            is_result: true,
            lines: None,
            report,
        };
        let long = vec![b'x'; 10 * CHUNK_BYTES];
        let mut rest = &long[..];
        keeper.keep(&mut rest).await;
        assert!(rest.is_empty());
        assert_eq!(trouble.recv().await.unwrap().last(), Last::NoSpace);
    }
}
