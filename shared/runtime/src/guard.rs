//! The child that owns one run of a tool.
//!
//! It speaks with its parent over its own standard streams. In: one line with the [`Order`], then
//! nothing, `cancel`, or the end of the pipe, which means that the parent is gone. Out: one [`Frame`]
//! a line. The run folder holds `lock` (held for as long as the guard lives), `stdout`, `stderr`, and
//! `result`, which appears whole and only after the tool ended by itself.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// Longest line that is passed on, in bytes; the rest of it becomes further lines.
pub const LINE_BYTES_MAX: usize = 16 * 1024;
/// How often a lock that somebody else holds is tried again.
const LOCK_INTERVAL: Duration = Duration::from_millis(25);

/// What to run, where, and how long to wait for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Absolute path of the tool.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Its working folder.
    pub folder: PathBuf,
    /// The run folder.
    pub run: PathBuf,
    /// Whether what it writes to stdout is for the log, not only for the result.
    pub stdout_is_log: bool,
    /// How long another guard may hold the lock.
    pub lock_wait: Duration,
    /// How long the tool may take.
    pub timeout: Duration,
    /// How long it may go on to end by itself once the parent is gone.
    pub finish_grace: Duration,
    /// How long it may take to end once it is asked to.
    pub kill_grace: Duration,
}

/// What the guard says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// The tool was started (it was not run before under this key).
    Started,
    /// A line of its output.
    Line(String),
    /// It ended by itself, now or in an earlier run.
    Ended(Ending),
    /// It was ended: cancelled or out of time.
    Killed {
        /// Whether its time was up.
        timed_out: bool,
    },
    /// It could not be run.
    Failed(String),
}

/// How a tool ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// Runs as a guard: takes the order from stdin. The exit code is 0 unless nothing could be said.
pub fn main() -> i32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.and_then(|runtime| runtime.block_on(serve()));
    match done {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

async fn serve() -> io::Result<()> {
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    let order = words.next_line().await?.unwrap_or_default();
    let order: Order = serde_json::from_str(&order).map_err(io::Error::other)?;
    let mut parent = Parent { words: Some(words) };
    let last = match run(&order, &mut parent).await {
        Ok(frame) => frame,
        Err(error) => Frame::Failed(describe(&order, &error)),
    };
    say(&last).await;
    Ok(())
}

fn describe(order: &Order, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => {
            format!("no space left on the device for `{}`", order.run.display())
        }
        _ => format!("`{}` could not be run: {error}", order.program.display()),
    }
}

/// A parent that may go at any time; what cannot be said to it is not said.
async fn say(frame: &Frame) {
    if let Ok(mut line) = serde_json::to_vec(frame) {
        line.push(b'\n');
        let mut out = tokio::io::stdout();
        if out.write_all(&line).await.is_ok() {
            let _gone = out.flush().await;
        }
    }
}

/// What the parent may still say.
struct Parent {
    words: Option<tokio::io::Lines<BufReader<tokio::io::Stdin>>>,
}

enum Word {
    Cancel,
    Gone,
}

impl Parent {
    async fn word(&mut self) -> Word {
        match &mut self.words {
            None => std::future::pending().await,
            Some(words) => match words.next_line().await {
                Ok(Some(_)) => Word::Cancel,
                Ok(None) | Err(_) => {
                    self.words = None;
                    Word::Gone
                }
            },
        }
    }
}

async fn run(order: &Order, parent: &mut Parent) -> io::Result<Frame> {
    std::fs::create_dir_all(&order.run)?;
    let Some(_lock) = lock(&order.run.join("lock"), order.lock_wait).await? else {
        let wait = order.lock_wait;
        return Ok(Frame::Failed(format!("an earlier run of it did not end within {wait:?}")));
    };
    if let Some(ending) = recorded(&order.run) {
        return Ok(Frame::Ended(ending));
    }
    let mut child = start(order)?;
    let group = Group::of(&child);
    say(&Frame::Started).await;
    let outputs = outputs(order, &mut child)?;
    let ended = watch(order, &mut child, group, parent).await?;
    // What the tool started and left behind ends with it.
    group.signal(Signal::SIGKILL);
    for output in outputs {
        let _done = tokio::time::timeout(order.kill_grace, output).await;
    }
    match ended {
        Ended::Itself(status) => {
            let ending = Ending { code: status.code(), signal: status.signal() };
            record(&order.run, ending)?;
            Ok(Frame::Ended(ending))
        }
        Ended::Killed { timed_out } => Ok(Frame::Killed { timed_out }),
    }
}

async fn lock(path: &Path, wait: Duration) -> io::Result<Option<Flock<File>>> {
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    let tries = wait.as_millis() / LOCK_INTERVAL.as_millis() + 1;
    for _ in 0..tries {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
            Err((_, error)) => return Err(error.into()),
        }
        tokio::time::sleep(LOCK_INTERVAL).await;
    }
    Ok(None)
}

/// How the tool ended in an earlier run, if it did.
pub(crate) fn recorded(run: &Path) -> Option<Ending> {
    serde_json::from_slice(&std::fs::read(run.join("result")).ok()?).ok()
}

/// The result appears whole or not at all, and after everything that it stands for.
fn record(run: &Path, ending: Ending) -> io::Result<()> {
    for name in ["stdout", "stderr"] {
        File::open(run.join(name))?.sync_all()?;
    }
    let new = run.join("result.new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(&ending)?)?;
    file.sync_all()?;
    std::fs::rename(&new, run.join("result"))?;
    File::open(run)?.sync_all()
}

fn start(order: &Order) -> io::Result<Child> {
    let out = File::create(order.run.join("stdout"))?;
    File::create(order.run.join("stderr"))?;
    let mut command = Command::new(&order.program);
    command
        .args(&order.args)
        .env_clear()
        .envs(order.env.iter().cloned())
        .current_dir(&order.folder)
        .stdin(Stdio::null())
        .stdout(if order.stdout_is_log { Stdio::piped() } else { Stdio::from(out) })
        .stderr(Stdio::piped())
        .process_group(0);
    command.spawn()
}

type Output = tokio::task::JoinHandle<()>;

#[expect(clippy::disallowed_methods, reason = "a guard has no supervisor; both tasks are awaited")]
fn outputs(order: &Order, child: &mut Child) -> io::Result<Vec<Output>> {
    let file = |name: &str| OpenOptions::new().append(true).open(order.run.join(name));
    let mut tasks = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        tasks.push(tokio::spawn(pass_on(stderr, file("stderr")?)));
    }
    if let Some(stdout) = child.stdout.take() {
        tasks.push(tokio::spawn(pass_on(stdout, file("stdout")?)));
    }
    Ok(tasks)
}

/// Keeps what a tool writes and passes it on line by line, long lines in pieces.
async fn pass_on(from: impl AsyncRead + Unpin, mut kept: File) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = LINE_BYTES_MAX as u64;
        match (&mut from).take(limit).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let _full = kept.write_all(&line);
        let text = String::from_utf8_lossy(&line);
        say(&Frame::Line(text.trim_end_matches(['\n', '\r']).to_owned())).await;
    }
}

enum Ended {
    Itself(ExitStatus),
    Killed { timed_out: bool },
}

async fn watch(
    order: &Order,
    child: &mut Child,
    group: Group,
    parent: &mut Parent,
) -> io::Result<Ended> {
    tokio::select! {
        biased;
        status = child.wait() => Ok(Ended::Itself(status?)),
        word = parent.word() => match word {
            Word::Cancel => kill(order, child, group, false).await,
            Word::Gone => let_finish(order, child, group).await,
        },
        () = tokio::time::sleep(order.timeout) => kill(order, child, group, true).await,
    }
}

/// The parent is gone: what ends by itself shortly counts, so that it is not done twice.
async fn let_finish(order: &Order, child: &mut Child, group: Group) -> io::Result<Ended> {
    match tokio::time::timeout(order.finish_grace, child.wait()).await {
        Ok(status) => Ok(Ended::Itself(status?)),
        Err(_) => kill(order, child, group, false).await,
    }
}

/// Politely first. A tool that ended well in that time has done its work, and that is kept.
async fn kill(
    order: &Order,
    child: &mut Child,
    group: Group,
    timed_out: bool,
) -> io::Result<Ended> {
    group.signal(Signal::SIGTERM);
    let status = match tokio::time::timeout(order.kill_grace, child.wait()).await {
        Ok(status) => status?,
        Err(_) => {
            group.signal(Signal::SIGKILL);
            child.wait().await?
        }
    };
    if status.success() { Ok(Ended::Itself(status)) } else { Ok(Ended::Killed { timed_out }) }
}

/// The process group that the tool leads.
#[derive(Clone, Copy)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw))
    }

    fn signal(self, signal: Signal) {
        if let Some(group) = self.0 {
            let _gone = killpg(group, signal);
        }
    }
}
