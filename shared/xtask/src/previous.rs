//! The program of the commit before this one: what a rolling restart begins with.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use shared_testkit::env;
use shared_testkit::install::Cache;

use crate::{say, workspace};

const PROGRAM: &str = "capstan";

/// Builds it if need be, and prints the variable by which a test finds it.
pub(crate) fn run() -> Result<ExitCode> {
    writeln!(std::io::stdout().lock(), "{}={}", env::PREVIOUS, ensure()?.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Where it lies; built once for each commit, with what the last one left of its libraries.
pub(crate) fn ensure() -> Result<PathBuf> {
    let commit = commit()?;
    let root = Cache::of_user()?.folder("previous")?;
    let lock = root.join("lock");
    let lock = File::create(&lock).with_context(|| format!("failed to open {}", lock.display()))?;
    lock.lock().context("failed to wait for another run that builds the previous commit")?;
    let program = root.join(&commit).join(PROGRAM);
    if program.is_file() {
        return Ok(program);
    }
    say(&format!("building the program of {commit} (once; kept in {})", root.display()));
    let source = root.join("source");
    unpack(&commit, &source)?;
    let target = root.join("target");
    build(&source, &target)?;
    keep(&target.join("debug").join(PROGRAM), &root, &commit)?;
    Ok(program)
}

fn commit() -> Result<String> {
    let found = git().args(["rev-parse", "--verify", "--quiet", "HEAD~1^{commit}"]).output();
    let found = found.context("failed to start git")?;
    if !found.status.success() {
        bail!(
            "the checkout does not know the commit before this one, from which a rolling restart \
             begins: fetch it with `git fetch --deepen=1`"
        );
    }
    Ok(String::from_utf8_lossy(&found.stdout).trim().to_owned())
}

fn git() -> Command {
    let mut command = Command::new("git");
    // A clone of somebody else's is read as well.
    command.args(["-c", "safe.directory=*"]).current_dir(env::checkout());
    command
}

/// The files are as old as this moment: cargo would take files of that commit's age for built.
fn unpack(commit: &str, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let archive = folder.with_extension("tar");
    let written = git().arg("archive").arg("--output").arg(&archive).arg(commit).status();
    check(written, "git archive")?;
    let unpacked = Command::new("tar").arg("-xmf").arg(&archive).arg("-C").arg(folder).status();
    check(unpacked, "tar")?;
    fs::remove_file(&archive).with_context(|| format!("failed to remove {}", archive.display()))
}

fn build(source: &Path, target: &Path) -> Result<()> {
    let mut cargo = workspace::cargo();
    cargo.current_dir(source).env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo.args(["build", "--quiet", "--locked", "--package", "scheduler-cli", "--bin", PROGRAM]);
    check(cargo.arg("--target-dir").arg(target).status(), "the build of the previous commit")
}

/// Keeps the program, and none of older commits.
fn keep(built: &Path, root: &Path, commit: &str) -> Result<()> {
    for entry in fs::read_dir(root).context("failed to list what was built before")? {
        let path = entry?.path();
        if path.join(PROGRAM).is_file() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("failed to remove {}", path.display()))?;
        }
    }
    let part = root.join("part");
    fs::copy(built, &part).with_context(|| format!("failed to copy {}", built.display()))?;
    let place = root.join(commit);
    fs::create_dir(&place).with_context(|| format!("failed to make {}", place.display()))?;
    fs::rename(&part, place.join(PROGRAM)).context("failed to keep the program")
}

fn check(ended: std::io::Result<std::process::ExitStatus>, what: &str) -> Result<()> {
    let status = ended.with_context(|| format!("failed to start {what}"))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}
