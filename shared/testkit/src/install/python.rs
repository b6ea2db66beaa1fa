//! Tools from PyPI, each in an environment of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{run, system};
use crate::tool::Tool;

/// Makes the environment in a folder, with a program of the tool's name. The scripts that `pip` makes
/// name the folder that they were made in, and this one is moved.
pub(super) fn make(tool: &Tool, requirements: &str, folder: &Path) -> Result<()> {
    let list = folder.join("requirements.txt");
    fs::write(&list, requirements)?;
    environment(folder, &list)?;
    let program = folder.join(tool.name);
    let run = format!("exec \"${{0%/*}}/bin/python\" -m {}.cli \"$@\"", tool.name);
    fs::write(&program, format!("#!/bin/sh\n{run}\n"))?;
    Ok(fs::set_permissions(program, fs::Permissions::from_mode(0o755))?)
}

/// Makes an environment in a folder, with the packages of a list.
pub(super) fn environment(folder: &Path, list: &Path) -> Result<()> {
    if !has_venv() {
        system::install(&["python3-venv"], &mut |_| {})?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(folder), "`python3 -m venv`")?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(pip.arg(list), "`pip install`")
}

fn has_venv() -> bool {
    let mut probe = Command::new("python3");
    let found = probe.args(["-c", "import ensurepip, venv"]).output();
    found.is_ok_and(|output| output.status.success())
}
