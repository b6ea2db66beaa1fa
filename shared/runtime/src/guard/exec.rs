//! The stub that becomes the tool.
//!
//! It runs in the tool's process, with the tool's environment, folder and streams. It asks the
//! kernel to kill that process when the guard dies, and lets the tool take its place. What to run
//! comes by a file: the tool's arguments are for nobody else to read, least of all for whatever
//! reads the arguments of this program.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};

use crate::tool::protocol::Order;
use crate::tool::run_folder;

/// What a shell answers when it cannot run a program.
const EXIT_NOT_RUN: u8 = 126;

/// What takes the stub's place.
#[derive(Serialize, Deserialize)]
struct Image {
    program: PathBuf,
    args: Vec<String>,
}

/// Writes down what to run; the stub's arguments: what marks it, whose child it must be, where it
/// reads.
pub(super) fn prepare(run: &Path, order: &Order) -> io::Result<[OsString; 3]> {
    let image = Image { program: order.program.clone(), args: order.args.clone() };
    std::fs::write(run_folder::image(run), serde_json::to_vec(&image)?)?;
    let guard = std::process::id().to_string();
    Ok([super::EXEC.into(), guard.into(), run.into()])
}

/// Why the tool did not start, if the stub said so.
pub(super) fn why_not_started(run: &Path) -> Option<String> {
    std::fs::read_to_string(run_folder::not_started(run)).ok()
}

pub(super) fn main(args: &[OsString]) -> ExitCode {
    if let [guard, run] = args
        && dies_with(guard)
    {
        let run = Path::new(run);
        // Returns only if it failed.
        let why = become_tool(run);
        let _unsaid = std::fs::write(run_folder::not_started(run), why);
    }
    ExitCode::from(EXIT_NOT_RUN)
}

fn become_tool(run: &Path) -> String {
    let image = std::fs::read(run_folder::image(run));
    let image = image.and_then(|bytes| Ok(serde_json::from_slice::<Image>(&bytes)?));
    match image {
        Ok(Image { program, args }) => {
            let error = Command::new(&program).args(args).exec();
            format!("`{}`: {error}", program.display())
        }
        Err(error) => format!("what to run cannot be read: {error}"),
    }
}

/// Ends this process with the guard. Had the guard died before we asked, our parent would be
/// another.
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
