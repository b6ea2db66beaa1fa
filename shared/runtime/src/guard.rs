//! The child that owns one run of a tool.
//!
//! It speaks with its parent over its own standard streams, in the words of `tool/protocol.rs`. When
//! the pipe from the parent closes, the parent is gone: what the tool brings to an end within a short
//! grace is recorded, so that nobody does it twice, and what does not end is ended.
//!
//! The tool leads a process group of its own. It is started through a stub (`guard exec`), the same
//! program once more, which asks the kernel to end it should the guard itself be killed, and then
//! becomes the tool. A closure between fork and exec could do the same, but only with unsafe code.
//! Whatever the tool starts and leaves behind hangs below the guard (it is their *subreaper*), and
//! ends with it.

mod exec;
mod group;
mod output;
mod parent;
mod split;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use crate::tool::protocol::{Frame, Last, Order, RECORD_VERSION, Record, Request};
use crate::tool::run_folder::{self, Held};
use group::Group;
use output::{Output, Trouble};
use parent::{Parent, Voice, Word};

/// The argument under which this program becomes a tool.
const EXEC: &str = "exec";

/// Runs as a guard. `args` is what follows the hidden subcommand: nothing, or what the guard itself
/// adds to start a tool. The exit code is 0 unless nothing could be said.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if args.first().is_some_and(|first| first == EXEC) {
        return exec::main(&args[1..]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| {
        let served = runtime.block_on(serve());
        // A read of stdin may hang as long as the parent lives; it holds nothing that matters.
        runtime.shutdown_background();
        served
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn serve() -> io::Result<()> {
    group::adopt_orphans();
    let mut parent = Parent::new()?;
    let voice = Voice::new();
    if let Some(last) = guard(&mut parent, &voice).await {
        voice.say(Frame::Last(last)).await;
    }
    voice.end().await;
    Ok(())
}

/// Takes the run folder, waits for the order, runs the tool. `None` if nobody waits for an answer.
async fn guard(parent: &mut Parent, voice: &Voice) -> Option<Last> {
    let Word::Request(Request::Open { run, lock_wait }) = parent.word().await else { return None };
    let held = tokio::select! {
        held = Held::take(&run, lock_wait) => held,
        word = parent.word() => return word.is_cancel().then_some(Last::Cancelled),
    };
    let held = match held {
        Ok(Some(held)) => held,
        Ok(None) => return Some(Last::Busy),
        Err(error) => return Some(failed("its run folder cannot be taken", &error)),
    };
    if let Some(record) = held.record() {
        return Some(Last::Found(record));
    }
    let again = match held.empty() {
        Ok(again) => again,
        Err(error) => return Some(failed("its run folder cannot be emptied", &error)),
    };
    voice.say(Frame::Ready { again }).await;
    let order = match parent.word().await {
        Word::Request(Request::Start(order)) => order,
        word @ (Word::Request(_) | Word::Gone | Word::Terminate) => {
            // What was brought for the tool may hold secrets.
            held.remove_work();
            return word.is_cancel().then_some(Last::Cancelled);
        }
    };
    let last = run_tool(&held, &order, parent, voice).await;
    held.remove_work();
    Some(last.unwrap_or_else(|error| failed("it cannot be run", &error)))
}

fn failed(what: &str, error: &io::Error) -> Last {
    if run_folder::is_no_space(error) {
        return Last::NoSpace;
    }
    Last::Failed(format!("{what}: {error}"))
}

async fn run_tool(
    held: &Held,
    order: &Order,
    parent: &mut Parent,
    voice: &Voice,
) -> io::Result<Last> {
    let mut child = start(held, order)?;
    let group = Group::of(&child);
    let mut output = Output::pass_on(&mut child, held.path(), order, voice)?;
    let ended = watch(order, &mut child, group, parent, &mut output).await;
    // What the tool started and left behind ends with it.
    group.signal(Signal::SIGKILL);
    group::end_orphans().await;
    let trouble = output.drained().await;
    let status = match ended? {
        Ended::Itself(status) => status,
        Ended::Killed(last) => return Ok(last),
    };
    if let Some(trouble) = trouble {
        return Ok(trouble.last());
    }
    if let Some(why) = exec::why_not_started(held.path()) {
        return Ok(Last::Failed(why));
    }
    match (status.code(), status.signal()) {
        (Some(code), _) => record(held, code),
        (None, signal) => Ok(Last::Signalled(signal.unwrap_or_default())),
    }
}

fn record(held: &Held, code: i32) -> io::Result<Last> {
    let record = Record { v: RECORD_VERSION, code };
    held.write_record(record)?;
    Ok(Last::Ended(record))
}

fn start(held: &Held, order: &Order) -> io::Result<Child> {
    held.share_with_children()?;
    let prefix = std::env::args_os().skip(1);
    Command::new(crate::tool::this_program()?)
        .args(prefix)
        .args(exec::prepare(held.path(), order)?)
        .env_clear()
        .envs(order.env.iter().cloned())
        .current_dir(&order.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// How the tool came to its end.
enum Ended {
    Itself(ExitStatus),
    Killed(Last),
}

/// What ends the wait for a tool.
enum Wake {
    Ended(io::Result<ExitStatus>),
    Word(Word),
    TimedOut,
    Trouble(Trouble),
}

async fn watch(
    order: &Order,
    child: &mut Child,
    group: Group,
    parent: &mut Parent,
    output: &mut Output,
) -> io::Result<Ended> {
    let wake = tokio::select! {
        biased;
        status = child.wait() => Wake::Ended(status),
        trouble = output.trouble() => Wake::Trouble(trouble),
        word = parent.word() => Wake::Word(word),
        () = tokio::time::sleep(order.timeout) => Wake::TimedOut,
    };
    match wake {
        Wake::Ended(status) => ended(status?, parent).await,
        Wake::Trouble(trouble) => end(order, child, group, trouble.last()).await,
        Wake::TimedOut => end(order, child, group, Last::TimedOut).await,
        Wake::Word(Word::Gone) => let_finish(order, child, group).await,
        Wake::Word(Word::Request(_) | Word::Terminate) => {
            end(order, child, group, Last::Cancelled).await
        }
    }
}

/// A tool that failed just when everybody here was told to end did not fail by itself: a signal to
/// all, as at a shutdown of the machine, reaches it no later than us.
async fn ended(status: ExitStatus, parent: &mut Parent) -> io::Result<Ended> {
    if !status.success() && parent.was_told_to_end().await {
        return Ok(Ended::Killed(Last::Cancelled));
    }
    Ok(Ended::Itself(status))
}

/// The parent is gone: what ends by itself shortly counts, so that it is not done twice.
async fn let_finish(order: &Order, child: &mut Child, group: Group) -> io::Result<Ended> {
    match tokio::time::timeout(order.finish_grace, child.wait()).await {
        Ok(status) => Ok(Ended::Itself(status?)),
        Err(_) => end(order, child, group, Last::Cancelled).await,
    }
}

/// Politely first. A tool that ended well all the same has done its work, and that is kept, unless
/// its output is what was wrong.
async fn end(order: &Order, child: &mut Child, group: Group, why: Last) -> io::Result<Ended> {
    group.signal(Signal::SIGTERM);
    let status = match tokio::time::timeout(order.kill_grace, child.wait()).await {
        Ok(status) => status?,
        Err(_) => {
            group.signal(Signal::SIGKILL);
            child.wait().await?
        }
    };
    let is_kept = status.success() && matches!(why, Last::Cancelled | Last::TimedOut);
    Ok(if is_kept { Ended::Itself(status) } else { Ended::Killed(why) })
}
