//! Runs a tool once per effect key.
//!
//! [`Tools::open`] starts a guard (see [`crate::guard`]), which takes the run folder of the key. If
//! the tool ended by itself under that key before, that is the answer. Else the folder is empty and
//! ours: the caller brings what the tool needs into [`Run::folder`], and [`Run::start`] runs it.

mod error;
mod link;
mod orphans;
pub(crate) mod protocol;
pub(crate) mod run_folder;
mod search;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

pub use error::ToolError;
use link::{Guard, Nobody};
pub use protocol::Stream;
use protocol::{Frame, Last, Order, Record, Request};
pub use search::find;

use crate::telemetry::{self, Running};

/// Lines of a tool's stderr that its result repeats.
const ERROR_LINES_MAX: usize = 20;

/// Takes a tool's output, line by line, while it runs.
#[async_trait]
pub trait LineSink: Send + Sync {
    /// Takes a line, without its line end, of at most [`Limits::LINE_BYTES_MAX`] bytes.
    async fn line(&self, stream: Stream, text: &str);
}

/// How a guard is started.
#[derive(Debug, Clone)]
pub struct GuardCommand {
    /// The program, which calls [`crate::guard::main`].
    pub program: PathBuf,
    /// What makes it do so.
    pub args: Vec<OsString>,
}

impl GuardCommand {
    /// This very program, under a hidden subcommand.
    ///
    /// # Errors
    /// If it cannot be told which program this is.
    pub fn this_program(subcommand: &str) -> io::Result<Self> {
        Ok(Self { program: this_program()?, args: vec![subcommand.into()] })
    }
}

/// The running program. On Linux by a name that still means it after an upgrade replaced its file.
pub(crate) fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
}

/// How long things may take, and how large they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a tool may go on to end by itself once we are gone.
    pub finish_grace: Duration,
    /// How long it may take to end once it is asked to, before it is killed.
    pub kill_grace: Duration,
    /// How long an earlier run under the same key may take to end, beyond both.
    pub takeover_grace: Duration,
    /// Size of a tool's stdout, where that is its result.
    pub stdout_bytes_max: u64,
    /// Size of what is logged and kept of each other stream.
    pub log_bytes_max: u64,
}

impl Limits {
    /// Longest line that is passed on, in bytes; the rest of it becomes further lines.
    pub const LINE_BYTES_MAX: usize = 16 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            finish_grace: Duration::from_secs(2),
            kill_grace: Duration::from_secs(5),
            takeover_grace: Duration::from_secs(20),
            stdout_bytes_max: 64 * 1024 * 1024,
            log_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// How tools are run here.
#[derive(Debug, Clone)]
pub struct Tools {
    /// How a guard is started.
    pub guard: GuardCommand,
    /// Where run folders are kept, absolute.
    pub runs: PathBuf,
    /// Where tools are looked for: a `PATH`. It is also theirs.
    pub path: OsString,
    /// Limits on every run.
    pub limits: Limits,
}

/// One run of a tool.
#[derive(Debug, Clone, Default)]
pub struct ToolRun {
    /// The tool's name, looked for on the path, or its path.
    pub program: String,
    /// What to install, and how to point to it, for the error when it is not there.
    pub hint: String,
    /// Its arguments. No shell reads them.
    pub args: Vec<String>,
    /// Variables of its environment beside `PATH`, which is all it gets.
    pub env: Vec<(String, String)>,
    /// Whether what it writes to stdout goes to the log as well.
    pub stdout_is_log: bool,
    /// How long it may take.
    pub timeout: Duration,
}

/// What opening a run comes to.
pub enum Opened {
    /// The tool ended by itself under this key before; nothing is to be run.
    Finished(Finished),
    /// It is to be run.
    Fresh(Box<Run>),
}

/// How a tool ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code.
    pub code: i32,
    /// Whether that was in an earlier run.
    pub found: bool,
    /// The file that keeps its stdout.
    pub stdout: PathBuf,
    /// The last lines of its stderr.
    pub errors: Vec<String>,
}

/// A run folder that is held for us, and nothing in it. Dropping it gives it back.
pub struct Run {
    guard: Guard,
    tools: Tools,
    folder: PathBuf,
    path: PathBuf,
    again: bool,
}

impl Tools {
    /// Tools under default limits.
    ///
    /// # Errors
    /// If `runs` is relative and there is no current folder.
    pub fn new(guard: GuardCommand, runs: &Path, path: OsString) -> io::Result<Self> {
        Ok(Self { guard, runs: std::path::absolute(runs)?, path, limits: Limits::default() })
    }

    /// Takes the run folder of `effect_key`, waiting for an earlier run under the same key to end,
    /// and says whether the tool ended by itself before.
    ///
    /// # Errors
    /// [`ToolError::Busy`], [`ToolError::NoSpace`], [`ToolError::Cancelled`], [`ToolError::Failed`].
    pub async fn open(
        &self,
        effect_key: &str,
        cancel: &CancellationToken,
    ) -> Result<Opened, ToolError> {
        let path = self.run_folder(effect_key);
        let whose = format!("{} (the guard)", self.guard.program.display());
        let failed = |error: io::Error| {
            if run_folder::is_no_space(&error) {
                return ToolError::NoSpace { folder: path.clone() };
            }
            ToolError::Failed { program: whose.clone(), why: error.to_string() }
        };
        let mut guard = Guard::start(&self.guard).map_err(failed)?;
        let lock_wait = self.lock_wait();
        guard.say(&Request::Open { run: path.clone(), lock_wait }).await.map_err(failed)?;
        match guard.listen(&Nobody, cancel).await {
            Some(Frame::Ready { again }) => {
                let folder = run_folder::work(&path);
                let tools = self.clone();
                Ok(Opened::Fresh(Box::new(Run { guard, tools, folder, path, again })))
            }
            Some(Frame::Last(last)) => {
                guard.end().await;
                let run = Whose { program: "a tool", path: &path, tools: self, timeout: lock_wait };
                run.judge(last).map(Opened::Finished)
            }
            Some(Frame::Line(..)) | None => Err(no_word(whose)),
        }
    }

    /// The run folder of an effect key.
    pub fn run_folder(&self, effect_key: &str) -> PathBuf {
        self.runs.join(hex::encode(Sha256::digest(effect_key.as_bytes())))
    }

    /// Removes run folders that nobody holds and nobody touched since `cutoff`; says how many. The
    /// executions that they belong to must be over: their results are forgotten.
    ///
    /// # Errors
    /// If one cannot be read or removed.
    pub fn remove_before(&self, cutoff: SystemTime) -> io::Result<usize> {
        run_folder::remove_before(&self.runs, cutoff)
    }

    fn lock_wait(&self) -> Duration {
        let Limits { finish_grace, kill_grace, takeover_grace, .. } = self.limits;
        finish_grace + kill_grace + takeover_grace
    }
}

impl Run {
    /// The tool's working folder, empty, for what it needs. It is removed once the tool ended.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a run was begun under the same key before and did not end by itself: what it made
    /// outside of its folder may still be there.
    pub fn is_again(&self) -> bool {
        self.again
    }

    /// Runs the tool, which must not outlive this call but for its grace.
    ///
    /// # Errors
    /// [`ToolError`]; a tool that ends with a failure of its own is no error here.
    pub async fn start(
        self,
        run: &ToolRun,
        log: &dyn LineSink,
        cancel: &CancellationToken,
    ) -> Result<Finished, ToolError> {
        let running = Running::begin();
        let key = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ended = self.finish(run, log, cancel).await;
        if let Some(running) = running {
            span(running, &run.program, &key, &ended).export();
        }
        ended
    }

    async fn finish(
        mut self,
        run: &ToolRun,
        log: &dyn LineSink,
        cancel: &CancellationToken,
    ) -> Result<Finished, ToolError> {
        let order = self.order(run)?;
        let program = &run.program;
        let failed = |error: io::Error| ToolError::Failed {
            program: program.clone(),
            why: error.to_string(),
        };
        // A guard that was cancelled before has gone, and its last word says so.
        let said = self.guard.say(&Request::Start(Box::new(order))).await;
        let last = self.guard.listen(log, cancel).await;
        self.guard.end().await;
        let Some(Frame::Last(last)) = last else {
            run_folder::end_orphans(&self.path);
            said.map_err(failed)?;
            return Err(no_word(program.clone()));
        };
        let timeout = run.timeout;
        Whose { program, path: &self.path, tools: &self.tools, timeout }.judge(last)
    }

    fn order(&self, run: &ToolRun) -> Result<Order, ToolError> {
        let path = &self.tools.path;
        let program = find(&run.program, path).ok_or_else(|| ToolError::NotFound {
            program: run.program.clone(),
            path: path.to_string_lossy().into_owned(),
            hint: run.hint.clone(),
        })?;
        let mut env = vec![("PATH".to_owned(), path.to_string_lossy().into_owned())];
        env.extend(run.env.iter().cloned());
        let limits = &self.tools.limits;
        Ok(Order {
            program,
            args: run.args.clone(),
            env,
            folder: self.folder.clone(),
            stdout_is_log: run.stdout_is_log,
            stdout_bytes_max: limits.stdout_bytes_max,
            log_bytes_max: limits.log_bytes_max,
            timeout: run.timeout,
            finish_grace: limits.finish_grace,
            kill_grace: limits.kill_grace,
        })
    }
}

/// Whose last word it is.
struct Whose<'a> {
    program: &'a str,
    path: &'a Path,
    tools: &'a Tools,
    timeout: Duration,
}

impl Whose<'_> {
    fn judge(&self, last: Last) -> Result<Finished, ToolError> {
        let program = self.program.to_owned();
        let folder = self.path.to_owned();
        Err(match last {
            Last::Found(record) => return self.finished(record, true),
            Last::Ended(record) => return self.finished(record, false),
            Last::Cancelled => ToolError::Cancelled { program },
            Last::TimedOut => ToolError::TimedOut { program, limit: self.timeout },
            Last::Signalled(signal) => ToolError::Killed { program, signal },
            Last::TooMuchOutput => {
                let bytes_max = self.tools.limits.stdout_bytes_max;
                ToolError::TooMuchOutput { program, bytes_max }
            }
            Last::Busy => ToolError::Busy { folder, wait: self.tools.lock_wait() },
            Last::NoSpace => ToolError::NoSpace { folder },
            Last::Failed(why) => ToolError::Failed { program, why },
        })
    }

    fn finished(&self, record: Record, found: bool) -> Result<Finished, ToolError> {
        let errors = last_lines(&run_folder::output(self.path, Stream::Stderr));
        let errors = errors.map_err(|error| ToolError::Failed {
            program: self.program.to_owned(),
            why: format!("what it wrote cannot be read: {error}"),
        })?;
        let stdout = run_folder::output(self.path, Stream::Stdout);
        Ok(Finished { code: record.code, found, stdout, errors })
    }
}

/// A tool's span: its name and how it ended. Its arguments may be anything, so they are left out.
fn span(
    running: Running,
    program: &str,
    key: &str,
    ended: &Result<Finished, ToolError>,
) -> telemetry::Span {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let span = running.end(&format!("run {name}"), key);
    let span = span.with("process.executable.name", name.into_owned());
    match ended {
        Ok(finished) if finished.code == 0 => span.with("process.exit.code", 0),
        Ok(finished) => {
            span.with("process.exit.code", i64::from(finished.code)).failed("exit_code")
        }
        Err(error) => span.failed(error.kind()),
    }
}

fn no_word(program: String) -> ToolError {
    ToolError::Failed { program, why: "its guard was ended before it said how it went".into() }
}

/// The last lines that are not blank, in bounded memory.
fn last_lines(path: &Path) -> io::Result<Vec<String>> {
    let mut last = VecDeque::new();
    for line in io::BufReader::new(std::fs::File::open(path)?).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        if !line.is_empty() {
            last.push_back(line);
        }
        if last.len() > ERROR_LINES_MAX {
            last.pop_front();
        }
    }
    Ok(last.into())
}
