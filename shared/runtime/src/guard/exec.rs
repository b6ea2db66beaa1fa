//! The stub that becomes the tool.
//!
//! It runs in the tool's process, with the tool's environment, folder and streams. It asks the
//! kernel to kill that process when the guard dies, and lets the tool take its place.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::tool::protocol::Order;

/// The file in the run folder that says why the tool did not take the stub's place.
const WHY: &str = "not-started";
/// What a shell answers when it cannot run a program.
const EXIT_NOT_RUN: u8 = 126;

/// The stub's arguments: what marks it, whose child it must be, where to complain, then the tool's.
pub(super) fn args(run: &Path, order: &Order) -> Vec<OsString> {
    let guard = std::process::id().to_string();
    let mut args: Vec<OsString> = vec![super::EXEC.into(), guard.into(), run.join(WHY).into()];
    args.push(order.program.clone().into());
    args.extend(order.args.iter().map(OsString::from));
    args
}

/// Why the tool did not start, if the stub said so.
pub(super) fn why_not_started(run: &Path) -> Option<String> {
    std::fs::read_to_string(run.join(WHY)).ok()
}

pub(super) fn main(args: &[OsString]) -> ExitCode {
    let [guard, why, program, args @ ..] = args else { return ExitCode::from(EXIT_NOT_RUN) };
    if !dies_with(guard) {
        return ExitCode::from(EXIT_NOT_RUN);
    }
    let error = Command::new(program).args(args).exec();
    let program = PathBuf::from(program);
    let _unsaid = std::fs::write(why, format!("`{}`: {error}", program.display()));
    ExitCode::from(EXIT_NOT_RUN)
}

/// Ends this process with the guard. A guard that died before we asked has another pid than ours
/// has a parent.
#[cfg(target_os = "linux")]
fn dies_with(guard: &OsString) -> bool {
    let asked = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).is_ok();
    let parent = nix::unistd::getppid().to_string();
    asked && guard.to_str() == Some(parent.as_str())
}

/// Elsewhere the kernel offers no such thing: the guard alone ends the tool.
#[cfg(not(target_os = "linux"))]
fn dies_with(_: &OsString) -> bool {
    true
}
