//! Puts the tools where the stack finds them.
//!
//! A tool is looked for on the `PATH` (and in `KUBEBUILDER_ASSETS`), then in the user's cache, and
//! is built with `go` only if it is in neither. The cache is keyed by version and lies outside the
//! work tree, so a clone that is thrown away costs no rebuild. A tool is built in a temporary
//! folder beside its place and moved there whole; a file lock keeps two runs apart.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::tool::{self, Tool};

mod build;
pub mod package;
mod python;
mod system;

pub use system::{ensure_system_commands, postgres_programs};

/// Where each program of the stack lies.
#[derive(Debug, Clone)]
pub struct Tools {
    /// etcd.
    pub etcd: PathBuf,
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// The controllers.
    pub kube_controller_manager: PathBuf,
    /// The scheduler of Kubernetes.
    pub kube_scheduler: PathBuf,
    /// KWOK.
    pub kwok: PathBuf,
    /// MinIO.
    pub minio: PathBuf,
    /// Helm 3.
    pub helm3: PathBuf,
    /// Helm 4.
    pub helm4: PathBuf,
}

/// Finds or builds every tool; `say` gets a line whenever that takes time.
///
/// # Errors
/// No `go` where something must be built, a build that fails, an unusable cache folder.
pub fn ensure_all(say: &mut dyn FnMut(&str)) -> Result<Tools> {
    ensure_system_commands(say)?;
    schemathesis(say)?;
    let cache = Cache::of_user()?;
    let mut ensure = |tool: &Tool| cache.ensure(tool, say);
    Ok(Tools {
        etcd: ensure(&tool::ETCD)?,
        kube_apiserver: ensure(&tool::KUBE_APISERVER)?,
        kube_controller_manager: ensure(&tool::KUBE_CONTROLLER_MANAGER)?,
        kube_scheduler: ensure(&tool::KUBE_SCHEDULER)?,
        kwok: ensure(&tool::KWOK)?,
        minio: ensure(&tool::MINIO)?,
        helm3: ensure(&tool::HELM3)?,
        helm4: ensure(&tool::HELM4)?,
    })
}

/// The program that tries the API with requests made up from its description.
///
/// # Errors
/// There is no Python, or PyPI gives no packages.
pub fn schemathesis(say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    Cache::of_user()?.ensure(&tool::SCHEMATHESIS, say)
}

/// Temporal, with a server for developers.
///
/// # Errors
/// It is neither there nor can it be built.
pub fn temporal(say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    Cache::of_user()?.ensure(&tool::TEMPORAL, say)
}

/// The object store that speaks S3.
///
/// # Errors
/// It is neither there nor can it be built.
pub fn minio(say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    Cache::of_user()?.ensure(&tool::MINIO, say)
}

/// The folder of built tools.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$XDG_CACHE_HOME/capstan-testbed`, or `~/.cache/capstan-testbed`.
    ///
    /// # Errors
    /// Neither variable is set.
    pub fn of_user() -> Result<Self> {
        let caches = std::env::var_os("XDG_CACHE_HOME")
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
            .context("no place for the tools of the tests: set XDG_CACHE_HOME or HOME")?;
        Ok(Self { root: caches.join("capstan-testbed") })
    }

    /// A cache in a folder of the caller's choice.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The program of `tool`, built if need be.
    ///
    /// # Errors
    /// No `go` where it must be built, a build that fails, an unusable cache folder.
    pub fn ensure(&self, tool: &Tool, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        if let Some(found) = find_installed(tool).or_else(|| self.find(tool)) {
            return Ok(found);
        }
        let what = format!("{} {}", tool.name, tool.version);
        let folder =
            self.ensure_folder(&tool.folder(), &what, |folder| build::build(tool, folder), say)?;
        let program = folder.join(tool.name);
        ensure!(program.is_file(), "the build of {what} left no program `{}`", tool.name);
        Ok(program)
    }

    /// A folder in it that is made once, and there only as a whole.
    fn ensure_folder(
        &self,
        name: &str,
        what: &str,
        make: impl FnOnce(&Path) -> Result<()>,
        say: &mut dyn FnMut(&str),
    ) -> Result<PathBuf> {
        let place = self.root.join(name);
        if place.is_dir() {
            return Ok(place);
        }
        fs::create_dir_all(&self.root)
            .with_context(|| format!("failed to make the cache folder {}", self.root.display()))?;
        let _lock = self.lock(name, what, say)?;
        if !place.is_dir() {
            say(&format!("building {what} (once; kept in {})", self.root.display()));
            self.put(name, make)?;
        }
        Ok(place)
    }

    /// A folder in it for something else, made if need be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make the cache folder {}", folder.display()))?;
        Ok(folder)
    }

    fn find(&self, tool: &Tool) -> Option<PathBuf> {
        let program = self.root.join(tool.folder()).join(tool.name);
        program.is_file().then_some(program)
    }

    /// Makes something in a folder beside its place and moves it there as a whole. Only the holder of
    /// its lock does so, hence what lies there is left over from a run that was killed.
    fn put(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let part = self.root.join(format!(".{name}.part"));
        let place = self.root.join(name);
        if part.exists() {
            fs::remove_dir_all(&part)
                .with_context(|| format!("failed to remove {}", part.display()))?;
        }
        fs::create_dir(&part).with_context(|| format!("failed to make {}", part.display()))?;
        make(&part)?;
        fs::rename(&part, &place)
            .with_context(|| format!("failed to move {name} to {}", place.display()))
    }

    /// Held while one thing is made; a second run waits for it.
    fn lock(&self, name: &str, what: &str, say: &mut dyn FnMut(&str)) -> Result<File> {
        let path = self.root.join(format!(".{name}.lock"));
        let file = File::create(&path)
            .with_context(|| format!("failed to open the lock {}", path.display()))?;
        if file.try_lock().is_err() {
            say(&format!("waiting for another run that builds {what}"));
            file.lock().with_context(|| format!("failed to lock {}", path.display()))?;
        }
        Ok(file)
    }
}

/// The tool in the right version outside the cache.
fn find_installed(tool: &Tool) -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS")
        .filter(|_| tool.is_kubebuilder_asset())
        .map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    assets
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(tool.name))
        .find(|program| program.is_file() && prints_version(program, tool))
}

fn prints_version(program: &Path, tool: &Tool) -> bool {
    let output = Command::new("timeout").arg("10").arg(program).args(tool.version_args).output();
    output.is_ok_and(|output| tool.is_version(&String::from_utf8_lossy(&output.stdout)))
}

/// Runs a command to its end.
///
/// # Errors
/// It could not be started or ended with a failure: its last lines are in the error.
pub(crate) fn run(command: &mut Command, doing: &str) -> Result<()> {
    output(command, doing).map(drop)
}

/// Runs a command to its end and gives what it printed, without the last line's end.
///
/// # Errors
/// As [`run`].
pub(crate) fn output(command: &mut Command, doing: &str) -> Result<String> {
    let output = command.output().with_context(|| format!("failed to start {doing}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{doing} failed ({}): {}", output.status, crate::last_lines(&text, 20));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Source;

    const TOOL: Tool = Tool {
        name: "no-such-tool",
        version: "1.2.3",
        version_args: &["--version"],
        source: Source::GoInstall { package: "example.invalid/no-such-tool" },
    };

    #[test]
    fn an_interrupted_build_is_neither_found_nor_in_the_way() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let broken = cache.put(&TOOL.folder(), |folder| {
            fs::write(folder.join(TOOL.name), "half a program")?;
            bail!("power cut")
        });
        assert!(broken.is_err());
        assert_eq!(cache.find(&TOOL), None);
        cache
            .put(&TOOL.folder(), |folder| Ok(fs::write(folder.join(TOOL.name), "a program")?))
            .unwrap();
        let program = cache.find(&TOOL).unwrap();
        assert_eq!(fs::read_to_string(program).unwrap(), "a program");
    }

    #[test]
    fn a_built_tool_is_found_again() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        cache
            .put(&TOOL.folder(), |folder| Ok(fs::write(folder.join(TOOL.name), "a program")?))
            .unwrap();
        let mut said = Vec::new();
        let found = cache.ensure(&TOOL, &mut |line| said.push(line.to_owned())).unwrap();
        assert_eq!(found, root.path().join("no-such-tool-1.2.3/no-such-tool"));
        assert_eq!(said, Vec::<String>::new());
    }

    #[test]
    fn a_program_of_another_version_is_not_taken() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("etcd");
        fs::write(&program, "#!/bin/sh\necho etcd Version: 3.4.23\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, mode).unwrap();
        assert!(!prints_version(&program, &tool::ETCD));
        assert!(prints_version(&program, &Tool { version: "3.4.23", ..tool::ETCD }));
    }
}
