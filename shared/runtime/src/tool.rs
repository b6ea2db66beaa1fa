//! Runs a tool once per effect key.

mod search;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

pub use crate::guard::Ending;
use crate::guard::{Frame, Order};
pub use search::find;

/// Lines of a tool's stderr that its error repeats.
const ERROR_LINES_MAX: usize = 20;

/// Takes a tool's output, line by line, while it runs.
#[async_trait]
pub trait LineSink: Send + Sync {
    /// Takes a line, without its line end.
    async fn line(&self, text: &str);
}

/// How tools are run here.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The program and the first arguments of a guard, e.g. `capstan guard`.
    pub guard: (PathBuf, Vec<OsString>),
    /// Where run folders are kept.
    pub runs: PathBuf,
    /// Where tools are looked for: a `PATH`.
    pub path: OsString,
}

/// One run of a tool.
#[derive(Debug, Clone)]
pub struct ToolRun {
    /// Names the effect: a run that ended by itself is not repeated under the same key.
    pub effect_key: String,
    /// The tool's name, looked for on the path.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables of its environment beside `PATH`.
    pub env: Vec<(String, String)>,
    /// Its working folder.
    pub folder: PathBuf,
    /// Whether what it writes to stdout is for the log, not only for the result.
    pub stdout_is_log: bool,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit.
    pub ending: Ending,
    /// Whether it had ended before, so that nothing was run now.
    pub found: bool,
    /// Where its stdout is kept.
    pub stdout: PathBuf,
    /// The last lines of its stderr.
    pub errors: Vec<String>,
}

/// Why a tool gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not installed.
    #[error(
        "`{program}` was not found on the PATH ({path}); install it, or add its folder to PATH"
    )]
    NotFound {
        /// The tool.
        program: String,
        /// Where it was looked for.
        path: String,
    },
    /// Its time was up.
    #[error("`{program}` did not end within {limit:?} and was ended")]
    TimedOut {
        /// The tool.
        program: String,
        /// The limit.
        limit: Duration,
    },
    /// It was told to end.
    #[error("`{program}` was cancelled")]
    Cancelled {
        /// The tool.
        program: String,
    },
    /// It could not be run.
    #[error("failed to run `{program}`: {why}")]
    Failed {
        /// The tool.
        program: String,
        /// Why.
        why: String,
    },
}

impl Tools {
    /// Runs a tool, or finds what it came to when it was run before under the same key.
    ///
    /// # Errors
    /// [`ToolError`]; a tool that ends with a failure of its own is no error here.
    pub async fn run(
        &self,
        run: &ToolRun,
        log: &dyn LineSink,
        cancel: &CancellationToken,
    ) -> Result<Finished, ToolError> {
        let failed = |why: String| ToolError::Failed { program: run.program.clone(), why };
        let program = find(&run.program, &self.path).ok_or_else(|| ToolError::NotFound {
            program: run.program.clone(),
            path: self.path.to_string_lossy().into_owned(),
        })?;
        let order = self.order(run, program);
        let mut guard =
            self.start_guard(&order).await.map_err(|error| failed(error.to_string()))?;
        let mut started = false;
        let last = listen(&mut guard, log, cancel, &mut started).await;
        drop(guard.stdin.take());
        let _ended = tokio::time::timeout(order.kill_grace, guard.wait()).await;
        match last {
            Some(Frame::Ended(ending)) => Ok(finished(&order, ending, !started)),
            Some(Frame::Killed { timed_out: true }) => {
                Err(ToolError::TimedOut { program: run.program.clone(), limit: run.timeout })
            }
            Some(Frame::Killed { timed_out: false }) => {
                Err(ToolError::Cancelled { program: run.program.clone() })
            }
            Some(Frame::Failed(why)) => Err(failed(why)),
            Some(Frame::Started | Frame::Line(_)) | None => {
                Err(failed("its guard ended without a word".into()))
            }
        }
    }

    /// The run folder of an effect key.
    pub fn run_folder(&self, effect_key: &str) -> PathBuf {
        self.runs.join(hex::encode(Sha256::digest(effect_key.as_bytes())))
    }

    /// Removes run folders that were last touched longer ago than `age`; returns how many.
    ///
    /// # Errors
    /// If the runs cannot be listed.
    pub fn remove_older_than(&self, age: Duration) -> std::io::Result<usize> {
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.runs)? {
            let entry = entry?;
            let touched = entry.metadata()?.modified()?;
            if touched.elapsed().is_ok_and(|since| since > age) {
                std::fs::remove_dir_all(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn order(&self, run: &ToolRun, program: PathBuf) -> Order {
        let mut env = vec![("PATH".to_owned(), self.path.to_string_lossy().into_owned())];
        env.extend(run.env.iter().cloned());
        Order {
            program,
            args: run.args.clone(),
            env,
            folder: run.folder.clone(),
            run: self.run_folder(&run.effect_key),
            stdout_is_log: run.stdout_is_log,
            lock_wait: Duration::from_secs(30),
            timeout: run.timeout,
            finish_grace: Duration::from_secs(2),
            kill_grace: Duration::from_secs(5),
        }
    }

    async fn start_guard(&self, order: &Order) -> std::io::Result<Child> {
        let (program, args) = &self.guard;
        // A group of its own: Ctrl-C at our terminal is not for the guard, it sees our end instead.
        let mut guard = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        if let Some(stdin) = &mut guard.stdin {
            stdin.write_all(&line).await?;
        }
        Ok(guard)
    }
}

/// Passes on what the guard says until it says the last word.
async fn listen(
    guard: &mut Child,
    log: &dyn LineSink,
    cancel: &CancellationToken,
    started: &mut bool,
) -> Option<Frame> {
    let mut frames = BufReader::new(guard.stdout.take()?).lines();
    let mut cancelled = false;
    loop {
        let line = tokio::select! {
            line = frames.next_line() => line.ok().flatten()?,
            () = cancel.cancelled(), if !cancelled => {
                cancelled = true;
                if let Some(stdin) = &mut guard.stdin {
                    let _gone = stdin.write_all(b"cancel\n").await;
                }
                continue;
            }
        };
        match serde_json::from_str(&line).ok()? {
            Frame::Started => *started = true,
            Frame::Line(text) => log.line(&text).await,
            last @ (Frame::Ended(_) | Frame::Killed { .. } | Frame::Failed(_)) => {
                return Some(last);
            }
        }
    }
}

fn finished(order: &Order, ending: Ending, found: bool) -> Finished {
    let errors = last_lines(&order.run.join("stderr"));
    Finished { ending, found, stdout: order.run.join("stdout"), errors }
}

fn last_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.iter().rev().take(ERROR_LINES_MAX).rev().map(|line| (*line).to_owned()).collect()
}
