//! Commands that the system brings.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::run;

/// Commands that the stack uses, with the Debian package of each.
const COMMANDS: [(&str, &str); 23] = [
    ("openssl", "openssl"),
    ("setpriv", "util-linux"),
    ("python3", "python3"),
    ("unshare", "util-linux"),
    ("timeout", "coreutils"),
    ("nice", "coreutils"),
    ("tar", "tar"),
    ("env", "coreutils"),
    ("initdb", "postgresql"),
    ("postgres", "postgresql"),
    ("psql", "postgresql"),
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("docker-init", "docker.io"),
    ("docker-registry", "docker-registry"),
    ("docker-compose", "docker-compose"),
    ("packer", "packer"),
    ("busybox", "busybox-static"),
    ("epmd", "erlang-base"),
    ("rabbitmq-server", "rabbitmq-server"),
    ("redis-server", "redis-server"),
    ("promtool", "prometheus"),
    ("faketime", "faketime"),
];

/// Debian asks this program whether an installation may start a service (`invoke-rc.d`(8)).
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Says no: the tests start the servers that they need, each in a folder and on a port of its own.
const NO_SERVICES: &str =
    "#!/bin/sh\n# Written by Capstan's tests while apt-get runs; may be removed.\nexit 101\n";

/// Makes sure that the commands that the stack uses are there: with `apt-get` where we are root on
/// Debian, else by saying what to install.
///
/// # Errors
/// One is missing and could not be installed.
pub fn ensure_system_commands(say: &mut dyn FnMut(&str)) -> Result<()> {
    let missing: Vec<_> = COMMANDS.into_iter().filter(|(name, _)| !is_there(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    install(&packages, say)
}

/// Installs Debian packages where we are root on Debian.
///
/// # Errors
/// It is not allowed, or fails.
pub(super) fn install(packages: &[&str], say: &mut dyn FnMut(&str)) -> Result<()> {
    if !(nix::unistd::Uid::effective().is_root() && on_path("apt-get")) {
        bail!(
            "the tests need more of the system: on Debian, `apt-get install {}`",
            packages.join(" ")
        );
    }
    say(&format!("installing {} with apt-get", packages.join(", ")));
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        run(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"), "`apt-get`")
    };
    apt(&["update"])?;
    let _policy = Policy::write(Path::new(POLICY))?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

/// Keeps installed servers from being started; gone when it is dropped.
#[derive(Debug)]
struct Policy {
    /// The program that says so; `None` where the machine has one of its own.
    written: Option<PathBuf>,
}

impl Policy {
    fn write(path: &Path) -> Result<Self> {
        let what = || {
            format!("failed to write {}, which keeps servers from being started", path.display())
        };
        match OpenOptions::new().write(true).create_new(true).mode(0o755).open(path) {
            Ok(mut file) => file.write_all(NO_SERVICES.as_bytes()).with_context(what)?,
            // One of ours is left over from a run that was killed.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let text = fs::read_to_string(path).unwrap_or_default();
                if text != NO_SERVICES {
                    return Ok(Self { written: None });
                }
            }
            Err(error) => return Err(error).with_context(what),
        }
        Ok(Self { written: Some(path.to_owned()) })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(path) = &self.written {
            // Who removed it meanwhile did what we wanted.
            let _gone = fs::remove_file(path);
        }
    }
}

/// Where PostgreSQL's programs lie, the newest if there are several. Debian keeps those of each major
/// version in a folder of its own, off the `PATH`; a wrapper on it would choose among clusters.
///
/// # Errors
/// They are not there.
pub fn postgres_programs() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = debian_postgres().or_else(|| {
        std::env::split_paths(&path)
            .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
    });
    found.context("PostgreSQL's `initdb` and `postgres` are not there; on Debian: `apt-get install postgresql`")
}

fn debian_postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = versions.filter_map(|entry| entry.ok()).map(|entry| entry.path());
    let newest =
        folders.filter(|folder| folder.join("bin/initdb").is_file()).max_by_key(version)?;
    Some(newest.join("bin"))
}

fn is_there(name: &str) -> bool {
    on_path(name) || debian_postgres().is_some_and(|folder| folder.join(name).is_file())
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).any(|file: PathBuf| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_is_started_while_something_is_installed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy-rc.d");
        let policy = Policy::write(&path).unwrap();
        let said = Command::new(&path).args(["postgresql", "start"]).status().unwrap();
        assert_eq!(said.code(), Some(101), "forbidden, in the words of invoke-rc.d");
        let second = Policy::write(&path).unwrap();
        drop((policy, second));
        assert!(!path.exists());
        fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
        drop(Policy::write(&path).unwrap());
        assert!(path.exists(), "the machine's own is left alone");
    }

    #[test]
    fn only_what_is_there_is_found() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-command-anywhere"));
    }
}
