//! Programs of ours that run on what a package manager adds to them.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::{Cache, python, run};

/// Who gets the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manager {
    /// `npm ci`, by `package.json` and `package-lock.json`.
    Npm,
    /// `pip`, by `requirements.txt`, into the folder `environment`.
    Pip,
    /// `go build`, by `go.mod` and `go.sum`, to the program `peer`.
    Go,
}

/// Files of ours, and who gets the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Package {
    /// What it is about.
    pub name: &'static str,
    /// The version of that.
    pub version: &'static str,
    /// Who gets the rest.
    pub manager: Manager,
    /// Names and contents.
    pub files: &'static [(&'static str, &'static str)],
}

impl Package {
    /// Its folder in the cache: another one whenever anything of it changes.
    fn folder(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        format!("{}-{}-{:016x}", self.name, self.version, hasher.finish())
    }

    fn make(&self, folder: &Path) -> Result<()> {
        for (name, text) in self.files {
            fs::write(folder.join(name), text)?;
        }
        match self.manager {
            Manager::Npm => {
                require("npm", "--version", "Node.js 20 or newer")?;
                let mut npm = quietly("npm");
                npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
                run(npm.current_dir(folder), "`npm ci`")
            }
            Manager::Pip => {
                require("python3", "--version", "Python 3.11 or newer")?;
                let requirements = folder.join("requirements.txt");
                python::environment(&folder.join("environment"), &requirements)
            }
            Manager::Go => {
                require("go", "version", "Go 1.26 or newer")?;
                let mut go = quietly("go");
                go.args(["build", "-trimpath", "-ldflags", "-s -w", "-o", "peer", "."]);
                go.env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false -mod=readonly");
                run(go.current_dir(folder), "`go build`")
            }
        }
    }
}

impl Cache {
    /// The folder of a package, made if need be.
    ///
    /// # Errors
    /// Its manager is missing or fails, an unusable cache folder.
    pub fn ensure_package(&self, package: &Package, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        let what = format!("{} {}", package.name, package.version);
        self.ensure_folder(&package.folder(), &what, |folder| package.make(folder), say)
    }
}

/// At a low priority.
fn quietly(program: &str) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10", program]);
    command
}

fn require(program: &str, version: &str, what: &str) -> Result<()> {
    let found = Command::new(program).arg(version).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    bail!("`{program}` is not on the PATH: install {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: Package = Package {
        name: "nothing",
        version: "1.0.0",
        manager: Manager::Npm,
        files: &[("package.json", "{}")],
    };

    #[test]
    fn whatever_changes_is_made_anew() {
        let other = Package { files: &[("package.json", "{ }")], ..PACKAGE };
        assert_ne!(PACKAGE.folder(), other.folder());
        assert!(PACKAGE.folder().starts_with("nothing-1.0.0-"), "{}", PACKAGE.folder());
    }

    #[test]
    fn a_manager_that_is_missing_is_told() {
        let error = require("no-such-manager", "--version", "one").unwrap_err().to_string();
        assert_eq!(error, "`no-such-manager` is not on the PATH: install one");
    }
}
